"""Bytes of chance for minutes: over HTTP to both processes, bodies of JSON, and gRPC messages."""

from __future__ import annotations

import contextlib
import random
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import grpc
import pytest

from tests.contract.test_fuzz import TOKENS
from tests.contract.test_grpc_limits import CLASSIFY, PREDICT, mutated, sound_requests
from tests.gateway.attacks import Target, sent
from tests.processes import memory_mib
from tests.soak.conftest import tell
from tests.unit.http.test_fuzz import PIECES

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.soak.conftest import Pair

SHORT = True
COLUMNS = ("what", "to", "sent", "answered", "MiB more afterwards")
PATHS = ("/predict", "/v1/models/line:predict", "/v1/models/line:classify", "/v2/models/line/infer")
GOOD = b'{"instances": [1]}'
GROWTH_MIB = 150


def stream(chance: random.Random) -> bytes:
    """Return pieces of HTTP in any order, and bytes of chance among them."""
    return b"".join(
        chance.choice(PIECES) if chance.random() < 0.9 else chance.randbytes(chance.randrange(20))
        for _ in range(chance.randrange(1, 14))
    )


def request(chance: random.Random) -> bytes:
    """Return a request whose body is made of pieces of JSON."""
    body = b"".join(chance.choice(TOKENS) for _ in range(chance.randrange(14)))
    if chance.random() < 0.5:
        body = b'{"%s": ' % chance.choice((b"instances", b"inputs", b"input", b"examples")) + body + b"}"
    head = (
        f"POST {chance.choice(PATHS)} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


@pytest.mark.parametrize("name", ["api", "server"])
@pytest.mark.parametrize("made", [stream, request], ids=lambda made: made.__name__)
def test_any_bytes_over_http_are_answered_or_refused(
    pair: Pair, seconds: float, name: str, made: Callable[[random.Random], bytes]
) -> None:
    process = pair.api.process if name == "api" else pair.server.process
    port = pair.api.port if name == "api" else pair.server.rest_port
    target = Target(port, process.pid, PATHS[1], b"")
    good = target.post(GOOD)
    counts: Counter[str] = Counter()
    seed = time.time_ns()
    chance = random.Random(seed)  # noqa: S311 - no secret
    before, until = memory_mib(process.pid), time.monotonic() + seconds / 5
    while time.monotonic() < until:
        status = answered(target, made(chance))
        counts[str(status or "closed")] += 1
        # 501: a dtype that JSON cannot say. 505: HTTP/2.
        assert status < 500 or status in {501, 505}, (seed, counts)
        if counts.total() % 100 == 0:
            assert sent(target, good) == 200, seed
    report(made.__doc__, name, counts, memory_mib(process.pid) - before)


def answered(target: Target, data: bytes) -> int:
    """Return the status of bytes that are all that comes; 0 where there is no answer."""
    with target.connect() as connection, contextlib.suppress(ConnectionError):
        connection.sendall(data)
        # What waits for more is not waited for.
        connection.settimeout(0.2)
        with contextlib.suppress(TimeoutError):
            head = connection.recv(65536)
            return int(head.split()[1]) if head.startswith(b"HTTP/1.1 ") else 0
    return 0


def test_any_message_over_grpc_is_answered_or_refused(pair: Pair, seconds: float) -> None:
    methods: list[Any] = [pair.server.channel.unary_unary(method) for method in (PREDICT, CLASSIFY)]
    sound = [made.SerializeToString() for made in sound_requests()]
    counts: Counter[str] = Counter()
    seed = time.time_ns()
    chance = random.Random(seed)  # noqa: S311 - no secret
    pid = pair.server.process.pid
    before, until = memory_mib(pid), time.monotonic() + seconds / 5
    while time.monotonic() < until:
        try:
            chance.choice(methods)(mutated(chance, chance.choice(sound)), timeout=30)
            counts["OK"] += 1
        except grpc.RpcError as error:
            counts[error.code().name] += 1
    report("gRPC messages with bytes changed, cut, doubled or put in", "server", counts, memory_mib(pid) - before)
    assert not {"UNAVAILABLE", "UNKNOWN", "DEADLINE_EXCEEDED"} & set(counts), (seed, counts)


def report(what: str | None, name: str, counts: Counter[str], grown: float) -> None:
    """Tell what was answered; fail where memory has grown."""
    shown = ", ".join(f"{status}: {count}" for status, count in counts.most_common())
    tell("Fuzz", COLUMNS, (what or "").removeprefix("Return ").rstrip("."), name, counts.total(), shown, grown)
    assert grown < GROWTH_MIB
