"""10,000 connections at once, and one client that sends a byte a second."""

from __future__ import annotations

import contextlib
import json
import resource
import threading
import time
from typing import TYPE_CHECKING

import pytest

from tests.gateway import attacks
from tests.gateway.attacks import Target, connections, status_of
from tests.soak.conftest import tell

if TYPE_CHECKING:
    import socket

    from tests.soak.conftest import Pair

COUNT = 10_000
# A connection that says nothing for long is closed, so that each asks soon.
AT_ONCE = 200
COLUMNS = ("on", "connections", "opened and answered in, s", "answered", "others' slowest, ms", "MiB more at the peak")
SLOW_SECONDS = 20


@pytest.fixture(autouse=True)
def _files() -> None:
    """Let this process have as many connections, and some more."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = COUNT + 1000
    if hard != resource.RLIM_INFINITY and hard < wanted:
        pytest.fail(f"the system allows {hard} open files, {wanted} are needed: raise `ulimit -Hn`")
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


@pytest.mark.parametrize("name", ["api", "server"])
def test_ten_thousand_connections_are_answered_and_kept(pair: Pair, name: str) -> None:
    process = pair.api.process if name == "api" else pair.server.process
    port = pair.api.port if name == "api" else pair.server.rest_port
    path = "/v1/models/line:predict"
    good = Target(port, process.pid, path, b"").post(json.dumps({"instances": [1.0]}).encode())
    target = Target(port, process.pid, path, good)
    answered: list[int] = []
    slow = threading.Thread(target=ask_slowly, args=(target, answered))
    slow.start()
    with attacks.watch(target) as watch:
        start = time.monotonic()
        with contextlib.ExitStack() as stack:
            held: list[socket.socket] = []
            statuses = []
            for _ in range(COUNT // AT_ONCE):
                added = stack.enter_context(connections(target, AT_ONCE, good))
                statuses += [status_of(connection) for connection in added]
                held += added
            opened = time.monotonic() - start
            # All of them are still there.
            statuses += [asked(connection, good) for connection in held[:: COUNT // AT_ONCE]]
    slow.join()
    told = (watch.slowest_seconds * 1000, watch.grown_mib)
    tell("Connections", COLUMNS, name, COUNT, opened, f"{statuses.count(200)} with 200", *told)
    assert set(statuses) == {200}
    assert answered == [200]
    assert not watch.failures


def asked(connection: socket.socket, request: bytes) -> int:
    """Return the status of a request on a connection."""
    connection.sendall(request)
    return status_of(connection)


def ask_slowly(target: Target, answered: list[int]) -> None:
    """Send a request whose last bytes come one a second; within the limits it is answered."""
    with target.connect() as connection:
        connection.sendall(target.good[:-SLOW_SECONDS])
        for byte in target.good[-SLOW_SECONDS:]:
            time.sleep(1)
            connection.sendall(bytes([byte]))
        answered.append(status_of(connection))
