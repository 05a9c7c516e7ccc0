"""The gateway's process, in front of any server, on free ports of the loopback."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any, Self

import requests

from tests.processes import free_port, wait_for

if TYPE_CHECKING:
    from collections.abc import Sequence

TIMEOUT_SECONDS = 20
START_TIMEOUT_SECONDS = 30
STOP_TIMEOUT_SECONDS = 20


class Api:
    """A running gateway that asks the server at a gRPC port for a model."""

    def __init__(
        self,
        server_port: int,
        model: str,
        *flags: str,
        host: str = "127.0.0.1",
        port: int | None = None,
        program: Sequence[str] = ("-m", "model_api"),
    ) -> None:
        self.model = model
        self.port = port or free_port()
        self.session = requests.Session()
        where = [f"--host={host}", f"--port={self.port}", f"--server=127.0.0.1:{server_port}", f"--model-name={model}"]
        command = [sys.executable, *program, *where, "--resolve-seconds=0.2", "--drain-seconds=0", *flags]
        environment = {**os.environ, "PYTHONPATH": ":".join(sys.path)}
        self.process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)

    def url(self, path: str) -> str:
        """Return the URL of a path."""
        return f"http://127.0.0.1:{self.port}{path}"

    def get(self, path: str, **options: Any) -> requests.Response:
        """Send a GET."""
        return self.session.get(self.url(path), timeout=TIMEOUT_SECONDS, **options)

    def post(self, path: str, body: Any, **options: Any) -> requests.Response:
        """Send a POST; text and bytes as they are, else as JSON."""
        key = "data" if isinstance(body, str | bytes) else "json"
        return self.session.post(self.url(path), timeout=TIMEOUT_SECONDS, **{key: body}, **options)

    def predict(self, value: Any, **options: Any) -> Any:
        """Return the JSON of the answer to one input; fail with what was said when it is refused."""
        reply = self.post("/predict", {"input": value}, **options)
        assert reply.ok, f"{reply.status_code}: {reply.text}"
        return reply.json()

    def __enter__(self) -> Self:
        """Return when it is alive and knows its model, or why it cannot use it."""
        try:
            wait_for(self._has_looked, "the gateway knows its model", START_TIMEOUT_SECONDS, self.process)
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Stop it."""
        self.stop()

    def is_alive(self) -> bool:
        """Tell whether it answers."""
        try:
            return self.get("/livez").ok
        except requests.ConnectionError:
            return False

    def _has_looked(self) -> bool:
        try:
            reply = self.get("/readyz")
        except requests.ConnectionError:
            return False
        return reply.ok or "cannot be used" in reply.text or "describe itself" in reply.text

    def stop(self) -> tuple[int, str]:
        """Stop it as Kubernetes does; return its exit code and what it logged."""
        self.session.close()
        self.process.send_signal(signal.SIGTERM)
        try:
            _, log = self.process.communicate(timeout=STOP_TIMEOUT_SECONDS)
        finally:
            self.process.kill()
        return self.process.returncode, log
