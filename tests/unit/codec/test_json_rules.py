"""Any body is read as the slow reference reads it, or refused as it refuses it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import event, example, given, settings
from hypothesis import strategies as st

from model_description.protos import serving_pb2
from serving_codec import b64, json_tensors
from serving_codec.status import Code, ServingError
from tests.unit.codec import json_reference as reference

if TYPE_CHECKING:
    from collections.abc import Callable

EXAMPLES = 1000

numbers = st.one_of(
    st.integers(-300, 300).map(str),
    st.sampled_from(["0", "-0", "1.5", "-2e3", "1E-2", "2147483648", "9223372036854775808", "1e39", "1e400", "1e-400"]),
    st.sampled_from(["18446744073709551616", "01", "1.", ".5", "+1", "NaN", "-Inf", "Infinity", "-NaN", "Infin"]),
)
strings = st.one_of(
    st.sampled_from(
        [
            '"text"',
            '"AAE="',
            '"\\u00e9\\n"',
            '"é"',
            '"Inf -NaN"',
            '"a\\"b"',
            '"\\x"',
            '"',
            '"\\ud83d"',
            '"\\ude00"',
            '"\\uD83D\\uDE00"',
        ]
    ),
    st.text('ab\\"/ué\t', max_size=5).map(lambda text: f'"{text}"'),
)
scalars = st.one_of(
    numbers, numbers, strings, st.sampled_from(["true", "false", "null", '{"b64": "AAE="}', '{"b64": "AA\\nE"}'])
)
spaces = st.sampled_from(["", "", " ", "\n\t"])


@st.composite
def listed(draw: Callable[..., Any], items: st.SearchStrategy[str]) -> str:
    """Return a list, now and then with a comma too many."""
    between = draw(st.sampled_from([",", ",", ",", " , ", ",,"]))
    space, listed_items = draw(spaces), draw(st.lists(items, max_size=4))
    return f"[{space}{between.join(listed_items)}]"


@st.composite
def even(draw: Callable[..., Any], depth: int) -> str:
    """Return a list of lists, all of one shape and one kind of scalar, which random lists hardly ever are."""
    if not depth:
        kind = draw(st.shared(st.sampled_from([st.integers(0, 300).map(str), numbers, strings]), key="kind"))
        return str(draw(kind))
    size = draw(st.shared(st.integers(0, 3), key=f"size {depth}"))
    return "[" + ",".join(draw(even(depth - 1)) for _ in range(size)) + "]"


values = st.one_of(scalars, st.recursive(scalars, listed, max_leaves=8), st.integers(1, 3).flatmap(even))
named = st.builds("{{{}:{}}}".format, st.sampled_from(['"x"', '"y"', '"b64"', "x"]), values)
tops = st.builds(
    "{}{}:{}".format,
    spaces,
    st.sampled_from(['"instances"', '"instances"', '"inputs"', '"signature_name"', '"other"', '"\\u0069nputs"']),
    st.one_of(values, values, listed(values), listed(named), named),
)
bodies = st.builds(
    "{}{{{}}}{}".format,
    spaces,
    st.lists(tops, min_size=1, max_size=3).map(",".join),
    st.sampled_from(["", "", " x", "}"]),
)


sound = st.builds('{{"{}":{}}}'.format, st.sampled_from(["instances", "inputs"]), st.integers(1, 3).flatmap(even))


@st.composite
def damaged(draw: Callable[..., Any]) -> str:
    """Return a body with one character more, less or other."""
    body = draw(bodies)
    at = draw(st.integers(0, len(body)))
    instead = draw(st.sampled_from(["", ",", "]", '"', "\\", "0", "-", "\x01"]))
    return f"{body[:at]}{instead}{body[at + 1 :]}"


@settings(max_examples=EXAMPLES)
@given(st.one_of(bodies, sound, sound, damaged()), st.sampled_from(sorted(reference.DTYPES)))
@example('{"instances": [[1], 2]}', serving_pb2.DT_FLOAT)
@example('{"inputs": [[1, 2], [3]]}', serving_pb2.DT_FLOAT)
@example('{"instances": [{"x": 1}, {"x": 2}]}', serving_pb2.DT_INT32)
@example('{"instances": [300, -1]}', serving_pb2.DT_UINT8)
def test_any_body_is_read_as_the_reference_reads_it(body: str, dtype: int) -> None:
    try:
        wanted, is_rows = reference.read(body, dtype)
    except reference.RefusedError:
        event("refused")
        _expect_refusal(body, dtype)
        return
    event("read")
    document = json_tensors.parse(body.encode())
    for may_hold in {True, json_tensors.may_hold_booleans(body.encode())}:
        found, found_rows = json_tensors.read_inputs(document, {"x": dtype}, may_hold_booleans=may_hold)
        assert found_rows == is_rows
        assert found["x"].dtype == wanted.dtype
        np.testing.assert_array_equal(found["x"], wanted)


def _expect_refusal(body: str, dtype: int) -> None:
    try:
        document = json_tensors.parse(body.encode())
        json_tensors.signature_name_of(document)
        may_hold = json_tensors.may_hold_booleans(body.encode())
        found = json_tensors.read_inputs(document, {"x": dtype}, may_hold_booleans=may_hold)
    except ServingError as error:
        assert error.code is Code.INVALID_ARGUMENT
    else:
        raise AssertionError(f"read as {found}")


@settings(max_examples=EXAMPLES // 4)
@given(st.lists(st.floats(width=32), max_size=6), st.sampled_from([np.float32, np.float64]))
def test_any_floats_are_written_as_6_digits_or_as_many_as_it_takes(numbers: list[float], dtype: Any) -> None:
    texts = json_tensors.float_texts(np.array(numbers, dtype))
    for number, text in zip(numbers, texts, strict=True):
        np.testing.assert_equal(dtype(json.loads(text)), dtype(number))
        digits = text.lstrip("-").split("e")[0].replace(".", "").strip("0")
        longest = 9 if dtype is np.float32 else 17
        assert text in {"NaN", "Infinity", "-Infinity"} or len(digits) <= longest
        assert not text.lstrip("-").isdigit(), "a whole number has a point"


@settings(max_examples=EXAMPLES)
@given(st.text("AQ/+=. \n-é\x00", max_size=12))
@example("AAE=")
@example("AA\r\nE.")
@example("AAE==")
@example("====")
def test_any_base64_is_decoded_as_the_reference_decodes_it(text: str) -> None:
    try:
        wanted = reference.base64(text)
    except reference.RefusedError:
        with pytest.raises(ServingError, match="Unable to base64 decode"):
            b64.decode(text)
    else:
        assert b64.decode(text) == wanted
