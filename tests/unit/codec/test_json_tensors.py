"""JSON to tensors and back, in TensorFlow Serving's words."""

from __future__ import annotations

import json
import math
import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_description.protos import serving_pb2
from serving_codec import json_tensors
from serving_codec.json_tensors import Output
from serving_codec.status import ServingError
from serving_codec.tensors import NUMPY_BY_NUMBER

FLOAT: dict[str, int] = {"x": serving_pb2.DT_FLOAT}
TWO: dict[str, int] = {"a": serving_pb2.DT_FLOAT, "b": serving_pb2.DT_INT32}
STRING: dict[str, int] = {"s": serving_pb2.DT_STRING}


def read(body: str | bytes, wanted: dict[str, int] = FLOAT, *, halves: bool = False) -> tuple[dict[str, Any], bool]:
    """Read a request body to a signature with inputs of these dtypes."""
    raw = body if isinstance(body, bytes) else body.encode()
    document = json_tensors.parse(raw)
    json_tensors.signature_name_of(document)
    may_hold_booleans = json_tensors.may_hold_booleans(raw)
    return json_tensors.read_inputs(document, wanted, may_hold_booleans=may_hold_booleans, halves=halves)


def test_rows_are_stacked_on_a_new_axis() -> None:
    tensors, is_rows = read('{"instances": [[1, 2.5], [3, 4]]}')
    assert is_rows
    np.testing.assert_array_equal(tensors["x"], np.array([[1, 2.5], [3, 4]], np.float32))


def test_rows_may_be_objects_by_name() -> None:
    tensors, _ = read('{"instances": [{"a": 1, "b": [2]}, {"a": 3, "b": [4]}]}', TWO)
    assert (tensors["a"].tolist(), tensors["b"].tolist(), tensors["b"].dtype) == ([1, 3], [[2], [4]], np.int32)


def test_columns_may_be_bare_or_named() -> None:
    assert read('{"inputs": 5}')[0]["x"].shape == ()
    assert read('{"inputs": {"x": [1, 2]}}')[0]["x"].tolist() == [1, 2]
    assert not read('{"inputs": []}')[1]


def test_parser_takes_what_upstream_takes() -> None:
    assert np.isnan(read('{"instances": [NaN]}')[0]["x"][0])
    assert read('{"instances": [-Infinity]}')[0]["x"][0] == -math.inf
    assert read(b'\xef\xbb\xbf{"instances": [1]} trailing')[0]["x"].tolist() == [1]
    assert read('{"instances": [1], "instances": [2]}')[0]["x"].tolist() == [1]
    assert read('{"instances": [1e39]}')[0]["x"][0] == math.inf


def test_strings_may_be_base64() -> None:
    assert read('{"instances": [{"b64": "AAE="}, "text"]}', STRING)[0]["s"].tolist() == [b"\x00\x01", b"text"]


def test_base64_may_be_in_lines_and_without_padding() -> None:
    bodies = ['{"instances": [{"b64": "AAE"}]}', '{"inputs": [{"b64": "AA\\nE=\\n"}]}', '{"inputs": [{"b64": "AAE."}]}']
    assert [read(body, STRING)[0]["s"].tolist() for body in bodies] == [[b"\x00\x01"]] * 3


@pytest.mark.parametrize(
    ("body", "offset"),
    [
        ('{"instances": ["hello \\ud83d"]}', 22),
        ('{"inputs": ["\\udc00x"]}', 13),
        ('{"instances": ["a"], "note": "\\ud83d"}', 30),
        ('{"instances": ["a"], "\\uD83D": 1}', 22),
        ('{"signature_name": "\\ud83d", "instances": ["a"]}', 20),
        ('{"instances": [{"\\ud83d": "a"}]}', 17),
        ('{"instances": ["\\ud83d\\ud83d\\ude00"]}', 16),
        ('{"instances": ["\\\\\\udfff"]}', 18),
        ('{"instances": ["\\ud83d", nonsense', 16),
        ('{"instances": ["é\\ud83d"]}', 18),
    ],
)
def test_half_an_emoji_is_refused_wherever_it_stands(body: str, offset: int) -> None:
    with pytest.raises(ServingError) as refused:
        read(body, STRING)
    told = f"JSON Parse error: The surrogate pair in string is invalid. at offset: {offset}"
    assert refused.value.message == told


def test_whole_emoji_and_escaped_backslashes_are_read() -> None:
    body = '{"instances": ["\\ud83d\\ude00", "\\\\ud83d", "a\\u0000b"]} \\ud83d'
    assert read(body, STRING)[0]["s"].tolist() == ["😀".encode(), b"\\ud83d", b"a\x00b"]


