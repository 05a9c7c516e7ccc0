"""The gateway's process against a gRPC server of the test: HTTP in, predictions out, faults told."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import grpc
import numpy as np
import pytest
import requests
import trustme

from model_api import messages

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TIMEOUT_SECONDS = 10
START_TIMEOUT_SECONDS = 20


class Serving:
    """A stand-in for TensorFlow Serving: the class of a row of four numbers is the largest of them."""

    def __init__(self, credentials: grpc.ServerCredentials | None = None) -> None:
        self.hangs = threading.Event()
        self.has_arrived = threading.Event()
        self.batches: list[int] = []
        self._server = grpc.server(ThreadPoolExecutor(8))
        handlers: dict[str, Any] = {
            "Predict": grpc.unary_unary_rpc_method_handler(
                self.predict, messages.PredictRequest.FromString, lambda reply: reply.SerializeToString()
            ),
            "GetModelMetadata": grpc.unary_unary_rpc_method_handler(
                self.metadata, messages.GetModelMetadataRequest.FromString, lambda reply: reply.SerializeToString()
            ),
        }
        self._server.add_registered_method_handlers("tensorflow.serving.PredictionService", handlers)
        if credentials is None:
            self.port = self._server.add_insecure_port("127.0.0.1:0")
        else:
            self.port = self._server.add_secure_port("127.0.0.1:0", credentials)
        self._server.start()

    def stop(self) -> None:
        """Go away, connections and all."""
        self._server.stop(None).wait()

    def predict(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Return numbers as scores."""
        tensor = request.inputs["x"]
        if self.hangs.is_set():
            self.has_arrived.set()
            while context.is_active() and self.hangs.is_set():
                time.sleep(0.01)
        rows = np.frombuffer(tensor.tensor_content, "<f4").reshape(-1, 4)
        self.batches.append(len(rows))
        reply = messages.PredictResponse()
        reply.model_spec.version.value = 3
        reply.outputs["y"].dtype = 1
        reply.outputs["y"].float_val.extend(rows.ravel().tolist())
        return reply

    def metadata(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Return a signature from (batch, 4) to (batch, 4)."""
        del request, context
        reply = messages.GetModelMetadataResponse()
        reply.model_spec.version.value = 3
        signatures = messages.SignatureDefMap()
        signature = signatures.signature_def["serving_default"]
        signature.inputs["x"].dtype = signature.outputs["y"].dtype = 1
        for size in (-1, 4):
            signature.inputs["x"].tensor_shape.dim.add(size=size)
        reply.metadata["signature_def"].value = signatures.SerializeToString()
        return reply


@pytest.fixture
def serving() -> Iterator[Serving]:
    """Yield a running stand-in."""
    serving = Serving()
    yield serving
    serving.stop()


class Gateway:
    """The gateway's process."""

    def __init__(self, server_port: int, *flags: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        where = ["--host=127.0.0.1", f"--port={self.port}", f"--server=127.0.0.1:{server_port}"]
        command = [sys.executable, "-m", "model_api", *where]
        limits = ["--max-body-bytes=1000", "--request-timeout-seconds=1", "--resolve-seconds=0.2"]
        environment = {**os.environ, "PYTHONPATH": ":".join(sys.path)}
        self.process = subprocess.Popen([*command, *limits, *flags], env=environment)
        self.session = requests.Session()
        self._wait()

    def get(self, path: str, **options: Any) -> requests.Response:
        """Send a GET."""
        return self.session.get(f"http://127.0.0.1:{self.port}{path}", timeout=TIMEOUT_SECONDS, **options)

    def post(self, **options: Any) -> requests.Response:
        """Send a POST to /predict."""
        return self.session.post(f"http://127.0.0.1:{self.port}/predict", timeout=TIMEOUT_SECONDS, **options)

    def _wait(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT_SECONDS
        while True:
            try:
                self.get("/livez")
            except requests.ConnectionError:
                assert time.monotonic() < deadline, "the gateway did not start"
                assert self.process.poll() is None, "the gateway ended"
                time.sleep(0.05)
            else:
                return

    def stop(self) -> int:
        """Stop it as Kubernetes does and return its exit code."""
        self.session.close()
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(TIMEOUT_SECONDS)


@pytest.fixture
def gateway(serving: Serving) -> Iterator[Gateway]:
    """Yield a gateway in front of the stand-in."""
    gateway = Gateway(serving.port)
    yield gateway
    gateway.stop()


def test_one_image_and_several_are_predicted(gateway: Gateway) -> None:
    single = gateway.post(json={"input": [0.1, 0.2, 0.6, 0.1]})
    assert (single.status_code, single.json()) == (200, {"prediction": "2", "probability": "0.6000"})
    assert single.headers["X-Model-Version"] == "3"
    several = gateway.post(json={"inputs": [[1, 0, 0, 0], [0, 0, 0, 1]]})
    assert several.json() == {
        "predictions": [{"prediction": "0", "probability": "1.0000"}, {"prediction": "3", "probability": "1.0000"}]
    }


def test_request_id_is_the_callers_or_a_new_one(gateway: Gateway) -> None:
    assert gateway.get("/livez", headers={"X-Request-Id": "mine-1"}).headers["X-Request-Id"] == "mine-1"
    new = [
        gateway.get("/livez", headers={"X-Request-Id": value}).headers["X-Request-Id"] for value in ("x" * 200, "a b")
    ]
    assert len({*new, "a b"}) == 3


@pytest.mark.parametrize(
    ("path", "method", "status"),
    [("/nothing", "GET", 404), ("/predict", "GET", 405), ("/livez", "POST", 405), ("/v1/model", "DELETE", 405)],
)
def test_unknown_path_or_method_is_json(gateway: Gateway, path: str, method: str, status: int) -> None:
    reply = gateway.session.request(method, f"http://127.0.0.1:{gateway.port}{path}", timeout=TIMEOUT_SECONDS)
    assert reply.status_code == status
    assert reply.json()["error"]
    assert ("Allow" in reply.headers) is (status == 405)


def test_large_body_is_refused_with_and_without_its_length(gateway: Gateway) -> None:
    assert gateway.post(data=b"x" * 1001).status_code == 413
    assert gateway.post(data=iter([b"x" * 600, b"x" * 600])).status_code == 413


def test_model_and_openapi_tell_the_models_shape(gateway: Gateway) -> None:
    facts = gateway.get("/v1/model").json()
    assert (facts["version"], facts["input"]) == (3, {"shape": [4], "dtype": "float32"})
    document = gateway.get("/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    assert document["components"]["schemas"]["Image"]["minItems"] == 4


def test_ready_follows_the_server(serving: Serving, gateway: Gateway) -> None:
    assert gateway.get("/readyz").status_code == 200
    serving.stop()
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while gateway.get("/readyz").status_code == 200:
        assert time.monotonic() < deadline
    reply = gateway.post(json={"input": [1, 0, 0, 0]})
    assert (reply.status_code, reply.headers["Retry-After"]) == (503, "1")
    assert gateway.get("/livez").status_code == 200


def test_slow_server_is_504(serving: Serving, gateway: Gateway) -> None:
    assert gateway.get("/readyz").status_code == 200
    serving.hangs.set()
    reply = gateway.post(json={"input": [1, 0, 0, 0]})
    assert reply.status_code == 504
    assert "error" in reply.json()


def test_concurrent_requests_are_joined_into_batches(serving: Serving, gateway: Gateway) -> None:
    def ask(value: int) -> str:
        row = [0.0] * 4
        row[value % 4] = 1.0
        url = f"http://127.0.0.1:{gateway.port}/predict"
        answer: str = requests.post(url, json={"input": row}, timeout=TIMEOUT_SECONDS).json()["prediction"]
        return answer

    with ThreadPoolExecutor(32) as callers:
        answers = list(callers.map(ask, range(400)))
    assert answers == [str(value % 4) for value in range(400)]
    assert max(serving.batches) > 1
    assert sum(serving.batches) == 400


def test_sigterm_finishes_what_is_under_way(serving: Serving) -> None:
    gateway = Gateway(serving.port)
    assert gateway.post(json={"input": [1, 0, 0, 0]}).status_code == 200
    serving.hangs.set()
    with ThreadPoolExecutor(1) as caller:
        reply = caller.submit(
            requests.post,
            f"http://127.0.0.1:{gateway.port}/predict",
            json={"input": [1, 0, 0, 0]},
            timeout=TIMEOUT_SECONDS,
        )
        assert serving.has_arrived.wait(TIMEOUT_SECONDS)
        gateway.process.terminate()
        serving.hangs.clear()
        assert reply.result().status_code == 200
    assert gateway.stop() == 0


@pytest.fixture
def tls(tmp_path: Path) -> Iterator[tuple[Serving, list[str]]]:
    """Yield a stand-in that wants certificates, and the flags to reach it with one."""
    authority = trustme.CA()
    server, client = authority.issue_cert("server.example"), authority.issue_cert("api.example")
    authority.cert_pem.write_to_path(tmp_path / "ca.crt")
    client.cert_chain_pems[0].write_to_path(tmp_path / "tls.crt")
    client.private_key_pem.write_to_path(tmp_path / "tls.key")
    pair = (server.private_key_pem.bytes(), server.cert_chain_pems[0].bytes())
    serving = Serving(grpc.ssl_server_credentials([pair], authority.cert_pem.bytes(), require_client_auth=True))
    files = {"ca": "ca.crt", "client-certificate": "tls.crt", "client-key": "tls.key"}
    yield serving, [f"--server-{name}={tmp_path / file}" for name, file in files.items()]
    serving.stop()


@pytest.mark.parametrize(("name", "status"), [("server.example", 200), ("another.example", 503)])
def test_server_is_reached_by_tls_under_its_own_name_alone(
    tls: tuple[Serving, list[str]], name: str, status: int
) -> None:
    serving, flags = tls
    gateway = Gateway(serving.port, *flags, f"--server-name={name}")
    assert gateway.post(json={"input": [1, 0, 0, 0]}).status_code == status
    assert gateway.stop() == 0
