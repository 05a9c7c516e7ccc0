"""Every attack on every port, with its time, the memory of the process, and what others notice."""

from __future__ import annotations

import contextlib
import json
import time
from typing import TYPE_CHECKING

import pytest

from tests.contract import grpc_attacks
from tests.gateway import attacks
from tests.gateway.attacks import Target
from tests.processes import memory_mib, wait_for
from tests.soak.conftest import Pair, tell

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.contract.conftest import Server

SHORT = True
COLUMNS = ("attack", "on", "answered", "s", "others' slowest, ms", "MiB more at the peak", "MiB more afterwards")
# How long free memory may take to be given back.
AFTERWARDS_SECONDS = 15
PREDICT = "/v1/models/line:predict"


@pytest.mark.parametrize("name", ["api", "server"])
@pytest.mark.parametrize("attack", attacks.ATTACKS, ids=lambda attack: attack.__name__)
def test_attack_over_http_is_noticed_by_nobody(pair: Pair, name: str, attack: Callable[[Target], set[int]]) -> None:
    process = pair.api.process if name == "api" else pair.server.process
    port = pair.api.port if name == "api" else pair.server.rest_port
    good = Target(port, process.pid, PREDICT, b"").post(json.dumps({"instances": [1.0, 2.0, 5.0]}).encode())
    target = Target(port, process.pid, PREDICT, good)
    start = time.monotonic()
    with attacks.watch(target) as watch:
        statuses = attack(target)
        seconds = time.monotonic() - start
    left = afterwards(process.pid, watch.before_mib)
    answered = " ".join(map(str, sorted(statuses - {0})))
    told = (watch.slowest_seconds * 1000, watch.grown_mib, left)
    tell("Attacks", COLUMNS, title(attack), f"{name}, HTTP", answered, seconds, *told)
    assert not watch.failures


@pytest.mark.parametrize("attack", grpc_attacks.ATTACKS, ids=lambda attack: attack.__name__)
def test_attack_over_grpc_is_noticed_by_nobody(pair: Pair, attack: Callable[[Server], None]) -> None:
    start = time.monotonic()
    with grpc_attacks.watch(pair.server) as watch:
        attack(pair.server)
        seconds = time.monotonic() - start
    left = afterwards(pair.server.process.pid, watch.before_mib)
    told = (watch.slowest_seconds * 1000, watch.grown_mib, left)
    tell("Attacks", COLUMNS, title(attack), "server, gRPC", "", seconds, *told)
    assert not watch.failures


def title(attack: Callable[..., object]) -> str:
    """Return what an attack is, in its own words."""
    return (attack.__doc__ or "").partition("\n")[0].rstrip(".")


def afterwards(pid: int, before_mib: float) -> float:
    """Return by how much a process is larger than before, once that is a tenth or the time is over."""
    with contextlib.suppress(AssertionError):
        wait_for(lambda: memory_mib(pid) < 1.1 * before_mib, "memory is given back", AFTERWARDS_SECONDS)
    return memory_mib(pid) - before_mib
