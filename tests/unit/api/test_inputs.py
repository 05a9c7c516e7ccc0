"""Bodies of /predict: what is taken, what is refused, and in which words."""

from __future__ import annotations

import json
import math
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_api import inputs
from model_api.errors import ApiError, InputError, NotJsonError
from model_description.signature import Signature, TensorSpec


def signature(*specs: tuple[str, str, tuple[int | None, ...] | None], outputs_open: bool = True) -> Signature:
    """Return a signature of inputs (name, dtype, shape) and one output."""
    output = TensorSpec("y", "float32", (None, 3) if outputs_open else (3,))
    return Signature(
        "serving_default", {name: TensorSpec(name, dtype, shape) for name, dtype, shape in specs}, {"y": output}
    )


GRID = signature(("x", "float32", (None, 2, 3)))
VECTOR = signature(("x", "float32", (None, 4)))
PAIR = signature(("a", "float32", (None, 2)), ("b", "string", (None,)))


def read(content: object, of: Signature = GRID) -> inputs.Inputs:
    """Read JSON text or an object."""
    raw = content if isinstance(content, bytes) else json.dumps(content).encode()
    return inputs.read(raw, of, most=3)


def only(found: inputs.Inputs) -> dict[str, Any]:
    """Return the tensors of the only group."""
    (group,) = found.groups
    return dict(group.tensors)


@pytest.mark.parametrize("value", [[0, 1, 2, 3, 4, 255.5], [[0, 1, 2], [3, 4, 255.5]]])
def test_input_may_be_flat_or_nested(value: list[Any]) -> None:
    found = read({"input": value})
    assert found.is_single
    np.testing.assert_array_equal(only(found)["x"], np.array([[[0, 1, 2], [3, 4, 255.5]]], np.float32))


def test_inputs_may_be_several() -> None:
    found = read({"inputs": [[0] * 6, [[1] * 3] * 2]})
    assert (found.is_single, only(found)["x"].shape) == (False, (2, 2, 3))


def test_byte_order_mark_is_skipped() -> None:
    assert only(read(b'\xef\xbb\xbf{"input": [1, 2, 3, 4]}', VECTOR))["x"].tolist() == [[1, 2, 3, 4]]


@pytest.mark.parametrize(
    ("content", "error", "told"),
    [
        (b"", NotJsonError, "not JSON"),
        (b'{"input": [1,', NotJsonError, "not JSON"),
        (b"\xff", NotJsonError, "not JSON"),
        (b"[" * 100_000, NotJsonError, "not JSON"),
        ([1], NotJsonError, "got a list of 1"),
        ({}, InputError, "exactly one of"),
        ({"input": [], "inputs": []}, InputError, "exactly one of"),
        ({"input": 7}, InputError, "input: expected 6 numbers, flat or nested 2x3, got 7"),
        ({"input": []}, InputError, "got 0 values"),
        ({"input": [1] * 7}, InputError, "got 7 values"),
        ({"input": [[1, 2, 3]]}, InputError, "got 1x3 values"),
        ({"input": [1, 2, 3, "4", 5, 6]}, InputError, 'input[3]: expected a number, got "4"'),
        ({"input": [[1, 2, True], [4, 5, 6]]}, InputError, "input[0][2]: expected a number, got true"),
        ({"input": [1, None, 3, 4, 5, 6]}, InputError, "input[1]: expected a number, got null"),
        (
            {"input": [[1, 2, 3], [4, 5]]},
            InputError,
            "input[1]: expected 6 numbers, flat or nested 2x3, got a list of 2",
        ),
        ({"input": [[1, 2, 3], 4]}, InputError, "input[1]: expected 6 numbers, flat or nested 2x3, got 4"),
        ({"input": [float("nan")] * 6}, InputError, "got NaN"),
        ({"input": [float("inf")] * 6}, InputError, "got Infinity"),
        (b'{"input": [1, 1e39, 1, 1, 1, 1]}', InputError, "input[1]: expected a finite number that fits float32"),
        ({"inputs": []}, InputError, "non-empty list"),
        ({"inputs": [[0] * 6] * 4}, InputError, "at most 3 inputs, got 4"),
        ({"inputs": [[0] * 6, [0] * 5]}, InputError, "inputs[1]: expected 6 numbers"),
    ],
)
def test_bad_body_is_refused_in_words(content: object, error: type[ApiError], told: str) -> None:
    with pytest.raises(error) as refused:
        read(content)
    assert told in str(refused.value)


