"""The Open Inference Protocol V2 in front of a model that is a numpy function."""

from __future__ import annotations

import asyncio
import json
import struct
from typing import TYPE_CHECKING, Any, cast

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, strategies

from model_api.errors import TooSlowError, UnavailableError
from model_api.v2 import V2
from model_description.signature import Signature, TensorSpec
from serving_codec.status import Code, ServingError
from tests.unit.api.computing import Computing, request, same, signature_of

if TYPE_CHECKING:
    from model_api.gateway import Gateway
    from model_api.reply import Reply

MODEL = "/v2/models/the%20model"
INFER = f"{MODEL}/infer"
LENGTH = b"inference-header-content-length"
PAIR = {"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]}


def echo(tensors: Any) -> Any:
    """Answer `y` with `x`."""
    return {"y": tensors["x"]}


def model_of(signature: Signature, *flags: str) -> Computing:
    """Return a gateway of a model that answers with its input."""
    return Computing(echo, signature, flags=flags)


def handled(gateway: Computing, path: str, body: bytes | None = None, **headers: bytes) -> Reply:
    """Return what a path is answered."""
    named = {name.replace("_", "-").encode(): value for name, value in headers.items()}
    return asyncio.run(V2(cast("Gateway", gateway)).handle(request(path, body, named)))


def inferred(gateway: Computing, document: Any, path: str = INFER) -> Any:
    """Return the JSON of an answer to a JSON request; fail when it is refused."""
    reply = handled(gateway, path, json.dumps(document).encode())
    assert reply.status == 200, reply.body
    return json.loads(reply.body)


def sent(gateway: Computing, document: Any, blob: bytes, length: bytes | None = None) -> Reply:
    """Return what a request with binary data behind its JSON is answered."""
    header = json.dumps(document).encode()
    return handled(gateway, INFER, header + blob, inference_header_content_length=length or str(len(header)).encode())


def parts(reply: Reply) -> tuple[Any, bytes]:
    """Return the JSON of an answer and the binary data behind it."""
    assert reply.status == 200, reply.body
    length = int(dict(reply.headers)[LENGTH])
    return json.loads(reply.body[:length]), reply.body[length:]


def refusal(reply: Reply) -> str:
    """Return the words of a 400."""
    assert reply.status == 400, reply.body
    words: str = json.loads(reply.body)["error"]
    return words


def tensor(datatype: str, shape: list[int], **more: Any) -> dict[str, Any]:
    """Return an entry for the input x."""
    return {"name": "x", "datatype": datatype, "shape": shape, **more}


def in_binary(datatype: str, shape: list[int], size: int) -> dict[str, Any]:
    """Return a request for x in binary, answered in binary."""
    given = tensor(datatype, shape, parameters={"binary_data_size": size})
    return {"inputs": [given], "parameters": {"binary_data_output": True}}


# dtype, datatype, a row of two
VALUES: list[tuple[str, str, list[Any]]] = [
    ("bool", "BOOL", [True, False]),
    ("uint8", "UINT8", [0, 255]),
    ("uint16", "UINT16", [0, 65535]),
    ("uint32", "UINT32", [0, 2**32 - 1]),
    ("uint64", "UINT64", [2**64 - 1, 2**53 + 1]),
    ("int8", "INT8", [-128, 127]),
    ("int16", "INT16", [-32768, 32767]),
    ("int32", "INT32", [-(2**31), 2**31 - 1]),
    ("int64", "INT64", [2**63 - 1, -(2**53) - 1]),
    ("float16", "FP16", [0.5, 65504.0]),
    ("bfloat16", "BF16", [0.5, 3.0]),
    ("float32", "FP32", [0.5, -3.25]),
    ("float64", "FP64", [0.1, 1e300]),
    ("string", "BYTES", ["a", "\u00e4\x00"]),
]


# ---- tensors


@pytest.mark.parametrize(("dtype", "datatype", "row"), VALUES, ids=[case[0] for case in VALUES])
def test_values_travel_as_json_flat_or_nested(dtype: str, datatype: str, row: list[Any]) -> None:
    expected = [{"name": "y", "datatype": datatype, "shape": [1, 2], "data": row}]
    for data in (row, [row]):
        answer = inferred(model_of(same(dtype)), {"inputs": [tensor(datatype, [1, 2], data=data)]})
        assert answer == {"model_name": "the model", "model_version": "1", "outputs": expected}


@pytest.mark.parametrize(("dtype", "datatype", "row"), VALUES[:-1], ids=[case[0] for case in VALUES[:-1]])
def test_numbers_travel_in_binary_both_ways(dtype: str, datatype: str, row: list[Any]) -> None:
    blob = np.array(row, ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype).tobytes()
    header, content = parts(sent(model_of(same(dtype)), in_binary(datatype, [1, 2], len(blob)), blob))
    assert content == blob
    size = {"binary_data_size": len(blob)}
    assert header["outputs"] == [{"name": "y", "datatype": datatype, "shape": [1, 2], "parameters": size}]


@given(strategies.lists(strategies.binary(max_size=9), min_size=1, max_size=6))
def test_any_bytes_travel_in_binary_both_ways(texts: list[bytes]) -> None:
    blob = b"".join(struct.pack("<I", len(text)) + text for text in texts)
    _, content = parts(sent(model_of(same("string", (None,))), in_binary("BYTES", [len(texts)], len(blob)), blob))
    assert content == blob


def test_bytes_that_are_no_text_are_not_written_as_json() -> None:
    document = {"inputs": [tensor("BYTES", [1], parameters={"binary_data_size": 5})]}
    assert "ask for binary data" in refusal(sent(model_of(same("string", (None,))), document, b"\x01\0\0\0\xff"))


def test_some_tensors_travel_in_binary_and_others_do_not() -> None:
    specs = {name: TensorSpec(name, "int32", (None,)) for name in "abcd"}
    signature = signature_of({"a": specs["a"], "b": specs["b"]}, {"c": specs["c"], "d": specs["d"]})
    model = Computing(lambda found: {"c": found["a"], "d": found["b"]}, signature)
    inputs = [
        {"name": "b", "datatype": "INT32", "shape": [1], "parameters": {"binary_data_size": 4}},
        {"name": "a", "datatype": "INT32", "shape": [1], "data": [7]},
    ]
    outputs = [{"name": "d"}, {"name": "c", "parameters": {"binary_data": True}}]
    header, content = parts(sent(model, {"inputs": inputs, "outputs": outputs}, struct.pack("<i", 9)))
    assert content == struct.pack("<i", 7)
    assert header["outputs"] == [
        {"name": "d", "datatype": "INT32", "shape": [1], "data": [9]},
        {"name": "c", "datatype": "INT32", "shape": [1], "parameters": {"binary_data_size": 4}},
    ]


def test_not_a_number_is_null_in_json_and_itself_in_binary() -> None:
    model = model_of(same("float32"))
    blob = struct.pack("<2f", float("nan"), float("inf"))
    document = in_binary("FP32", [1, 2], 8)
    assert parts(sent(model, document, blob))[1] == blob
    as_json = json.loads(sent(model, {"inputs": document["inputs"]}, blob).body)
    assert as_json["outputs"][0]["data"] == [None, None]


def test_empty_tensor_is_a_tensor() -> None:
    answer = inferred(model_of(same("float32")), {"inputs": [tensor("FP32", [0, 2], data=[])]})
    assert (answer["outputs"][0]["shape"], answer["outputs"][0]["data"]) == ([0, 2], [])


# ---- requests


def test_id_is_echoed_and_unknown_parameters_are_ignored() -> None:
    document = {"id": "mine", "inputs": [PAIR], "parameters": {"priority": 3}}
    assert inferred(model_of(same("float32")), document)["id"] == "mine"


def test_outputs_that_are_asked_for_are_answered_alone_and_in_that_order() -> None:
    specs = {name: TensorSpec(name, "float32", (None, 2)) for name in ("a", "b", "c")}
    model = Computing(
        lambda found: dict.fromkeys(specs, found["x"]),
        signature_of({"x": TensorSpec("x", "float32", (None, 2))}, specs),
    )
    answer = inferred(model, {"inputs": [PAIR], "outputs": [{"name": "c"}, {"name": "a"}]})
    assert [output["name"] for output in answer["outputs"]] == ["c", "a"]
    assert list(model.calls[-1].outputs) == ["c", "a"]
    assert [output["name"] for output in inferred(model, {"inputs": [PAIR]})["outputs"]] == ["a", "b", "c"]
    # So that it may travel with others.
    assert not model.calls[-1].outputs


def test_version_of_the_path_is_asked_with_its_own_signature() -> None:
    model = Computing(echo, same("int64"), same("float32"))
    given = {"inputs": [tensor("INT64", [1, 2], data=[1, 2])]}
    assert inferred(model, given, f"{MODEL}/versions/1/infer")["model_version"] == "1"
    assert inferred(model, {"inputs": [PAIR]})["model_version"] == "2"


def test_optional_input_may_be_left_out() -> None:
    spec = TensorSpec("x", "float32", (None, 2))
    inputs = {"x": spec, "scale": TensorSpec("scale", "float32", ())}
    model = model_of(signature_of(inputs, {"y": spec}, optional=frozenset({"scale"})))
    assert inferred(model, {"inputs": [PAIR]})["outputs"][0]["data"] == [1.0, 2.0]


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ([], "expected a JSON object with 'inputs', got a list of 0"),
        ({}, "inputs: expected a non-empty list of tensors, got null"),
        ({"inputs": []}, "inputs: expected a non-empty list"),
        ({"inputs": [3]}, "inputs[0]: expected an object with name, shape, datatype and data, got 3"),
        ({"inputs": [{**PAIR, "name": "z"}]}, "inputs[0].name: expected one of 'x' (FP32 [-1, 2]), got \"z\""),
        ({"inputs": [{**PAIR, "datatype": "FP64"}]}, "inputs[0].datatype: expected FP32 for 'x', got \"FP64\""),
        ({"inputs": [{**PAIR, "shape": [1, 3]}]}, "inputs[0].shape: expected [-1, 2] for 'x', got [1, 3]"),
        ({"inputs": [{**PAIR, "shape": [2]}]}, "inputs[0].shape: expected [-1, 2] for 'x', got [2]"),
        ({"inputs": [{**PAIR, "shape": [-1, 2]}]}, "inputs[0].shape: expected [-1, 2] with every size given"),
        ({"inputs": [{**PAIR, "shape": [True, 2]}]}, "inputs[0].shape"),
        ({"inputs": [{**PAIR, "shape": [10**30, 2]}]}, "inputs[0].shape"),
        ({"inputs": [{**PAIR, "shape": [2, 2]}]}, "inputs[0].data"),
        ({"inputs": [{**PAIR, "data": [1, "a"]}]}, 'inputs[0].data[1]: expected a number, got "a"'),
        ({"inputs": [{**PAIR, "data": [1, True]}]}, "inputs[0].data"),
        ({"inputs": [PAIR, PAIR]}, "inputs[1]: expected each input once, got 'x' again"),
        ({"inputs": [{**PAIR, "parameters": 3}]}, "inputs[0].parameters: expected an object, got 3"),
        ({"inputs": [PAIR], "id": 3}, "id: expected a text, got 3"),
        ({"inputs": [PAIR], "outputs": [{"name": "z"}]}, "outputs[0].name: expected one of 'y', got \"z\""),
        ({"inputs": [PAIR], "outputs": [{"name": "y"}] * 2}, "outputs[1]: expected each output once"),
        ({"inputs": [PAIR], "outputs": 3}, "outputs: expected a list, got 3"),
        ({"inputs": [PAIR], "parameters": {"binary_data_output": 1}}, "parameters.binary_data_output"),
    ],
)
def test_what_is_wrong_is_told_and_where(document: Any, words: str) -> None:
    found = refusal(handled(model_of(same("float32")), INFER, json.dumps(document).encode()))
    assert words in found


