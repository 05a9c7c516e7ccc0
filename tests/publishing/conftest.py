"""What the publisher finds in its pod: a real model server, what training left, a store, a workspace."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import keras
import pytest
import tensorflow as tf

from model_publisher import candidate
from tests.processes import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

KEY = "0123456789ab"
START_SECONDS = 60


@dataclass
class Pod:
    """The folders and the server of one training pod; `run` runs a command of the publisher as its container does."""

    root: Path
    grpc_port: int
    name: str = "sums"
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def store(self) -> Path:
        """Return the model store."""
        return self.root / "store"

    @property
    def output(self) -> Path:
        """Return the folder training writes to."""
        return self.root / "output"

    def command(self, name: str) -> list[str]:
        """Return the command line of a command."""
        return [sys.executable, "-m", "model_publisher", name]

    def environment(self, **variables: str) -> dict[str, str]:
        """Return the variables of the container, with these on top."""
        own = {
            "MODEL_NAME": self.name,
            "MODEL_KEY": KEY,
            "MODEL_STORE": str(self.store),
            "MARKER": str(self.root / "published"),
            "WORKSPACE": str(self.root / "workspace"),
            "CANDIDATE": str(self.root / "candidate"),
            "MODEL_DIR": str(self.output / "model"),
            "RESULT_FILE": str(self.output / "result.json"),
            "SERVER_GRPC": f"127.0.0.1:{self.grpc_port}",
            "BLESSING_TIMEOUT_SECONDS": "60",
            "TERMINATION_LOG": str(self.root / "termination-log"),
            "GATES": "[]",
        }
        return {**os.environ, "PYTHONPATH": ":".join(sys.path), **own, **self.variables, **variables}

    def run(self, name: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a command of the publisher to its end."""
        environment = self.environment(**variables)
        if name == "check":
            environment = {key: value for key, value in environment.items() if key != "RESULT_FILE"}
        (self.root / "termination-log").write_text("", encoding="utf-8")
        return subprocess.run(
            self.command(name), env=environment, capture_output=True, text=True, check=False, timeout=120
        )

    def reason(self) -> str:
        """Return what Kubernetes would show."""
        return (self.root / "termination-log").read_text(encoding="utf-8")

    def versions(self, key: str = KEY) -> list[int]:
        """Return the versions of a key in the store."""
        home = self.store / self.name / key
        return sorted(int(path.name) for path in home.iterdir() if path.name.isdecimal()) if home.exists() else []

    def leave(self, example: dict[str, Any] | None = None, **result: Any) -> None:
        """Leave what training leaves: a model that adds four numbers, and a result file."""
        leave(self.output, example, **result)


def leave(output: Path, example: dict[str, Any] | None = None, **result: Any) -> None:
    """Write a model that adds four numbers up, and a result file with an example of it."""
    weights = keras.initializers.Constant(1.0)
    layers = [keras.Input((4,), name="numbers"), keras.layers.Dense(1, kernel_initializer=weights, name="total")]
    keras.Sequential(layers).export(str(output / "model"), verbose=False)
    right = {"inputs": {"numbers": [1.0, 2.0, 3.0, 4.0]}, "outputs": {"output_0": [10.0]}}
    content = {"metrics": {"accuracy": 0.9}, "example": example or right, **result}
    (output / "result.json").write_text(json.dumps(content), encoding="utf-8")


@pytest.fixture
def pod(tmp_path: Path) -> Pod:
    """Return a pod as the check leaves it."""
    for name in ("store", "output", "workspace", "candidate"):
        (tmp_path / name).mkdir()
    candidate.show_nothing(tmp_path / "candidate")
    return Pod(tmp_path, free_port())


@pytest.fixture(scope="session")
def listening(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, int]]:
    """Yield the folder that a server looks for candidates in, and its gRPC port; it starts as the chart starts it."""
    folder = tmp_path_factory.mktemp("candidate")
    candidate.show_nothing(folder)
    port = free_port()
    command = [
        sys.executable,
        "-m",
        "model_server",
        f"--port={port}",
        f"--rest_api_port={free_port()}",
        f"--model_config_file={folder / candidate.CONFIG}",
        "--model_config_file_poll_wait_seconds=1",
        "--max_num_load_retries=0",
    ]
    environment = {**os.environ, "PYTHONPATH": ":".join(sys.path)}
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        try:
            yield folder, port
        finally:
            process.kill()
            process.wait()


@pytest.fixture
def server(pod: Pod, listening: tuple[Path, int], request: pytest.FixtureRequest) -> None:
    """Have the pod's candidate looked at by the server, under a name of the test's own."""
    folder, pod.grpc_port = listening
    # Names that differ, since a server goes on with the version it knows of a name.
    pod.name = "model-" + hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:8]
    pod.variables["CANDIDATE"] = str(folder)


@pytest.fixture
def save(pod: Pod) -> Callable[..., None]:
    """Return what saves a function as the model training left, with an example."""

    def write(function: Any, spec: Any, example: dict[str, Any], **result: Any) -> None:
        module = tf.Module()
        module.f = tf.function(function, input_signature=[spec])
        tf.saved_model.save(module, str(pod.output / "model"), {"serving_default": module.f})
        content = {"metrics": {}, "example": example, **result}
        (pod.output / "result.json").write_text(json.dumps(content), encoding="utf-8")

    return write