def test_several_inputs_come_by_name() -> None:
    found = only(read({"input": {"a": [1, 2], "b": "text"}}, PAIR))
    assert found["a"].tolist() == [[1, 2]]
    assert found["b"].tolist() == [b"text"]


def test_rows_of_equal_shape_are_stacked_and_others_kept_apart() -> None:
    found = read({"inputs": [[1, 2], [3], [4, 5]]}, signature(("x", "float32", (None, None))))
    assert [(list(group.positions), group.tensors["x"].tolist()) for group in found.groups] == [
        ([0, 2], [[1, 2], [4, 5]]),
        ([1], [[3]]),
    ]


def test_input_without_rows_is_the_whole_tensor() -> None:
    whole = signature(("x", "float32", None), outputs_open=False)
    assert only(read({"input": [[1, 2], [3, 4]]}, whole))["x"].shape == (2, 2)
    assert only(read({"input": 3}, signature(("x", "float32", ()))))["x"].shape == ()


@pytest.mark.parametrize(
    ("dtype", "good", "bad"),
    [
        ("uint8", [0, 255], [256, -1, 0.5]),
        ("int64", [-(2**63), 2**63 - 1, 5.0], [2**63, -(2**63) - 1, 2.0**53, 1.5]),
        ("uint64", [0, 2**64 - 1], [-1, 2**64]),
        ("float16", [65504], [65520, 1e6]),
        ("bfloat16", [3e38, 1.5], [1e39]),
        ("float64", [1.7e308, 9007199254740993], []),
        ("bool", [True, False], [0, 1, "true"]),
        ("string", ["text", {"b64": "AAE="}], [1, None, {"b64": "?"}, {"b65": ""}]),
    ],
)
def test_dtype_takes_what_it_can_hold(dtype: str, good: list[Any], bad: list[Any]) -> None:
    one = signature(("x", dtype, (None,)))
    for value in good:
        read({"input": value}, one)
    for value in bad:
        with pytest.raises(InputError):
            read({"input": value}, one)


@given(st.integers(-(2**63), 2**63 - 1))
def test_whole_numbers_are_exact_to_64_bits(value: int) -> None:
    assert only(read({"input": value}, signature(("x", "int64", (None,)))))["x"].tolist() == [value]


@given(st.integers(0, 2**64 - 1))
def test_unsigned_numbers_are_exact_to_64_bits(value: int) -> None:
    assert only(read({"input": value}, signature(("x", "uint64", (None,)))))["x"].tolist() == [value]


def test_bfloat16_is_rounded_as_its_own_type_rounds() -> None:
    found = only(read({"input": 1.01}, signature(("x", "bfloat16", (None,)))))["x"]
    assert (found.dtype, float(found[0])) == (ml_dtypes.bfloat16, 1.0078125)


numbers = st.one_of(st.integers(-(2**70), 2**70), st.floats(allow_nan=True, allow_infinity=True))
values = st.recursive(st.one_of(numbers, st.booleans(), st.none(), st.text(max_size=3)), st.lists, max_leaves=8)


@given(
    st.one_of(values, st.fixed_dictionaries({"input": st.one_of(values, st.lists(numbers, min_size=4, max_size=4))}))
)
def test_any_json_is_an_input_or_a_refusal(content: object) -> None:
    try:
        found = only(read(content, VECTOR))["x"]
    except ApiError:
        return
    # What is taken is what a slow and obvious reading takes.
    assert isinstance(content, dict)
    expected = [float(value) for value in content["input"]]
    np.testing.assert_array_equal(found[0], np.array(expected).astype(np.float32))
    assert all(map(math.isfinite, found[0]))


@given(st.binary(max_size=40))
def test_any_bytes_are_an_input_or_a_refusal(content: bytes) -> None:
    with pytest.raises(ApiError):
        read(content, VECTOR)
