"""Every object is one that Kubernetes takes, every value one that the schema describes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

from ci import chart_docs, paths
from tests.chart.conftest import KUBE_VERSION, RefusedError, Rendered, render

if TYPE_CHECKING:
    from pathlib import Path

# Defined outside Kubernetes.
FOREIGN = {"HTTPRoute"}


def test_objects_are_valid(rendered: Rendered) -> None:
    for item in rendered.objects:
        if item["kind"] not in FOREIGN:
            kubernetes_validate.validate(item, KUBE_VERSION.rpartition(".")[0], strict=True)


def test_case_is_valid_by_the_schema_alone(case: Path) -> None:
    schema = yaml.safe_load(chart_docs.SCHEMA.read_text(encoding="utf-8"))
    values = yaml.safe_load((paths.CHART / "values.yaml").read_text(encoding="utf-8"))
    jsonschema.validate(values, schema)
    given = yaml.safe_load(case.read_text(encoding="utf-8"))
    jsonschema.validate({**{name: {} for name in schema["required"]}, **given}, schema)


def test_generated_files_are_up_to_date() -> None:
    for path, text in chart_docs.generated().items():
        assert path.read_text(encoding="utf-8") == text, f"{path.name}: run ci/nox -s docs"


def test_every_key_is_in_the_schema_with_a_description() -> None:
    schema = yaml.safe_load(chart_docs.SCHEMA.read_text(encoding="utf-8"))
    values = yaml.safe_load((paths.CHART / "values.yaml").read_text(encoding="utf-8"))
    _compare(schema, schema, values, "")


def _compare(root: dict[str, Any], schema: dict[str, Any], values: dict[str, Any], where: str) -> None:
    assert set(values) <= set(schema["properties"]), where
    for name, value in values.items():
        found = chart_docs.resolve(root, schema["properties"][name])
        assert found.get("description"), f"{where}{name} has no description"
        if "properties" in found and isinstance(value, dict):
            _compare(root, found, value, f"{where}{name}.")


@pytest.mark.parametrize("helm", ["helm3", "helm4"])
@pytest.mark.parametrize(
    ("values", "named"),
    [
        pytest.param({"server": {"replicaCunt": 2}}, "replicaCunt", id="misspelt"),
        pytest.param({"training": {"params": {"epochs": 0}}}, "epochs", id="no-epochs"),
        pytest.param({"training": {"params": {"dropout": 1}}}, "dropout", id="dropout"),
        pytest.param({"training": {"dataset": {"name": "cifar"}}}, "dataset", id="data-set"),
        pytest.param({"server": {"image": {"digest": "abc"}}}, "digest", id="digest"),
    ],
)
def test_bad_value_is_refused(values: dict[str, Any], named: str, helm: str) -> None:
    with pytest.raises(RefusedError, match=named):
        render(values, helm)