@pytest.mark.parametrize(
    "unterminated", ['\\"', '"', "\\", '\\"Inf', '"\\ud83d', "\\ud83d", "-Na", "1e9", "9" * 18 + " "]
)
def test_any_120_kilobytes_are_read_in_a_fifth_of_a_second(unterminated: str) -> None:
    body = ('{"instances": [Inf, -NaN, "' + unterminated * (120_000 // len(unterminated))).encode()
    start = time.process_time()
    with pytest.raises(ServingError):
        read(body)
    assert time.process_time() - start < 0.2


@pytest.mark.parametrize("dtype", [serving_pb2.DT_HALF, serving_pb2.DT_BFLOAT16])
def test_halves_are_read_and_written_for_who_asks(dtype: int) -> None:
    wanted = {"x": dtype}
    values = read('{"instances": [1, 2.5, NaN]}', wanted, halves=True)[0]["x"]
    assert values.dtype == NUMPY_BY_NUMBER[dtype]
    assert json_tensors.write_rows([Output("y", dtype, values)], halves=True).split() == (
        ["{", '"predictions":', "[1.0,", "2.5,", "NaN", "]", "}"]
    )
    with pytest.raises(ServingError, match="to type: "):
        read('{"instances": [1]}', wanted)
    with pytest.raises(ServingError, match="Failed to write JSON value for tensor type: "):
        json_tensors.write_columns([Output("y", dtype, values)])


def test_narrow_integers_wrap() -> None:
    assert read('{"instances": [300]}', {"x": serving_pb2.DT_UINT8})[0]["x"].tolist() == [44]


@pytest.mark.parametrize(
    ("body", "wanted", "told"),
    [
        ("", FLOAT, "JSON Parse error: The document is empty"),
        ("x", FLOAT, "JSON Parse error: Invalid value. at offset: 0"),
        ("[" * 500_000, FLOAT, "JSON Parse error"),
        ("[1]", FLOAT, "Is not object"),
        ('{"signature_name": 1}', FLOAT, "'signature_name' key must be a string value."),
        ("{}", FLOAT, "Missing 'inputs' or 'instances' key"),
        ('{"inputs": 1, "instances": [1]}', FLOAT, "expecting only one of 'inputs' or 'instances' keys to exist "),
        ('{"instances": 1}', FLOAT, "Expecting 'instances' to be an list/array"),
        ('{"instances": []}', FLOAT, "No values in 'instances' array"),
        ('{"instances": ["a"]}', FLOAT, 'JSON Value: "a" Type: String is not of expected type: float'),
        ('{"instances": [true]}', FLOAT, "Type: True is not of expected type: float"),
        ('{"instances": [[1], [1, 2]]}', FLOAT, "Expecting tensor size: 1 but got: 2"),
        ('{"instances": [[[1]], [1]]}', FLOAT, "Expecting shape [1,1] but got: [1]"),
        ('{"inputs": [[1], 2]}', FLOAT, "found at incorrect level: 1 in the JSON DOM. Expected at level: 2"),
        ('{"inputs": [1, [2]]}', FLOAT, "Encountered list at unexpected level: 1 expected < 1"),
        ('{"inputs": [[1], [1, 2]]}', FLOAT, "Encountered list at unexpected size: 2 at level: 1 expected size: 1"),
        ('{"instances": [1, 2]}', TWO, "instances is a plain list, but expecting list of objects"),
        ('{"inputs": [1, 2]}', TWO, "inputs is a plain value/list, but expecting an object"),
        ('{"instances": [{"a": 1}]}', TWO, "keys must be equal to: a,b"),
        ('{"inputs": {"a": 1}}', TWO, "Missing named input: b in 'inputs' object."),
        ('{"inputs": {"a": 1, "b": 1.0}}', TWO, "Type: Number is not of expected type: int32"),
        ('{"inputs": {"a": 1, "b": 3000000000}}', TWO, "is not of expected type: int32"),
        ('{"inputs": [{"b64": "!"}]}', STRING, "Unable to base64 decode"),
        ('{"inputs": 1}', {"x": serving_pb2.DT_HALF}, "to type: half"),
    ],
)
def test_bad_request_is_refused_in_upstreams_words(body: str, wanted: Any, told: str) -> None:
    with pytest.raises(ServingError) as refused:
        read(body, wanted)
    assert told in refused.value.message


@pytest.mark.parametrize(
    ("value", "text"),
    [(3.0, "3.0"), (0.1, "0.1"), (9e6, "9e+06"), (3e-5, "3e-05"), (float("nan"), "NaN"), (float("-inf"), "-Infinity")],
)
def test_floats_are_written_as_upstream_writes_them(value: float, text: str) -> None:
    assert json_tensors.float_texts(np.array([value], np.float32)) == [text]


@given(st.floats(width=32))
def test_written_floats_are_read_back_equal(value: float) -> None:
    number = np.float32(value)
    read_back = np.float32(json.loads(json_tensors.float_texts(np.array([number]))[0]))
    np.testing.assert_equal(read_back, number)


def test_rows_and_columns_are_written() -> None:
    one = Output("y", serving_pb2.DT_FLOAT, np.array([[1.5], [2]], np.float32))
    two = Output("s_bytes", serving_pb2.DT_STRING, np.array([b"\x00", b"a"], object))
    assert json.loads(json_tensors.write_rows([one])) == {"predictions": [[1.5], [2.0]]}
    assert json.loads(json_tensors.write_rows([one, two])) == {
        "predictions": [{"y": [1.5], "s_bytes": {"b64": "AA=="}}, {"y": [2.0], "s_bytes": {"b64": "YQ=="}}]
    }
    assert json.loads(json_tensors.write_columns([one])) == {"outputs": [[1.5], [2.0]]}


def test_outputs_of_unequal_length_cannot_be_rows() -> None:
    outputs = [Output(name, serving_pb2.DT_FLOAT, np.zeros(size, np.float32)) for name, size in (("a", 1), ("b", 2))]
    with pytest.raises(ServingError, match="Tensor name: b has inconsistent batch size: 2 expecting: 1"):
        json_tensors.write_rows(outputs)
