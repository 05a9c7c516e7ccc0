"""The model server as a black box: a command line, two ports, and small SavedModels.

`--server-command` names another server, upstream's binary for example; the suite is the same.
"""

from __future__ import annotations

import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import grpc
import pytest
import requests
import tensorflow as tf
from tensorflow_serving.apis import model_service_pb2_grpc, prediction_service_pb2_grpc

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

START_TIMEOUT_SECONDS = 60
STOP_TIMEOUT_SECONDS = 40


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the server's command line as an option."""
    default = f"{sys.executable} -m model_server"
    parser.addoption("--server-command", default=default, help="command line of the model server under test")


def export(folder: Path, slope: float, name: str = "x") -> Path:
    """Export a TF2 model y = slope * x + 2 for x (batch, n) float32, and a signature of two inputs."""

    class Line(tf.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.slope = tf.Variable(slope)

        @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name=name)])  # type: ignore[untyped-decorator]
        def line(self, x: tf.Tensor) -> dict[str, tf.Tensor]:
            return {"y": self.slope * x + 2.0}

        @tf.function(  # type: ignore[untyped-decorator]
            input_signature=[tf.TensorSpec([None], tf.float32, name="a"), tf.TensorSpec([None], tf.string, name="s")]
        )
        def pair(self, a: tf.Tensor, s: tf.Tensor) -> dict[str, tf.Tensor]:
            return {"double": a * 2.0, "echo_bytes": s}

        @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])  # type: ignore[untyped-decorator]
        def slow(self, x: tf.Tensor) -> dict[str, tf.Tensor]:
            total = tf.while_loop(lambda i, _: i < 1_000_000, lambda i, t: (i + 1, t + 1.0), (0, 0.0))[1]
            return {"y": x + total}

    model = Line()
    signatures = {"serving_default": model.line, "pair": model.pair, "slow": model.slow}
    tf.saved_model.save(model, str(folder), signatures)
    return folder


class Server:
    """A running model server."""

    def __init__(self, command: str, base_path: Path, *flags: str) -> None:
        self.grpc_port, self.rest_port = _free_port(), _free_port()
        arguments = [
            f"--port={self.grpc_port}",
            f"--rest_api_port={self.rest_port}",
            "--model_name=line",
            f"--model_base_path={base_path}",
            *flags,
        ]
        environment = {**os.environ, "PYTHONPATH": ":".join(sys.path)}
        self.process = subprocess.Popen(
            [*shlex.split(command), *arguments], env=environment, stdout=subprocess.PIPE, text=True
        )
        options = [("grpc.max_receive_message_length", -1)]
        self.channel = grpc.insecure_channel(f"127.0.0.1:{self.grpc_port}", options=options)
        self.prediction = prediction_service_pb2_grpc.PredictionServiceStub(self.channel)
        self.models = model_service_pb2_grpc.ModelServiceStub(self.channel)

    def url(self, path: str) -> str:
        """Return the URL of a REST path."""
        return f"http://127.0.0.1:{self.rest_port}{path}"

    def post(self, body: Any, path: str = "/v1/models/line:predict", **options: Any) -> requests.Response:
        """Send a POST; text and bytes as they are, else as JSON."""
        key = "data" if isinstance(body, str | bytes) else "json"
        return requests.post(self.url(path), timeout=60, **{key: body}, **options)

    def wait(self) -> Server:
        """Return when the model is served."""
        wait_for(lambda: self.version() is not None, "the server is ready", START_TIMEOUT_SECONDS, self.process)
        return self

    def version(self) -> int | None:
        """Return the newest served version, or None while nothing answers."""
        try:
            reply = requests.get(self.url("/v1/models/line/metadata"), timeout=5)
        except requests.ConnectionError:
            return None
        return int(reply.json()["model_spec"]["version"]) if reply.ok else None

    def stop(self) -> int:
        """Stop it as Kubernetes does and return its exit code."""
        self.channel.close()
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(STOP_TIMEOUT_SECONDS)
        finally:
            self.process.kill()
            assert self.process.stdout is not None
            self.process.stdout.close()


def wait_for(
    condition: Callable[[], bool], what: str, seconds: float, process: subprocess.Popen[str] | None = None
) -> None:
    """Return when a condition holds; fail when it does not in time or the process has ended."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        assert process is None or process.poll() is None, f"the server ended: {what}"
        time.sleep(0.05)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port


@pytest.fixture(scope="session")
def command(request: pytest.FixtureRequest) -> str:
    """Return the server's command line."""
    text: str = request.config.getoption("--server-command")
    return text


@pytest.fixture(scope="module")
def server(command: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Yield a server of version 3 of the line, slope 0.5."""
    base_path = tmp_path_factory.mktemp("line")
    export(base_path / "00003", 0.5)
    server = Server(command, base_path)
    yield server.wait()
    server.stop()
