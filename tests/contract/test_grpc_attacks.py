"""Nothing that is sent to the gRPC port stops or bloats the server, or keeps others waiting."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from tests.cables import Cable
from tests.contract import frames, grpc_attacks, models
from tests.contract.conftest import Server
from tests.contract.frames import call
from tests.contract.grpc_attacks import good
from tests.processes import memory_mib, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.timed

# The server's limit is 2 GiB in the chart, and it starts with 500 MiB.
GROWTH_MIB = 700
OTHERS_SECONDS = 1.0


@pytest.fixture(scope="module")
def server(command: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Yield a server with a short time for messages."""
    base_path = tmp_path_factory.mktemp("line")
    models.line(base_path / "1", 0.5)
    with Server(command, base_path, "--grpc_message_timeout_seconds=4") as server:
        yield server


@pytest.mark.parametrize("attack", grpc_attacks.ATTACKS, ids=lambda attack: attack.__name__)
def test_attack_is_noticed_by_nobody(server: Server, attack: Callable[[Server], None]) -> None:
    start = time.monotonic()
    with grpc_attacks.watch(server) as watch:
        attack(server)
    assert time.monotonic() - start < 30
    assert not watch.failures
    assert watch.slowest_seconds < OTHERS_SECONDS
    assert watch.grown_mib < GROWTH_MIB
    # What is kept of a first rush is no more than a tenth and a little.
    most = 1.1 * watch.before_mib + 60
    wait_for(lambda: memory_mib(server.process.pid) < most, f"less than {most:.0f} MiB", 15)


@pytest.mark.lengthy
def test_peer_that_vanished_is_found_and_let_go(command: str, base_path: Path) -> None:
    often = "--grpc_channel_arguments=grpc.keepalive_time_ms=1000,grpc.keepalive_timeout_ms=1000"
    with Server(command, base_path, often) as server, Cable(server.grpc_port) as cable:
        stays, vanishes = Cable(server.grpc_port), cable
        with stays:
            for one in (stays, vanishes):
                one.client.sendall(frames.PREFACE + frames.frame(frames.SETTINGS, 0, 0) + call(1, good()))
                assert one.client.recv(65536)
            vanishes.cut()
            wait_for(vanishes.is_let_go, "a peer that answers no ping is let go", 10)
