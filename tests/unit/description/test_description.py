"""Descriptions: what is rendered is parsed, and what is none is refused by the name of its field."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_description.description import (
    FORMAT,
    MAXIMUM_BYTES,
    MEANINGS,
    SCORES,
    TASKS,
    Description,
    Example,
    InputDescription,
    OutputDescription,
    parse,
)
from model_description.errors import DescriptionError

TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
NUMBERS = st.integers(-(2**64), 2**64) | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(st.none() | st.booleans() | NUMBERS | TEXT, st.lists, max_leaves=5)
DESCRIPTIONS = st.builds(
    Description,
    task=st.sampled_from(TASKS),
    labels=st.lists(TEXT, unique=True).map(tuple),
    signature=TEXT.filter(bool),
    inputs=st.dictionaries(
        TEXT,
        st.builds(InputDescription, st.sampled_from(MEANINGS), st.none() | NUMBERS, st.none() | NUMBERS, TEXT),
        max_size=3,
    ),
    outputs=st.dictionaries(TEXT, st.builds(OutputDescription, st.sampled_from(SCORES)), max_size=3),
    example=st.none()
    | st.builds(Example, st.dictionaries(TEXT, VALUES, max_size=3), st.dictionaries(TEXT, VALUES, max_size=3)),
    metrics=st.dictionaries(TEXT, NUMBERS, max_size=3),
    parameters=st.dictionaries(TEXT, VALUES, max_size=3),
    data=st.dictionaries(TEXT, TEXT, max_size=3),
    key=TEXT,
    weights_sha256=TEXT,
    created=TEXT,
)


@given(DESCRIPTIONS)
def test_what_is_rendered_is_parsed(description: Description) -> None:
    assert parse(description.render()) == description
    assert parse(description.render()).render() == description.render()


@given(
    st.binary(max_size=100)
    | st.recursive(VALUES, lambda inner: st.dictionaries(TEXT, inner)).map(json.dumps).map(str.encode)
)
def test_any_bytes_are_refused_in_a_sentence(content: bytes) -> None:
    with pytest.raises(DescriptionError):
        parse(content)


@given(st.sampled_from(sorted(json.loads(Description().render()))), VALUES | st.dictionaries(TEXT, VALUES))
def test_any_value_of_a_field_is_taken_or_refused_by_its_name(name: str, value: Any) -> None:
    content = json.loads(Description().render()) | {name: value}
    try:
        parse(json.dumps(content).encode())
    except DescriptionError as error:
        assert str(error).startswith(name)


def test_description_that_says_nothing_has_defaults() -> None:
    assert parse(json.dumps({"format": FORMAT}).encode()) == Description()


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"format": 2}, "format: expected 1, the one known here, found 2"),
        ({"format": True}, "format: expected 1, the one known here, found true"),
        ({"format": None}, "format: expected 1, the one known here, found null"),
        (
            {"task": "guess"},
            "task: expected 'classification' or 'multilabel' or 'regression' or 'raw', found \"guess\"",
        ),
        ({"labels": "ab"}, 'labels: expected a list of texts, found "ab"'),
        ({"labels": ["a", 1]}, "labels: expected a list of texts, found a list"),
        ({"labels": 0}, "labels: expected a list of texts, found 0"),
        ({"labels": ["a", "a"]}, "labels: expected each label once"),
        ({"signature": 3}, "signature: expected text, found 3"),
        ({"inputs": []}, "inputs: expected an object, found a list"),
        ({"inputs": {"x": "image"}}, 'inputs.x: expected an object, found "image"'),
        ({"inputs": {"x": {"meaning": "video"}}}, "inputs.x.meaning: expected '' or 'image' or 'text'"),
        ({"inputs": {"x": {"minimum": "0"}}}, 'inputs.x.minimum: expected a number, found "0"'),
        ({"inputs": {"x": {"maximum": True}}}, "inputs.x.maximum: expected a number, found true"),
        ({"inputs": {"x": {"maximum": 10**400}}}, "inputs.x.maximum: expected a number, found 1000"),
        ({"inputs": {"x": {"help": 1}}}, "inputs.x.help: expected text, found 1"),
        ({"outputs": {"y": 1}}, "outputs.y: expected an object, found 1"),
        ({"outputs": {"y": {"scores": "odds"}}}, "outputs.y.scores: expected '' or 'probabilities' or 'logits'"),
        ({"example": 1}, "example: expected an object, found 1"),
        ({"example": {"inputs": 1}}, "example.inputs: expected an object, found 1"),
        ({"example": {"outputs": [1]}}, "example.outputs: expected an object, found a list"),
        ({"metrics": 1}, "metrics: expected an object, found 1"),
        ({"parameters": 1}, "parameters: expected an object, found 1"),
        ({"data": 1}, "data: expected an object, found 1"),
        ({"key": 1}, "key: expected text, found 1"),
        ({"weights_sha256": 1}, "weights_sha256: expected text, found 1"),
        ({"created": 1}, "created: expected text, found 1"),
        ({"labels": ["\ud800"]}, "the description has text with half a character"),
    ],
)
def test_wrong_field_is_named_with_what_was_expected_and_found(changes: dict[str, Any], told: str) -> None:
    content = json.loads(Description().render()) | changes
    with pytest.raises(DescriptionError) as refusal:
        parse(json.dumps(content).encode())
    assert str(refusal.value).startswith(told)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b'"text"', b"[]"])
def test_what_is_no_object_is_refused(content: bytes) -> None:
    with pytest.raises(DescriptionError, match="the description"):
        parse(content)


def test_huge_description_is_refused() -> None:
    with pytest.raises(DescriptionError, match="more than 4194304"):
        parse(b" " * (MAXIMUM_BYTES + 1))


def test_metric_that_is_no_number_is_left_out() -> None:
    content = json.loads(Description().render()) | {"metrics": {"accuracy": 0.5, "note": "good", "loss": float("nan")}}
    assert parse(json.dumps(content).encode()).metrics == {"accuracy": 0.5}
