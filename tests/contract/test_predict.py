"""Prediction, status and metadata over REST and gRPC."""

from __future__ import annotations

import base64
import gzip
import json
from typing import TYPE_CHECKING, Any

import grpc
import pytest
import requests
import tensorflow as tf
from tensorflow_serving.apis import get_model_metadata_pb2, get_model_status_pb2, predict_pb2

from tests.contract import models

if TYPE_CHECKING:
    from tests.contract.conftest import Server


def request(signature: str = "", name: str = "line", **inputs: Any) -> Any:
    """Return a PredictRequest."""
    made = predict_pb2.PredictRequest()
    made.model_spec.name = name
    made.model_spec.signature_name = signature
    for alias, value in inputs.items():
        made.inputs[alias].CopyFrom(tf.make_tensor_proto(value))
    return made


def test_rest_predicts_rows_and_columns(server: Server) -> None:
    assert server.post({"instances": [1.0, 2.0, 5.0]}).json() == {"predictions": [2.5, 3.0, 4.5]}
    assert server.post({"inputs": [1.0, 2.0, 5.0]}).json() == {"outputs": [2.5, 3.0, 4.5]}


def test_rest_predicts_several_inputs_and_outputs(server: Server) -> None:
    body = {"signature_name": "pair", "instances": [{"a": 1, "s": {"b64": "AAE="}}, {"a": 2, "s": "x"}]}
    assert server.post(body).json() == {
        "predictions": [
            {"double": 2.0, "echo_bytes": {"b64": "AAE="}},
            {"double": 4.0, "echo_bytes": {"b64": "eA=="}},
        ]
    }


def test_rest_takes_versions_and_gzip(server: Server) -> None:
    body = gzip.compress(json.dumps({"instances": [1.0]}).encode())
    reply = server.post(body, "/v1/models/line/versions/3:predict", headers={"Content-Encoding": "gzip"})
    assert reply.json() == {"predictions": [2.5]}


@pytest.mark.parametrize(
    ("path", "body", "status", "told"),
    [
        ("/v1/models/line:predict", "", 400, "JSON Parse error: The document is empty"),
        ("/v1/models/line:predict", "{}", 400, "Missing 'inputs' or 'instances' key"),
        ("/v1/models/none:predict", '{"instances": [1]}', 404, "Servable not found for request: Latest(none)"),
        ("/v1/models/none:predict", "{", 400, "JSON Parse error"),
        ("/v1/models/line/versions/9:predict", '{"instances": [1]}', 404, "Specific(line, 9)"),
        ("/v1/models/line/labels/a:predict", '{"instances": [1]}', 400, "Unrecognized servable version label: a"),
        (
            "/v1/models/line:predict",
            '{"signature_name": "no", "instances": [1]}',
            400,
            'signature name: "no" not found',
        ),
        ("/v1/models/line:predict", '{"instances": ["a"]}', 400, "is not of expected type: float"),
        ("/v1/models/line:nothing", "{}", 400, "Malformed request: POST /v1/models/line:nothing"),
    ],
)
def test_rest_refuses_in_upstreams_words(server: Server, path: str, body: str, status: int, told: str) -> None:
    reply = server.post(body, path)
    assert reply.status_code == status
    assert reply.headers["Content-Type"] == "application/json"
    assert told in reply.json()["error"]


def test_rest_tells_status_and_metadata(server: Server) -> None:
    status = requests.get(server.url("/v1/models/line"), timeout=5).json()
    assert status == {
        "model_version_status": [
            {"version": "3", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
        ]
    }
    metadata = requests.get(server.url("/v1/models/line/metadata"), timeout=5).json()
    assert metadata["model_spec"] == {"name": "line", "signature_name": "", "version": "3"}
    signature = metadata["metadata"]["signature_def"]["signature_def"]["serving_default"]
    assert signature["inputs"]["x"]["dtype"] == "DT_FLOAT"
    assert signature["inputs"]["x"]["tensor_shape"] == {"dim": [{"size": "-1", "name": ""}], "unknown_rank": False}


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("/v1/models/none", "Could not find any versions of model none"),
        ("/v1/models/line/versions/9", "Could not find version 9 of model line"),
        ("/v1/models/none/metadata", "Servable not found for request: Latest(none)"),
    ],
)
def test_unknown_model_is_404(server: Server, path: str, told: str) -> None:
    reply = requests.get(server.url(path), timeout=5)
    assert (reply.status_code, reply.json()) == (404, {"error": told})


def test_other_paths_are_an_html_404(server: Server) -> None:
    reply = requests.get(server.url("/"), timeout=5)
    assert (reply.status_code, reply.headers["Content-Type"]) == (404, "text/html")


def test_grpc_predicts_and_tells_what_answered(server: Server) -> None:
    reply = server.prediction.Predict(request(x=[1.0, 2.0]), timeout=10)
    assert list(reply.outputs["y"].float_val) == [2.5, 3.0]
    spec = reply.model_spec
    assert (spec.name, spec.version.value, spec.signature_name) == ("line", 3, "serving_default")


