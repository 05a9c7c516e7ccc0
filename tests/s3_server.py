"""A real S3 server on the loopback, versitygw over a folder: started, killed, started again."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ci import tools
from tests.processes import free_port, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ACCESS_KEY = "publisher"
SECRET_KEY = "a-secret-of-the-tests"  # noqa: S105 - of a server on the loopback
BUCKET = "models"
START_SECONDS = 60
# As the client finds them.
CREDENTIALS = {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY}


@dataclass
class S3Server:
    """A server whose buckets are the folders in `root`; an object is a file by its path in its bucket."""

    root: Path
    port: int = field(default_factory=free_port)
    certificate: Path | None = None
    _process: subprocess.Popen[str] | None = None

    @property
    def endpoint(self) -> str:
        """Return its address."""
        return f"{'https' if self.certificate else 'http'}://127.0.0.1:{self.port}"

    @property
    def bucket(self) -> Path:
        """Return the folder of the bucket."""
        return self.root / BUCKET

    def start(self) -> None:
        """Start it and wait until it listens."""
        self.bucket.mkdir(parents=True, exist_ok=True)
        tls = (
            [f"--cert={self.certificate}", f"--key={self.certificate.with_suffix('.key')}"] if self.certificate else []
        )
        command = [
            str(tools.go_program("versitygw")),
            f"--port=127.0.0.1:{self.port}",
            *tls,
            "--quiet",
            "posix",
            str(self.root),
        ]
        environment = {**os.environ, "ROOT_ACCESS_KEY": ACCESS_KEY, "ROOT_SECRET_KEY": SECRET_KEY}
        self._process = subprocess.Popen(
            command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, text=True
        )
        wait_for(self._listens, "the S3 server listens", START_SECONDS, self._process)

    def kill(self) -> None:
        """End it at once, whatever it is at."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _listens(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
            return True
        return False


@contextlib.contextmanager
def running(root: Path, certificate: Path | None = None) -> Iterator[S3Server]:
    """Yield a server that runs, and end it."""
    server = S3Server(root, certificate=certificate)
    server.start()
    try:
        yield server
    finally:
        server.kill()
