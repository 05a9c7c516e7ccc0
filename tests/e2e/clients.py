"""The three ways to ask a release for predictions: `/predict`, TensorFlow Serving's REST, and its gRPC."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc
import numpy as np
import requests

from model_api import messages, model
from tests.e2e.release import API_PORT, SERVER_GRPC_PORT, SERVER_REST_PORT, Release

if TYPE_CHECKING:
    from numpy.typing import NDArray

SIGNATURE = model.Signature("pixels", "probabilities", (28, 28), 1)
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
    request = model.predict_request("mnist", None, "serving_default", SIGNATURE, images.reshape(len(images), -1))
    with release.port("server", SERVER_GRPC_PORT) as port, _channel(release, port, credentials) as channel:
        call: Any = channel.unary_unary("/tensorflow.serving.PredictionService/Predict")
        response = messages.PredictResponse.FromString(call(request, timeout=TIMEOUT_SECONDS))
        return model.scores_of(response, SIGNATURE, len(images))


def _channel(release: Release, port: int, credentials: grpc.ChannelCredentials | None) -> grpc.Channel:
    address = f"127.0.0.1:{port}"
    if credentials is None:
        return grpc.insecure_channel(address)
    return grpc.secure_channel(address, credentials, [("grpc.ssl_target_name_override", release.named("server"))])
