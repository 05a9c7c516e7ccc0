"""When a gateway is ready: which servers it has lost, and for how long."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from model_api import config
from model_api.errors import NotReadyError
from model_api.gateway import Gateway

if TYPE_CHECKING:
    from collections.abc import Callable

REQUEST_SECONDS = 10


@dataclass
class Name:
    """The servers' name: how many addresses it has, and whether one of them has a connection."""

    count: int = 0
    are_connected: bool = False
    found: int = 0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Return what sets the time."""
    now = [1000.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])

    def later(seconds: float) -> None:
        now[0] += seconds

    return later


@pytest.fixture
def name() -> Name:
    """Return the servers' name."""
    return Name()


@pytest.fixture
def gate(name: Name, monkeypatch: pytest.MonkeyPatch) -> Gateway:
    """Return a gateway whose model is known."""
    flags = ["--server=servers:8500", "--model-name=m", f"--request-timeout-seconds={REQUEST_SECONDS}"]
    servers: Any = name
    made = Gateway(config.parse(flags), servers)
    monkeypatch.setattr(made.knowledge, "check_ready", lambda: None)
    return made


def is_ready(gate: Gateway) -> bool:
    """Tell whether a probe is told so."""
    try:
        gate.check_ready()
    except NotReadyError:
        return False
    return True


def test_gateway_that_never_had_a_server_is_not_ready(gate: Gateway, name: Name) -> None:
    assert not is_ready(gate)
    name.count = 1
    assert not is_ready(gate)


def test_gateway_that_cannot_reach_its_servers_is_not_ready_after_a_request_s_time(
    gate: Gateway, name: Name, clock: Callable[[float], None]
) -> None:
    name.count, name.are_connected = 2, True
    assert is_ready(gate)
    name.are_connected = False
    clock(REQUEST_SECONDS)
    assert is_ready(gate)
    clock(1)
    assert not is_ready(gate)


def test_gateway_stays_ready_while_there_is_no_server_for_anybody(
    gate: Gateway, name: Name, clock: Callable[[float], None]
) -> None:
    name.count, name.are_connected = 1, True
    assert is_ready(gate)
    name.count, name.are_connected = 0, False
    for _ in range(20):
        clock(REQUEST_SECONDS)
        assert is_ready(gate)
    # One is back, and has as long as ever to be connected to.
    name.count = 1
    clock(REQUEST_SECONDS)
    assert is_ready(gate)
    clock(1)
    assert not is_ready(gate)
