"""What suites that start processes share: a free port, and waiting for a condition."""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable


def free_port() -> int:
    """Return a port of the loopback that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port


def wait_for(
    condition: Callable[[], bool], what: str, seconds: float, process: subprocess.Popen[str] | None = None
) -> None:
    """Return when a condition holds; fail when it does not in time or the process has ended."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        assert process is None or process.poll() is None, f"the process ended: {what}"
        time.sleep(0.05)