@pytest.mark.parametrize(
    ("size", "blob", "length", "words"),
    [
        (8, b"\0" * 4, None, "expected 8 bytes of binary data behind the JSON, got 4"),
        (4, b"\0" * 4, None, "expected 8 bytes of FP32 for the shape [1, 2], got 4"),
        (8, b"\0" * 9, None, "expected the body to end with the last binary tensor, got 1 more bytes"),
        (-8, b"\0" * 8, None, "expected a number of bytes"),
        ("8", b"\0" * 8, None, "expected a number of bytes"),
        (8, b"\0" * 8, b"100000", "Inference-Header-Content-Length: expected a number up to the body's"),
        (8, b"\0" * 8, b"-1", "Inference-Header-Content-Length: expected a number up to the body's"),
        (8, b"\0" * 8, b"5", "the body is not JSON"),
    ],
)
def test_sizes_that_lie_are_refused(size: Any, blob: bytes, length: bytes | None, words: str) -> None:
    reply = sent(model_of(same("float32")), in_binary("FP32", [1, 2], size), blob, length)
    assert words in refusal(reply)


@pytest.mark.parametrize(
    ("count", "blob"),
    [
        (2, b"\x01\0\0\0a"),
        (1, b"\x09\0\0\0a"),
        (1, b"\xff\xff\xff\xffa"),
        (1, b"\x01\0\0\0ab"),
        (1, b"\x01\0"),
        (2**31 - 1, b"\x01\0\0\0a"),
    ],
)
def test_texts_whose_lengths_lie_are_refused(count: int, blob: bytes) -> None:
    reply = sent(model_of(same("string", (None,))), in_binary("BYTES", [count], len(blob)), blob)
    assert "elements, each its length in 4 bytes" in refusal(reply)