def test_grpc_takes_a_large_message(server: Server) -> None:
    reply = server.prediction.Predict(request(x=[1.0] * 3_000_000), timeout=30)
    assert len(reply.outputs["y"].float_val) == 3_000_000


def test_grpc_filters_outputs(server: Server) -> None:
    asked = request("pair", a=[1.0], s=["x"])
    asked.output_filter.append("double")
    assert list(server.prediction.Predict(asked, timeout=10).outputs) == ["double"]


@pytest.mark.parametrize(
    ("asked", "code", "told"),
    [
        (predict_pb2.PredictRequest(), "INVALID_ARGUMENT", "Missing ModelSpec"),
        (request(name="", x=[1.0]), "INVALID_ARGUMENT", "ModelSpec has no name specified."),
        (request(name="none", x=[1.0]), "NOT_FOUND", "Servable not found for request: Latest(none)"),
        (request("no", x=[1.0]), "FAILED_PRECONDITION", 'Serving signature key "no" not found.'),
        (request(), "INVALID_ARGUMENT", "Missing but required: {x}."),
        (request(x=[1.0], z=[1.0]), "INVALID_ARGUMENT", "Sent extra: {z}."),
        (request(x=[1]), "INVALID_ARGUMENT", "Expects arg[0] to be float but int32 is provided"),
    ],
)
def test_grpc_refuses_in_upstreams_words(server: Server, asked: Any, code: str, told: str) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        server.prediction.Predict(asked, timeout=10)
    assert refused.value.code() is grpc.StatusCode[code]
    assert told in str(refused.value.details())


def test_deadline_bounds_the_run(server: Server) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        server.prediction.Predict(request("slow", x=[models.MINUTES]), timeout=0.5)
    assert refused.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    # The server goes on.
    assert server.prediction.Predict(request(x=[1.0]), timeout=10).outputs["y"].float_val[0] == 2.5


def test_grpc_tells_status_and_metadata(server: Server) -> None:
    asked = get_model_status_pb2.GetModelStatusRequest()
    asked.model_spec.name = "line"
    status = server.models.GetModelStatus(asked, timeout=5).model_version_status
    assert [(item.version, item.state) for item in status] == [(3, 30)]
    wanted = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
    wanted.model_spec.name = "line"
    packed = server.prediction.GetModelMetadata(wanted, timeout=5).metadata["signature_def"]
    signatures = get_model_metadata_pb2.SignatureDefMap()
    assert packed.Unpack(signatures)
    assert {"serving_default", "pair"} <= set(signatures.signature_def)


def test_grpc_metadata_needs_a_known_field(server: Server) -> None:
    wanted = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["shape"])
    wanted.model_spec.name = "line"
    with pytest.raises(grpc.RpcError, match="Metadata field shape is not supported"):
        server.prediction.GetModelMetadata(wanted, timeout=5)


def echoed(server: Server, value: str) -> requests.Response:
    """Return the reply to a JSON value that a signature answers unchanged."""
    return server.post('{"signature_name": "pair", "inputs": {"a": [1], "s": [' + value + "]}}")


@pytest.mark.parametrize(
    ("value", "same"),
    [
        ('"\\ud83d\\ude00"', "😀".encode()),
        ('"a\\u0000b"', b"a\x00b"),
        ('{"b64": "AAE="}', b"\x00\x01"),
        ('{"b64": "AAE"}', b"\x00\x01"),
        ('{"b64": "AAE."}', b"\x00\x01"),
        ('{"b64": "AA\\r\\nE=\\n"}', b"\x00\x01"),
        ('{"b64": " A A E = "}', b"\x00\x01"),
        ('{"b64": ""}', b""),
    ],
)
def test_strings_come_through_as_clients_write_them(server: Server, value: str, same: bytes) -> None:
    assert echoed(server, value).json()["outputs"]["echo_bytes"] == [{"b64": base64.b64encode(same).decode()}]


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ('"half \\ud83d"', "JSON Parse error: The surrogate pair in string is invalid. at offset: 60"),
        ('"\\udc00"', "JSON Parse error: The surrogate pair in string is invalid."),
        ('"\\x41"', "JSON Parse error"),
        ('"a\nb"', "JSON Parse error"),
        ('"a\tb"', "JSON Parse error"),
        ('{"b64": "-_8="}', "Unable to base64 decode"),
        ('{"b64": "AAE=="}', "Unable to base64 decode"),
        ('{"b64": "A"}', "Unable to base64 decode"),
    ],
)
def test_strings_that_are_none_are_refused(server: Server, value: str, told: str) -> None:
    reply = echoed(server, value)
    assert reply.status_code == 400
    assert told in reply.json()["error"]


@pytest.mark.parametrize(
    "body",
    [
        '{"instances": [1], "note": "\\ud83d"}',
        '{"signature_name": "\\ud83d", "instances": [1]}',
        '{"instances": [{"\\ud83d": 1}]}',
    ],
)
def test_half_an_emoji_is_refused_wherever_it_stands(server: Server, body: str) -> None:
    reply = server.post(body)
    assert reply.status_code == 400
    assert "The surrogate pair in string is invalid." in reply.json()["error"]
