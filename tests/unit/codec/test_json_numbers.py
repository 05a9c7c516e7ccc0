"""Numbers in one step are the numbers that Python's JSON has, or nothing."""

from __future__ import annotations

import json
import time
import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_description.protos import serving_pb2
from serving_codec import json_numbers, json_tensors
from serving_codec.status import ServingError

KEYS = frozenset({"input", "inputs", "instances"})
SCALARS = st.one_of(
    st.integers(-(2**65), 2**65),
    st.integers(-300, 300),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([True, None, "a", "[", {}, {"b64": "AA=="}, 1e300, 2**53, -(2**53) - 1, 0.1]),
)
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=4), max_leaves=20)
EVEN = st.lists(st.integers(1, 3), min_size=1, max_size=4)


@given(
    st.dictionaries(st.sampled_from(["input", "inputs", "instances", "signature_name", "other"]), VALUES, max_size=3)
)
def test_numbers_are_what_json_says(document: dict[str, Any]) -> None:
    found = json_numbers.read(json.dumps(document).encode(), KEYS)
    if found is None:
        return
    expected = np.array(document[found.key])
    assert (found.values == expected).all()
    assert found.values.shape == expected.shape
    assert found.values.dtype in (np.int64, np.float64)
    assert found.signature_name == document.get("signature_name", "")


@given(EVEN, st.booleans(), st.sampled_from([None, 0, 1]), st.sampled_from(["", "f", 'a"[\\']))
def test_even_lists_are_taken(sizes: list[int], has_points: bool, indent: int | None, name: str) -> None:  # noqa: FBT001
    values = np.arange(np.prod(sizes)).reshape(sizes) + (0.5 if has_points else 0)
    named = {"signature_name": name} if name else {}
    for document in ({"inputs": values.tolist(), **named}, {**named, "inputs": values.tolist()}):
        found = json_numbers.read(json.dumps(document, indent=indent).encode(), KEYS)
        if name == 'a"[\\':
            # Escapes are looked at by others; nothing wrong may come of them.
            assert found is None or (found.values == values).all()
            continue
        assert found is not None
        assert (found.values.tolist(), found.signature_name) == (values.tolist(), name)


# Brackets, commas and a key of a few kinds: many of these differ in their numbers alone.
LISTS: st.SearchStrategy[Any] = st.recursive(
    st.lists(st.integers(0, 12), max_size=2), lambda inner: st.lists(inner, max_size=3), max_leaves=4
)
BODIES = st.builds(
    lambda key, value: f'{{"{key}":{json.dumps(value)}}}'.encode(),
    st.sampled_from(["inputs", "in1puts", "input"]),
    LISTS,
)


@given(st.lists(BODIES, min_size=2, max_size=8))
def test_a_body_is_read_the_same_whatever_came_before(bodies: list[bytes]) -> None:
    def told(body: bytes) -> Any:
        found = json_numbers.read(body, KEYS)
        return found and (found.key, found.values.shape, found.values.dtype, found.values.tolist())

    after_others = [told(body) for body in bodies * 2]
    alone = []
    for body in bodies:
        json_numbers._met.clear()
        alone.append(told(body))
    assert after_others == alone * 2


def test_a_bounded_number_of_bodies_is_remembered() -> None:
    for size in range(2 * json_numbers._REMEMBERED_BODIES):
        assert json_numbers.read(json.dumps({"inputs": [[0] * (size + 1)]}).encode(), KEYS) is not None
    large = json_numbers.read(json.dumps({"inputs": [[0] * (2 * json_numbers._REMEMBERED_BYTES)]}).encode(), KEYS)
    assert large is not None
    assert len(json_numbers._met) <= json_numbers._REMEMBERED_BODIES
    assert max(map(len, json_numbers._met)) <= json_numbers._REMEMBERED_BYTES


@pytest.mark.parametrize("lists", [[[]], [[], []], [[[], []], [[], []]]])
def test_lists_of_nothing_are_what_numpy_has(lists: list[Any]) -> None:
    found = json_numbers.read(json.dumps({"inputs": lists}).encode(), KEYS)
    expected = np.array(lists)
    assert found is not None
    assert (found.values.shape, found.values.dtype) == (expected.shape, expected.dtype)


@pytest.mark.parametrize(
    "body",
    [
        b'{"input":[]}',
        b'{"input":[[],[1]]}',
        b'{"input":[[],[[]]]}',
        b'{"input":[1,[],[2,3]]}',
        b'{"input":[[1,2],[3],[4]]}',
        b'{"input":[[1,2],[3,[4]]]}',
        b'{"input":[1],"input":[2]}',
        b'{"input":[1],"inputs":[2]}',
        b'{"input":[18446744073709551615]}',
        b'{"input":[9007199254740993e0]}',
        b'{"input":[1]} ?',
        b'{"input":5}',
        b"[1]",
        b"",
        b"\xff",
        b'{"input":' + b"[" * 2000 + b"1" + b"]" * 2000 + b"}",
    ],
)
def test_all_else_is_left_to_others(body: bytes) -> None:
    assert json_numbers.read(body, KEYS) is None


@given(
    VALUES, st.sampled_from([serving_pb2.DT_FLOAT, serving_pb2.DT_INT32, serving_pb2.DT_DOUBLE, serving_pb2.DT_INT64])
)
def test_tensors_are_those_of_the_longer_way(value: Any, dtype: int) -> None:
    for key in ("instances", "inputs"):
        body = json.dumps({key: value}).encode()
        numbers = json_numbers.read(body, json_tensors.KEYS)
        quick = None if numbers is None else json_tensors.read_numbers(numbers, {"x": dtype})
        if quick is None:
            continue
        expected, is_rows = json_tensors.read_inputs(json_tensors.parse(body), {"x": dtype})
        assert quick[1] == is_rows
        np.testing.assert_array_equal(quick[0]["x"], expected["x"])
        assert quick[0]["x"].dtype == expected["x"].dtype


@pytest.mark.parametrize("unit", [b"[],", b"[[],", b"{},", b"1,", b'"a",', b"[1],"])
def test_time_is_linear(unit: bytes) -> None:
    def seconds(count: int) -> float:
        body = b'{"input":[' + unit * count + b"1]}"
        start = time.perf_counter()
        json_numbers.read(body, KEYS)
        return time.perf_counter() - start

    seconds(1000)
    assert seconds(400_000) < max(0.5, 40 * seconds(40_000))


def test_document_of_too_many_values_is_refused_before_it_is_read() -> None:
    body = b'{"instances":[' + b"[]," * (json_tensors.MAXIMUM_PARSED_BYTES // json_tensors.BYTES_FOR_A_VALUE // 2 + 1)
    with pytest.raises(ServingError, match="expected at most"):
        json_tensors.parse(body)


@pytest.mark.parametrize("levels", [1, 2, 3, 8, 30])
def test_lists_of_nothing_cost_no_more_than_was_sent(levels: int) -> None:
    # The first of each level has a thousand neighbours without anything in them: as a shape that is 1000 ** levels.
    lists = "[]"
    for _ in range(levels):
        lists = f"[{lists}{',[]' * 999}]"
    body = f'{{"inputs": {lists}}}'.encode()
    tracemalloc.start()
    try:
        found = json_numbers.read(body, KEYS)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (found is None) == (levels > 1)
    assert peak < 10 * len(body) + (1 << 20)


@given(st.lists(st.integers(0, 5), min_size=1, max_size=5))
def test_brackets_are_as_long_as_they_are_said_to_be(shape: list[int]) -> None:
    assert json_numbers._lists_bytes(tuple(shape)) == len(json_numbers._nested_lists(tuple(shape)))
