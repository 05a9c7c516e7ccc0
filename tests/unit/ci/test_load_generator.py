"""The load generator against servers of a few lines."""

from __future__ import annotations

import contextlib
import doctest
import socket
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
import trustme

from ci.bench import load_generator
from ci.bench.load_generator import CLOSED, NOT_HTTP, REFUSED, TIMEOUT, Load, Schedule, post, run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from ssl import SSLContext

    from ci.bench.load_report import Report

pytestmark = pytest.mark.timed

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
REQUEST = post("/predict", b'{"input": [1]}')


def test_examples_are_true() -> None:
    assert doctest.testmod(load_generator).failed == 0


@pytest.mark.parametrize("rate", [1, 3, 1000, 4096.5])
def test_a_schedule_makes_the_rate_whenever_it_is_asked(rate: float) -> None:
    schedule = Schedule(rate, 2.0)
    times = [at for step in range(10) for at in schedule.due(step * 0.37)]
    assert times == [number / rate for number in range(len(times))]
    assert len(times) == -(-2 * rate // 1)


@contextlib.contextmanager
def serving(answer: Callable[[int], bytes], tls: SSLContext | None = None) -> Iterator[int]:
    """Yield the port of a server that answers the n-th request of all by `answer(n)`, and ends where that is empty."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=128)
    count = 0
    lock = threading.Lock()

    def talk(accepted: socket.socket) -> None:
        nonlocal count
        with contextlib.suppress(OSError), accepted, _secured(accepted, tls) as connection:
            received = b""
            while True:
                while len(received) < len(REQUEST):
                    data = connection.recv(65536)
                    if not data:
                        return
                    received += data
                received = received[len(REQUEST) :]
                with lock:
                    number, count = count, count + 1
                content = answer(number)
                if not content:
                    return
                connection.sendall(content)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                threading.Thread(target=talk, args=(connection,), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        # Wakes accept().
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def _secured(connection: socket.socket, tls: SSLContext | None) -> socket.socket:
    return connection if tls is None else tls.wrap_socket(connection, server_side=True)


def test_each_connection_of_a_closed_loop_asks_again_when_answered() -> None:
    seconds: list[Report] = []
    with serving(lambda _: OK) as port:
        report = run(Load("127.0.0.1", port, REQUEST, connections=4, seconds=1.3), seconds.append)
    assert report.statuses[200] > 40
    assert not report.errors
    assert report.answers - 4 <= report.in_time <= report.answers
    assert [round(second.seconds, 1) for second in seconds] == [1.0, 0.3]
    assert report.latencies.count == report.answers


def test_a_constant_rate_is_kept() -> None:
    with serving(lambda _: OK) as port:
        report = run(Load("127.0.0.1", port, REQUEST, connections=8, rate=100, seconds=1))
    assert report.statuses == {200: 100}
    assert not report.errors


def test_a_stall_is_counted_for_every_request_that_was_due_in_it() -> None:
    def stalls(number: int) -> bytes:
        time.sleep(0.5 if number == 10 else 0)
        return OK

    with serving(stalls) as port:
        report = run(Load("127.0.0.1", port, REQUEST, connections=1, rate=100, seconds=1))
    assert report.statuses == {200: 100}
    # Half of a second at 100 a second: those due at its start wait longest. A closed loop would count one.
    assert report.milliseconds(0.75) > 150
    assert report.latencies.longest_seconds > 0.5


def test_statuses_are_counted_and_closed_connections_opened_again() -> None:
    bad = b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    with serving(lambda number: bad if number % 2 else OK) as port:
        report = run(Load("127.0.0.1", port, REQUEST, connections=2, rate=100, seconds=0.5))
    assert report.statuses == {200: 25, 503: 25}
    assert not report.errors
    assert report.error_share == 0.5


@pytest.mark.parametrize("rate", [None, 50.0])
def test_refused_connections_are_counted_without_a_storm(rate: float | None) -> None:
    with socket.socket() as taken:
        # Bound and not listening: refuses.
        taken.bind(("127.0.0.1", 0))
        report = run(Load("127.0.0.1", taken.getsockname()[1], REQUEST, connections=2, rate=rate, seconds=0.5))
    assert set(report.errors) == {REFUSED}
    assert 2 <= report.errors[REFUSED] <= 30
    assert report.error_share == 1.0


def test_requests_without_an_answer_are_counted_by_kind() -> None:
    with serving(lambda number: OK if number % 2 else b"") as port:
        closed = run(Load("127.0.0.1", port, REQUEST, connections=2, rate=40, seconds=0.5))
    assert (closed.statuses[200], closed.errors[CLOSED]) == (10, 10)
    with serving(lambda _: b"220 smtp ready\r\n\r\n") as port:
        other = run(Load("127.0.0.1", port, REQUEST, connections=2, rate=10, seconds=0.5))
    assert other.errors == {NOT_HTTP: 5}


@pytest.mark.parametrize("rate", [None, 20.0])
def test_no_request_outlives_its_timeout(rate: float | None) -> None:
    def hangs(_: int) -> bytes:
        time.sleep(3)
        return b""

    start = time.monotonic()
    with serving(hangs) as port:
        report = run(Load("127.0.0.1", port, REQUEST, connections=2, rate=rate, seconds=0.5, timeout_seconds=0.3))
    assert time.monotonic() - start < 2
    assert set(report.errors) == {TIMEOUT}
    assert report.requests == (10 if rate else report.errors[TIMEOUT])


def test_tls_is_spoken_and_an_unknown_authority_is_named() -> None:
    import ssl  # noqa: PLC0415

    authority, server = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(server)
    client = ssl.create_default_context()
    with serving(lambda _: OK, server) as port:
        refused = run(Load("localhost", port, REQUEST, connections=1, rate=10, seconds=0.2, tls=client))
        authority.configure_trust(client)
        report = run(Load("localhost", port, REQUEST, connections=2, rate=20, seconds=0.5, tls=client))
    assert report.statuses == {200: 10}
    assert not report.errors
    (kind,) = refused.errors
    assert kind.startswith("TLS: ")


@pytest.mark.parametrize("wrong", ["connections", "rate", "seconds", "timeout_seconds"])
def test_a_load_of_nothing_is_refused(wrong: str) -> None:
    nothing: dict[str, Any] = {wrong: -1}
    with pytest.raises(ValueError, match="must be positive"):
        Load("localhost", 80, REQUEST, **nothing)
