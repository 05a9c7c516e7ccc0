"""The commands of the chart's README render as they stand."""

from __future__ import annotations

import re
import shlex

import pytest

from ci import paths
from tests.chart.rendering import at, environment, render

README = (paths.CHART / "README.md").read_text(encoding="utf-8")
CHART = "charts/tensorflow-model"


def own_model_commands() -> list[list[str]]:
    """Return the words of the commands that serve a model of the reader's own."""
    section = README.partition("## Serve your own model\n")[2]
    block = section.split("```")[1]
    # What the shell makes of the archive's digest.
    return [shlex.split(re.sub(r"\$\(sha256sum [^)]*\)", "a" * 64, line)) for line in block.strip().splitlines()]


def test_own_model_takes_five_lines() -> None:
    assert len(own_model_commands()) == 5


@pytest.mark.parametrize(
    ("line", "variable"),
    [
        pytest.param(0, "MODEL_STORE", id="claim"),
        pytest.param(1, "SOURCE_URI", id="archive"),
        pytest.param(2, "SOURCE_IMAGE", id="image"),
    ],
)
def test_command_serves_a_model_from_there(line: int, variable: str) -> None:
    words = own_model_commands()[line]
    assert words[:7] == ["helm", "upgrade", "--install", "churn", CHART, "--values", "images.yaml"]
    rendered = render({}, *words[7:], release="churn")
    variables = environment(rendered.container("server", "loader"))
    assert variables["MODEL_NAME"] == "churn"
    assert {"MODEL_STORE", "SOURCE_URI", "SOURCE_IMAGE"} & set(variables) == {variable}


def test_what_is_waited_for_is_there() -> None:
    flags = own_model_commands()[0][7:]
    names = {f"deployment/{at(item, 'metadata.name')}" for item in render({}, *flags, release="churn").workloads()}
    assert own_model_commands()[3][3] in names
    assert own_model_commands()[4] == ["helm", "test", "churn"]
