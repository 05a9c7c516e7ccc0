"""The three ways to ask a release for predictions: `/predict`, TensorFlow Serving's REST, and its gRPC."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc
import numpy as np
import requests

from model_description.protos import serving_pb2
from serving_codec import tensors
from tests.e2e.release import API_PORT, SERVER_GRPC_PORT, SERVER_REST_PORT, Release

if TYPE_CHECKING:
    from numpy.typing import NDArray

TIMEOUT_SECONDS = 30


def predict(release: Release, images: NDArray[np.uint8]) -> list[dict[str, str]]:
    """Return the api's answers for images (batch, 28, 28), 100 to a request."""
    answers: list[dict[str, str]] = []
    with release.port("api", API_PORT) as port:
        for start in range(0, len(images), 100):
            body = {"inputs": images[start : start + 100].tolist()}
            reply = requests.post(f"http://127.0.0.1:{port}/predict", json=body, timeout=TIMEOUT_SECONDS)
            reply.raise_for_status()
            answers += reply.json()["predictions"]
    return answers


def outputs(release: Release, inputs: list[Any], name: str) -> list[Any]:
    """Return one output of a model that says nothing of itself, for several inputs."""
    with release.port("api", API_PORT) as port:
        reply = requests.post(f"http://127.0.0.1:{port}/predict", json={"inputs": inputs}, timeout=TIMEOUT_SECONDS)
        reply.raise_for_status()
        return [answer["outputs"][name] for answer in reply.json()["predictions"]]


def post(release: Release, body: bytes) -> requests.Response:
    """Return the api's reply to any body."""
    with release.port("api", API_PORT) as port:
        return requests.post(f"http://127.0.0.1:{port}/predict", data=body, timeout=TIMEOUT_SECONDS)


def served_model(release: Release) -> dict[str, Any]:
    """Return what the api tells of its model."""
    with release.port("api", API_PORT) as port:
        reply = requests.get(f"http://127.0.0.1:{port}/v1/model", timeout=TIMEOUT_SECONDS)
        reply.raise_for_status()
        facts: dict[str, Any] = reply.json()
        return facts


def rest_scores(release: Release, images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return the scores (batch, class) of TensorFlow Serving's REST API."""
    with release.port("server", SERVER_REST_PORT) as port:
        url = f"http://127.0.0.1:{port}/v1/models/mnist:predict"
        reply = requests.post(url, json={"instances": images.tolist()}, timeout=TIMEOUT_SECONDS)
        reply.raise_for_status()
        return np.array(reply.json()["predictions"])


def grpc_scores(
    release: Release, images: NDArray[np.uint8], credentials: grpc.ChannelCredentials | None = None
) -> NDArray[np.float64]:
    """Return the scores (batch, class) of TensorFlow Serving's gRPC API, under TLS where credentials are given."""
    request = serving_pb2.PredictRequest()
    request.model_spec.name = "mnist"
    request.model_spec.signature_name = "serving_default"
    tensors.fill(request.inputs["pixels"], images.astype(np.float32), "float32")
    with release.port("server", SERVER_GRPC_PORT) as port, _channel(release, port, credentials) as channel:
        call: Any = channel.unary_unary("/tensorflow.serving.PredictionService/Predict")
        reply = call(request.SerializeToString(), timeout=TIMEOUT_SECONDS)
    scores: NDArray[np.float64] = tensors.to_numpy(
        serving_pb2.PredictResponse.FromString(reply).outputs["probabilities"]
    )
    return scores


def _channel(release: Release, port: int, credentials: grpc.ChannelCredentials | None) -> grpc.Channel:
    address = f"127.0.0.1:{port}"
    if credentials is None:
        return grpc.insecure_channel(address)
    return grpc.secure_channel(address, credentials, [("grpc.ssl_target_name_override", release.named("server"))])