@given(strategies.binary(max_size=60), strategies.binary(max_size=4))
def test_no_body_is_an_internal_error(body: bytes, length: bytes) -> None:
    model = model_of(same("float32"))
    assert handled(model, INFER, body).status == 400
    assert handled(model, INFER, body, inference_header_content_length=length).status == 400


# ---- paths


def test_server_tells_what_it_is() -> None:
    content = json.loads(handled(model_of(same("float32")), "/v2").body)
    assert (content["name"], content["extensions"]) == ("tensorflow-model-api", ["binary_tensor_data"])


def test_health_is_the_gateways() -> None:
    model = model_of(same("float32"))
    assert handled(model, "/v2/health/live").status == 200
    assert handled(model, "/v2/health/ready").status == 200
    model.is_ready = False
    assert handled(model, "/v2/health/live").status == 200
    assert handled(model, "/v2/health/ready").status == 503
    assert handled(model, f"{MODEL}/ready").status == 503


def test_metadata_tells_versions_and_tensors() -> None:
    model = Computing(echo, same("int64"), same("bfloat16", None))
    assert json.loads(handled(model, MODEL).body) == {
        "name": "the model",
        "versions": ["2", "1"],
        "platform": "tensorflow_savedmodel",
        "inputs": [{"name": "x", "datatype": "BF16", "shape": [-1]}],
        "outputs": [{"name": "y", "datatype": "BF16", "shape": [-1]}],
    }
    assert json.loads(handled(model, f"{MODEL}/versions/1").body)["inputs"][0]["datatype"] == "INT64"


