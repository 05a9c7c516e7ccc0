"""Clients that people have, as they are, in front of the gateway: Triton's, and plain HTTP as the documents do it."""

from __future__ import annotations

import io
import struct
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import requests
import tritonclient.http
import tritonclient.utils
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.gateway.processes import Api

    Connect = Callable[[str], tritonclient.http.InferenceServerClient]

LARGE = 2**63 - 1
LARGEST = 2**64 - 1


@pytest.fixture
def connect(api_of: Callable[..., Api]) -> Iterator[Connect]:
    """Yield a way to connect Triton's client to a model's gateway."""
    opened = []

    def connect_to(model: str) -> tritonclient.http.InferenceServerClient:
        opened.append(tritonclient.http.InferenceServerClient(f"127.0.0.1:{api_of(model).port}"))
        return opened[-1]

    yield connect_to
    for client in opened:
        client.close()


def tensor(name: str, array: Any, datatype: str, *, is_binary: bool) -> tritonclient.http.InferInput:
    """Return an input as Triton's client sends it."""
    given = tritonclient.http.InferInput(name, list(array.shape), datatype)
    given.set_data_from_numpy(array, binary_data=is_binary)
    return given


def test_triton_client_finds_server_and_model_ready(connect: Connect) -> None:
    client = connect("sigmoid")
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("sigmoid")
    assert client.is_model_ready("sigmoid", "1")
    assert not client.is_model_ready("stranger")
    assert client.get_server_metadata()["extensions"] == ["binary_tensor_data"]


def test_triton_client_reads_metadata(connect: Connect) -> None:
    assert connect("two_outputs").get_model_metadata("two_outputs") == {
        "name": "two_outputs",
        "versions": ["1"],
        "platform": "tensorflow_savedmodel",
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 2]}],
        "outputs": [
            {"name": "double", "datatype": "FP32", "shape": [-1, 2]},
            {"name": "sum", "datatype": "FP32", "shape": [-1]},
        ],
    }


# model, input, its array, datatype, output, what is answered
CASES: list[tuple[str, str, Any, str, str, Any]] = [
    ("logits", "x", np.array([[1, 2, 3]], np.float32), "FP32", "scores", np.array([[10, 20, 30]], np.float32)),
    ("text", "text", np.array([["good film"]], object), "BYTES", "output_0", np.array([[0.5, 0.5]], np.float32)),
    ("int64_ids", "id", np.array([[LARGE]], np.int64), "INT64", "same", np.array([[LARGE]], np.int64)),
    ("uint64", "x", np.array([[LARGEST, 0]], np.uint64), "UINT64", "same", np.array([[LARGEST, 0]], np.uint64)),
    ("booleans", "x", np.array([[True, False]]), "BOOL", "both", np.array([False])),
]
HALF = ("half", "x", np.array([[0.5, 3]], np.float16), "FP16", "double", np.array([[1, 6]], np.float16))


@pytest.mark.parametrize("case", [*CASES, HALF], ids=lambda case: case[3])
def test_triton_client_infers_in_binary(connect: Connect, case: Any) -> None:
    model, name, array, datatype, output, expected = case
    result = connect(model).infer(model, [tensor(name, array, datatype, is_binary=True)], request_id="7")
    found = result.as_numpy(output)
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == expected.dtype
    assert result.get_response()["id"] == "7"


# Triton's client sends half floats in binary alone.
@pytest.mark.parametrize("case", CASES, ids=lambda case: case[3])
def test_triton_client_infers_in_json(connect: Connect, case: Any) -> None:
    model, name, array, datatype, output, expected = case
    asked = tritonclient.http.InferRequestedOutput(output, binary_data=False)
    result = connect(model).infer(model, [tensor(name, array, datatype, is_binary=False)], outputs=[asked])
    np.testing.assert_array_equal(result.as_numpy(output), expected)


def test_triton_client_infers_half_and_reads_it_in_json(connect: Connect) -> None:
    model, name, array, datatype, output, expected = HALF
    asked = tritonclient.http.InferRequestedOutput(output, binary_data=False)
    result = connect(model).infer(model, [tensor(name, array, datatype, is_binary=True)], outputs=[asked])
    np.testing.assert_array_equal(np.asarray(result.get_output(output)["data"], np.float16), expected.ravel())


def test_triton_client_infers_bfloat16(connect: Connect) -> None:
    given = tritonclient.http.InferInput("x", [1, 2], "BF16")
    given.set_data_from_numpy(np.array([[0.5, 3]], np.float32))
    found = connect("bfloat16").infer("bfloat16", [given]).as_numpy("double")
    np.testing.assert_array_equal(found, np.array([[1, 6]], np.float32))


def test_triton_client_sends_and_reads_any_bytes(connect: Connect) -> None:
    content = io.BytesIO()
    Image.new("L", (3, 2)).save(content, "PNG")
    png = content.getvalue()
    given = tensor("image_bytes", np.array([png], object), "BYTES", is_binary=True)
    asked = [tritonclient.http.InferRequestedOutput(name, binary_data=True) for name in ("same_bytes", "size")]
    result = connect("image_bytes").infer("image_bytes", [given], outputs=asked)
    assert result.as_numpy("same_bytes").tolist() == [png]
    assert result.as_numpy("size").tolist() == [[2, 3, 1]]


def test_triton_client_sends_compressed(connect: Connect) -> None:
    given = tensor("x", np.array([[1, 2, 3]], np.float32), "FP32", is_binary=True)
    for algorithm in ("gzip", "deflate"):
        result = connect("logits").infer("logits", [given], request_compression_algorithm=algorithm)
        np.testing.assert_array_equal(result.as_numpy("scores"), [[10, 20, 30]])


def test_triton_client_is_told_what_is_wrong(connect: Connect) -> None:
    given = tensor("x", np.array([[1, 2]], np.float32), "FP32", is_binary=True)
    with pytest.raises(tritonclient.utils.InferenceServerException, match=r"expected \[-1, 3\] for 'x', got \[1, 2\]"):
        connect("logits").infer("logits", [given])


def test_plain_http_sends_binary_as_the_extension_says(api_of: Callable[..., Api]) -> None:
    header = (
        b'{"inputs":[{"name":"x","shape":[1,3],"datatype":"FP32","parameters":{"binary_data_size":12}}],'
        b'"parameters":{"binary_data_output":true}}'
    )
    reply = requests.post(
        api_of("logits").url("/v2/models/logits/infer"),
        data=header + struct.pack("<3f", 1, 2, 3),
        headers={"Inference-Header-Content-Length": str(len(header)), "Content-Type": "application/octet-stream"},
        timeout=20,
    )
    assert (reply.status_code, reply.headers["content-type"]) == (200, "application/octet-stream")
    start = int(reply.headers["inference-header-content-length"])
    assert struct.unpack("<3f", reply.content[start:]) == (10, 20, 30)


def test_plain_http_predicts_as_tensorflows_guide_does(api_of: Callable[..., Api]) -> None:
    url = api_of("price").url("/v1/models/price")
    data = '{"signature_name": "serving_default", "instances": [[1.0, 2.0, 5.0, 0.5]]}'
    assert requests.get(url, timeout=20).json()["model_version_status"][0]["state"] == "AVAILABLE"
    reply = requests.post(f"{url}:predict", data=data, headers={"content-type": "application/json"}, timeout=20)
    assert reply.json()["predictions"] == [[8.5]]
