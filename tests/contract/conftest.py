"""The model server as a black box: a command line, two ports, and small SavedModels.

`--server-command` names another server, upstream's binary for example; the suite is the same.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import urllib.parse
from typing import TYPE_CHECKING, Any, Self

import grpc
import pytest
import requests
from tensorflow_serving.apis import model_service_pb2_grpc, prediction_service_pb2_grpc

from tests.contract import models
from tests.processes import free_port, wait_for

if TYPE_CHECKING:
    import collections
    from collections.abc import Iterator
    from pathlib import Path

START_TIMEOUT_SECONDS = 60
STOP_TIMEOUT_SECONDS = 40
# Answers of the fuzz run: kind of message -> status -> how many.
FUZZ_COUNTS: dict[str, collections.Counter[str]] = {}


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the server's command line as an option."""
    default = f"{sys.executable} -m model_server"
    parser.addoption("--fuzz-examples", type=int, default=150, help="messages of each kind the fuzz run sends")
    parser.addoption("--server-command", default=default, help="command line of the model server under test")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what the fuzz run was answered."""
    for kind, counts in FUZZ_COUNTS.items():
        answers = ", ".join(f"{code}: {count}" for code, count in counts.most_common())
        terminalreporter.write_line(f"fuzz: {counts.total()} {kind}: {answers}")


class Server:
    """A running model server."""

    def __init__(
        self,
        command: str,
        base_path: Path | None,
        *flags: str,
        name: str = "line",
        ports: tuple[int, int] | None = None,
    ) -> None:
        # As it is written in a path.
        self.name = urllib.parse.quote(name, safe="")
        self.grpc_port, self.rest_port = ports or (free_port(), free_port())
        arguments = [f"--port={self.grpc_port}", f"--rest_api_port={self.rest_port}", *flags]
        if base_path is not None:
            arguments += [f"--model_name={name}", f"--model_base_path={base_path}"]
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

    def post(self, body: Any, path: str = "", **options: Any) -> requests.Response:
        """Send a POST, to predict where no path is named; text and bytes as they are, else as JSON."""
        key = "data" if isinstance(body, str | bytes) else "json"
        url = self.url(path or f"/v1/models/{self.name}:predict")
        return requests.post(url, timeout=60, **{key: body}, **options)

    def get(self, path: str) -> requests.Response:
        """Send a GET."""
        return requests.get(self.url(path), timeout=10)

    def states(self, name: str = "") -> dict[int, str]:
        """Return the state of each version of a model; nothing while it is not known."""
        reply = self.get(f"/v1/models/{name or self.name}")
        listed = reply.json()["model_version_status"] if reply.ok else []
        return {int(item["version"]): item["state"] for item in listed}

    def __enter__(self) -> Self:
        """Return when the model is served; stop the server when it is not in time."""
        try:
            wait_for(lambda: self.version() is not None, "the server is ready", START_TIMEOUT_SECONDS, self.process)
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the server."""
        self.stop()

    def version(self, name: str = "") -> int | None:
        """Return the newest served version of a model, or None while nothing answers."""
        try:
            reply = self.get(f"/v1/models/{name or self.name}/metadata")
        except requests.ConnectionError:
            return None
        return int(reply.json()["model_spec"]["version"]) if reply.ok else None

    def wait_for_versions(self, *versions: int, name: str = "") -> None:
        """Return once these are served: ports are opened when one version of each model is, as upstream does it."""
        wanted = dict.fromkeys(versions, "AVAILABLE")
        wait_for(lambda: self.states(name) == wanted, "all versions are served", START_TIMEOUT_SECONDS, self.process)

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


def run(command: str, *flags: str, **environment: str) -> tuple[int, str, str]:
    """Run a server that is to end by itself; return its exit code and what it said on either stream."""
    done = subprocess.run(
        [*shlex.split(command), *flags],
        env={"PYTHONPATH": ":".join(sys.path), "PATH": "/usr/bin:/bin", **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.fixture(scope="session")
def command(request: pytest.FixtureRequest) -> str:
    """Return the server's command line."""
    text: str = request.config.getoption("--server-command")
    return text


@pytest.fixture
def base_path(tmp_path: Path) -> Path:
    """Return a base path with version 1 of the line, slope 0.5."""
    models.line(tmp_path / "line" / "1", 0.5)
    return tmp_path / "line"


@pytest.fixture(scope="module")
def server(command: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Yield a server of version 3 of the line, slope 0.5."""
    base_path = tmp_path_factory.mktemp("line")
    models.line(base_path / "00003", 0.5)
    with Server(command, base_path) as server:
        yield server