@pytest.mark.parametrize(
    "path",
    [
        "/v2/models/other",
        "/v2/models",
        f"{MODEL}/versions/9",
        f"{MODEL}/versions/x/ready",
        f"{MODEL}/other",
        "/v2/x",
        f"{MODEL}/versions/9223372036854775808/ready",
    ],
)
def test_what_is_not_there_is_not_found(path: str) -> None:
    reply = handled(model_of(same("float32")), path)
    assert (reply.status, list(json.loads(reply.body))) == (404, ["error"])


@pytest.mark.parametrize(("path", "body", "allowed"), [(INFER, None, b"POST"), (MODEL, b"{}", b"GET")])
def test_other_methods_are_refused_with_the_right_one(path: str, body: bytes | None, allowed: bytes) -> None:
    reply = handled(model_of(same("float32")), path, body)
    assert (reply.status, dict(reply.headers)[b"allow"]) == (405, allowed)


@pytest.mark.parametrize(
    ("error", "status", "headers"),
    [
        (UnavailableError("9 rows are waiting already"), 503, {b"retry-after": b"1"}),
        (ServingError(Code.UNAVAILABLE, "gone"), 503, {b"retry-after": b"1"}),
        (TooSlowError("no answer within 5 s"), 504, {}),
        (ServingError(Code.INVALID_ARGUMENT, "wrong"), 400, {}),
        (ServingError(Code.INTERNAL, "broken"), 500, {}),
    ],
)
def test_errors_have_their_status(error: Exception, status: int, headers: dict[bytes, bytes]) -> None:
    model = model_of(same("float32"))
    model.error = error
    reply = handled(model, INFER, json.dumps({"inputs": [PAIR]}).encode())
    assert (reply.status, dict(reply.headers)) == (status, headers)


def test_output_that_the_version_did_not_give_is_an_error() -> None:
    model = Computing(lambda _: {}, same("float32"))
    assert handled(model, INFER, json.dumps({"inputs": [PAIR]}).encode()).status == 500


def test_output_of_a_dtype_that_cannot_travel_is_the_models_fault_and_the_others_are_answered() -> None:
    outputs = {"y": TensorSpec("y", "float32", (None, 2)), "z": TensorSpec("z", "DT_COMPLEX64", (None, 2))}
    model = model_of(signature_of({"x": TensorSpec("x", "float32", (None, 2))}, outputs))
    reply = handled(model, INFER, json.dumps({"inputs": [PAIR]}).encode())
    assert (reply.status, "'z' is DT_COMPLEX64" in json.loads(reply.body)["error"]) == (500, True)
    assert not model.calls
    (answered,) = inferred(model, {"inputs": [PAIR], "outputs": [{"name": "y"}]})["outputs"]
    assert answered["data"] == [1, 2]


def test_request_read_for_a_version_that_is_gone_is_read_for_the_next_one() -> None:
    model = Computing(echo, same("float32"), same("string"))
    texts = tensor("BYTES", [1, 2], data=["a", "b"])
    model.current = 1
    assert inferred(model, {"inputs": [texts]})["outputs"][0]["data"] == ["a", "b"]
    # Who names a version means it.
    assert handled(model, f"{MODEL}/versions/1/infer", json.dumps({"inputs": [texts]}).encode()).status == 400
