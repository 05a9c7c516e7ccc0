"""What suites that start processes share: a free port, waiting for a condition, and a process's memory."""

from __future__ import annotations

import contextlib
import itertools
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING

from ci.waiting import first_true

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator

POLL_SECONDS = 0.05
# Below NodePorts (30000) and what Linux gives to connections (ip_local_port_range, 32768): so many for each process.
FIRST_PORT, PORTS, WORKERS = 10_000, 2_500, 8


def _own_ports() -> Iterator[int]:
    """Yield ports that no other process of this run is given (pytest-xdist), nor any connection by the system."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    first = FIRST_PORT + worker % WORKERS * PORTS
    return itertools.cycle(first + (os.getpid() + number) % PORTS for number in range(PORTS))


_PORTS = _own_ports()


def free_port() -> int:
    """Return a port of the loopback that nobody listens on, and that nobody else is told of before it is used."""
    for port in itertools.islice(_PORTS, PORTS):
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise AssertionError(f"{PORTS} ports are taken")


def wait_for(
    condition: Callable[[], bool], what: str, seconds: float, process: subprocess.Popen[str] | None = None
) -> None:
    """Return when a condition holds; fail when it does not in time or the process has ended."""

    def holds() -> bool:
        is_true = condition()
        assert is_true or process is None or process.poll() is None, f"the process ended: {what}"
        return is_true

    assert first_true(holds, seconds, POLL_SECONDS)[0], f"not within {seconds} s: {what}"


RESIDENT, PEAK = "VmRSS", "VmHWM"


def memory_mib(pid: int, name: str = RESIDENT) -> float:
    """Return a process's resident memory, or its PEAK, in MiB (proc(5), status)."""
    text = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(text.partition(f"{name}:")[2].split()[0]) / 1024


def forget_peak(pid: int) -> None:
    """Let the next peak be one of what comes from now on (proc(5), clear_refs)."""
    Path(f"/proc/{pid}/clear_refs").write_text("5", encoding="ascii")


@contextlib.contextmanager
def grows_less_than(pid: int, mib: float) -> Iterator[None]:
    """Fail when a process's memory has been larger by so much while the block ran."""
    forget_peak(pid)
    before = memory_mib(pid, PEAK)
    yield
    grown = memory_mib(pid, PEAK) - before
    assert grown < mib, f"grew by {grown:.0f} MiB"
