"""The result file: read as it is meant, refused by the field that is wrong."""

from __future__ import annotations

import json
import math
import os
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_publisher import result_file
from model_publisher.errors import PublisherError

if TYPE_CHECKING:
    from pathlib import Path


def test_all_of_it_is_read() -> None:
    content = {
        "metrics": {"accuracy": 0.9, "loss": math.nan},
        "task": "classification",
        "labels": ["a", "b"],
        "signature": "scores",
        "inputs": {"x": {"meaning": "image", "minimum": 0, "maximum": 255}},
        "outputs": {"y": {"scores": "logits"}},
        "example": {"inputs": {"x": [1]}, "outputs": {"y": [0.5]}},
        "parameters": {"epochs": 3},
        "data": {"name": "digits", "sha256": "a" * 64},
        "gates": [{"metric": "accuracy", "min": 0.5}],
    }
    result = result_file.parse(json.dumps(content).encode(), "result.json")
    assert result.metrics["accuracy"] == 0.9
    assert math.isnan(result.metrics["loss"])
    assert (result.signature, result.gates) == ("scores", content["gates"])
    told = result.description
    assert (told.task, told.labels, told.outputs["y"].scores) == ("classification", ("a", "b"), "logits")
    assert told.data["sha256"] == "a" * 64


def test_program_that_says_nothing_reports_nothing(tmp_path: Path) -> None:
    result = result_file.read(tmp_path / "result.json")
    assert (dict(result.metrics), result.gates, result.description.task) == ({}, None, "raw")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("{", "is not JSON"),
        ("[]", "holds a list: expected an object"),
        ('{"metric": {}}', "has a field 'metric', which means nothing: known are data, example, gates"),
        ('{"metrics": []}', "metrics in the result file"),
        ('{"metrics": {"a": "b"}}', 'metrics.a in the result file r: expected a number, found "b"'),
        ('{"metrics": {"a": true}}', "metrics.a"),
        ('{"metrics": {"a": 1' + "0" * 400 + "}}", "metrics.a in the result file r is too large a number"),
        ('{"gates": {}}', "gates in the result file r: expected a list"),
        ('{"task": "guess"}', "task: expected 'classification'"),
        ('{"labels": ["a", "a"]}', "labels: expected each label once"),
        ('{"example": {"inputs": {"x": 1}}}', "expected one row as inputs and what the model computes"),
        ('{"inputs": {"x": {"meaning": "sound"}}}', "inputs.x.meaning"),
    ],
)
def test_wrong_field_is_named(content: str, told: str) -> None:
    with pytest.raises(PublisherError) as error:
        result_file.parse(content.encode(), "r")
    assert told in str(error.value)


def test_file_without_end_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    with path.open("wb") as file:
        file.truncate(result_file.MAXIMUM_BYTES + 1)
    with pytest.raises(PublisherError, match="more than"):
        result_file.read(path)


@pytest.mark.parametrize("kind", ["link", "fifo", "folder"])
def test_what_is_no_file_is_refused_and_not_waited_for(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "result.json"
    if kind == "link":
        (tmp_path / "elsewhere").write_text("{}", encoding="utf-8")
        path.symlink_to(tmp_path / "elsewhere")
    elif kind == "fifo":
        os.mkfifo(path)
    else:
        path.mkdir()
    with pytest.raises(PublisherError, match="the result file is none"):
        result_file.read(path)


@given(
    st.binary(max_size=200)
    | st.dictionaries(
        st.sampled_from(sorted(result_file.FIELDS)),
        st.none()
        | st.booleans()
        | st.integers()
        | st.text()
        | st.lists(st.integers())
        | st.dictionaries(st.text(), st.integers()),
    ).map(lambda value: json.dumps(value).encode())
)
def test_any_bytes_are_a_result_or_refused(content: bytes) -> None:
    try:
        result: Any = result_file.parse(content, "r")
    except PublisherError:
        return
    assert isinstance(result, result_file.Result)
