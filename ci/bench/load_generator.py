"""Load for an HTTP server from one process that costs next to nothing, with nothing but the standard library.

Closed loop: so many kept connections, each asking again as soon as it is answered. Constant rate (open loop): requests
are due at fixed times whatever the server does, and latency counts from when a request was due, so that a stall is not
hidden by the requests that were not made in it ("coordinated omission", Gil Tene, "How NOT to Measure Latency").

    report = run(Load("127.0.0.1", 8080, post("/predict", body), connections=4000, rate=6000, seconds=5))
    report.statuses[503], report.errors, report.milliseconds(0.99)
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import selectors
import socket
import ssl
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from ci.bench.http_answer import Answer, NotHttpError
from ci.bench.load_report import Report

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

REFUSED = "connection refused"
RESET = "connection reset"
CLOSED = "connection closed without an answer"
TIMEOUT = "timeout"
NOT_HTTP = "not HTTP"

RECEIVED_BYTES = 65_536
# How often overdue requests are looked for.
SWEEP_SECONDS = 0.1
# A connection that was refused or lost is opened again after this, so that a server that is away is not stormed.
RECONNECT_SECONDS = 0.1


@dataclass(frozen=True)
class Load:
    """What to ask whom, how often and for how long.

    With a `rate` (requests a second), `connections` is how many may be open at most: a request that is due while all
    are busy waits for one. `timeout_seconds` counts from when a request was made or due.
    """

    host: str
    port: int
    request: bytes
    connections: int = 32
    rate: float | None = None
    seconds: float = 10.0
    timeout_seconds: float = 10.0
    tls: ssl.SSLContext | None = None

    def __post_init__(self) -> None:
        if self.connections < 1 or self.seconds <= 0 or self.timeout_seconds <= 0 or (self.rate or 1) <= 0:
            raise ValueError(f"connections, seconds, timeout and rate must be positive, got {self}")


def post(path: str, body: bytes, host: str = "localhost", headers: Mapping[str, str] | None = None) -> bytes:
    """Return the bytes of a POST of JSON."""
    fields = {"Host": host, "Content-Type": "application/json", "Content-Length": str(len(body)), **(headers or {})}
    lines = [f"POST {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def run(load: Load, on_second: Callable[[Report], None] | None = None) -> Report:
    """Load a server and return the counts; `on_second` gets those of each second.

    Requests under way at the end are waited for, as long as their timeout. Raise OSError when the host has no address.
    """
    return _Generator(load, on_second).run()


class Schedule:
    """When requests of a constant rate are due, in seconds from the start; none at or after the end.

    >>> schedule = Schedule(rate=2, seconds=1.5)
    >>> schedule.due(0.0), schedule.due(0.4), schedule.due(9.9), schedule.next_seconds
    ([0.0], [], [0.5, 1.0], None)
    """

    def __init__(self, rate: float, seconds: float) -> None:
        self._rate = rate
        self._seconds = seconds
        self._made = 0

    @property
    def next_seconds(self) -> float | None:
        """When the next is due; None after the last."""
        at = self._made / self._rate
        return at if at < self._seconds else None

    def due(self, now_seconds: float) -> list[float]:
        """Return when those were due that have not been returned yet."""
        times: list[float] = []
        while (at := self.next_seconds) is not None and at <= now_seconds:
            times.append(at)
            self._made += 1
        return times


class _Connection:
    """A connection and the request on it, if any."""

    __slots__ = ("answer", "asked_at", "is_open", "is_used", "socket", "unsent")

    def __init__(self, opened: socket.socket) -> None:
        self.socket = opened
        self.answer = Answer(keep_body=False)
        # Connected, and TLS agreed upon.
        self.is_open = False
        # An answer came: its end while nothing is asked is the server's right.
        self.is_used = False
        # When the request on it was made or due; None: idle.
        self.asked_at: float | None = None
        self.unsent = b""


# What `_Generator` hands to its selector, and gets back.
_Address: TypeAlias = tuple[Any, ...]


class _Generator:
    def __init__(self, load: Load, on_second: Callable[[Report], None] | None) -> None:
        # Of the run.
        self._load = load
        self._on_second = on_second
        family, kind, protocol, _, address = socket.getaddrinfo(load.host, load.port, type=socket.SOCK_STREAM)[0]
        self._how = (family, kind, protocol)
        self._address: _Address = address
        self._selector = selectors.DefaultSelector()
        self._total = Report()
        self._end = 0.0
        # Of now.
        self._second = Report()
        self._open: set[_Connection] = set()
        self._idle: list[_Connection] = []
        self._waiting: deque[float] = deque()
        self._reopen: deque[float] = deque()

    def run(self) -> Report:
        """Make the requests, wait for the last answers, and return the counts."""
        start = time.monotonic()
        self._end = start + self._load.seconds
        schedule = None if self._load.rate is None else Schedule(self._load.rate, self._load.seconds)
        if schedule is None:
            self._waiting.extend([start] * self._load.connections)
        next_sweep, told_at, processor = start + SWEEP_SECONDS, start, time.thread_time()
        try:
            while True:
                now = time.monotonic()
                next_due = self._make(schedule, start, now)
                if now >= next_sweep:
                    next_sweep = now + SWEEP_SECONDS
                    self._give_up(now)
                until = min(now, self._end)
                if until - told_at >= 1.0 or until == self._end > told_at:
                    processor = self._tell(until - told_at, processor)
                    told_at = until
                if now >= self._end and not self._waiting and len(self._idle) == len(self._open):
                    break
                self._wait(min(next_sweep, told_at + 1.0 if now < self._end else next_sweep, next_due or next_sweep))
        finally:
            for connection in self._open:
                connection.socket.close()
            self._selector.close()
        self._tell(0.0, processor)
        return self._total

    def _make(self, schedule: Schedule | None, start: float, now: float) -> float | None:
        """Make the requests that are due; return when the next will be, where that is known."""
        next_due = None
        if schedule is not None:
            self._waiting.extend(start + seconds for seconds in schedule.due(now - start))
            next_seconds = schedule.next_seconds
            next_due = None if next_seconds is None else start + next_seconds
        elif now >= self._end:
            self._waiting.clear()
        while self._reopen and self._reopen[0] <= now:
            self._reopen.popleft()
            if now < self._end:
                self._waiting.append(now)
        self._give(now)
        return next_due

    def _wait(self, until: float) -> None:
        """Do what sockets are ready for, or return at a time, to the microsecond: epoll counts in milliseconds."""
        timeout = max(until - time.monotonic(), 0.0)
        if self._load.rate is not None and hasattr(self._selector, "fileno"):
            if timeout and not select.select([self._selector.fileno()], (), (), timeout)[0]:
                return
            timeout = 0.0
        for key, events in self._selector.select(timeout):
            connection: _Connection = key.data
            if connection not in self._open:
                # Lost by what was done for the one before.
                continue
            try:
                if not connection.is_open:
                    self._go_on_opening(connection)
                elif events & selectors.EVENT_WRITE:
                    self._send(connection)
                else:
                    self._receive(connection)
            except NotHttpError:
                self._lose(connection, NOT_HTTP)
            except OSError as error:
                self._lose(connection, kind_of(error))

    # ---- requests

    def _give(self, now: float) -> None:
        """Put waiting requests on connections, opening new ones while there may be more."""
        while self._waiting:
            if self._idle:
                connection = self._idle.pop()
            elif len(self._open) < self._load.connections:
                opened = self._connect()
                if opened is None:
                    self._waiting.popleft()
                    continue
                connection = opened
            else:
                return
            due = self._waiting.popleft()
            # In a closed loop a request begins when it is sent.
            self._ask(connection, due if self._load.rate is not None else now)

    def _ask(self, connection: _Connection, asked_at: float) -> None:
        connection.asked_at = asked_at
        connection.unsent = self._load.request
        if not connection.is_open:
            return
        try:
            self._send(connection)
        except OSError as error:
            self._lose(connection, kind_of(error))

    def _send(self, connection: _Connection) -> None:
        was_begun = connection.unsent is not self._load.request
        try:
            sent = connection.socket.send(connection.unsent)
        except (BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError):
            sent = 0
        connection.unsent = connection.unsent[sent:]
        if connection.unsent:
            # Read as well: a server may refuse a body before it has it all.
            self._selector.modify(connection.socket, selectors.EVENT_READ | selectors.EVENT_WRITE, connection)
        elif was_begun or not connection.is_used:
            self._selector.modify(connection.socket, selectors.EVENT_READ, connection)

    def _receive(self, connection: _Connection) -> None:
        # TLS keeps what it has decrypted to itself, where no selector sees it.
        while True:
            try:
                data = connection.socket.recv(RECEIVED_BYTES)
            except (BlockingIOError, ssl.SSLWantReadError):
                return
            if not data:
                self._closed(connection)
                return
            if connection.asked_at is None:
                raise NotHttpError("an answer to nothing")
            if connection.answer.feed(data):
                self._answered(connection)
                return
            if self._load.tls is None:
                return

    def _closed(self, connection: _Connection) -> None:
        if connection.asked_at is None:
            self._forget(connection)
        elif connection.answer.end():
            self._answered(connection)
        else:
            self._lose(connection, CLOSED)

    def _answered(self, connection: _Connection) -> None:
        now = time.monotonic()
        assert connection.asked_at is not None  # noqa: S101 - only what was asked is answered
        second = self._second
        second.latencies.add(now - connection.asked_at)
        second.statuses[connection.answer.status] += 1
        is_in_time = now < self._end
        second.in_time += is_in_time
        connection.asked_at = None
        connection.is_used = True
        if connection.answer.closes or connection.unsent:
            self._forget(connection)
        else:
            connection.answer.next()
            if self._load.rate is None and is_in_time:
                self._ask(connection, now)
                return
            self._idle.append(connection)
        if self._load.rate is None and is_in_time:
            self._waiting.append(now)
        elif self._waiting:
            self._give(now)

    def _give_up(self, now: float) -> None:
        """Count what is overdue as a timeout."""
        oldest = now - self._load.timeout_seconds
        for connection in [each for each in self._open if each.asked_at is not None and each.asked_at < oldest]:
            self._lose(connection, TIMEOUT)
        while self._load.rate is not None and self._waiting and self._waiting[0] < oldest:
            self._waiting.popleft()
            self._second.errors[TIMEOUT] += 1

    # ---- connections

    def _connect(self) -> _Connection | None:
        opened = socket.socket(*self._how)
        opened.setblocking(False)  # noqa: FBT003 - the standard library's own signature
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        code = opened.connect_ex(self._address)
        if code not in {0, errno.EINPROGRESS, errno.EWOULDBLOCK}:
            opened.close()
            self._second.errors[kind_of(OSError(code, os.strerror(code)))] += 1
            self._come_back()
            return None
        connection = _Connection(opened)
        self._open.add(connection)
        self._selector.register(opened, selectors.EVENT_WRITE, connection)
        return connection

    def _go_on_opening(self, connection: _Connection) -> None:
        tls = self._load.tls
        if tls is not None and not isinstance(connection.socket, ssl.SSLSocket):
            _raise_for(connection.socket)
            self._selector.unregister(connection.socket)
            connection.socket = tls.wrap_socket(
                connection.socket, server_hostname=self._load.host, do_handshake_on_connect=False
            )
            self._selector.register(connection.socket, selectors.EVENT_WRITE, connection)
        if isinstance(connection.socket, ssl.SSLSocket):
            try:
                connection.socket.do_handshake()
            except ssl.SSLWantReadError:
                self._selector.modify(connection.socket, selectors.EVENT_READ, connection)
                return
            except ssl.SSLWantWriteError:
                self._selector.modify(connection.socket, selectors.EVENT_WRITE, connection)
                return
        else:
            _raise_for(connection.socket)
        connection.is_open = True
        self._send(connection)

    def _lose(self, connection: _Connection, kind: str) -> None:
        self._forget(connection)
        if connection.asked_at is not None:
            self._second.errors[kind] += 1
            self._come_back()

    def _come_back(self) -> None:
        if self._load.rate is None:
            self._reopen.append(time.monotonic() + RECONNECT_SECONDS)

    def _forget(self, connection: _Connection) -> None:
        self._selector.unregister(connection.socket)
        connection.socket.close()
        self._open.discard(connection)
        with contextlib.suppress(ValueError):
            self._idle.remove(connection)

    def _tell(self, seconds: float, processor: float) -> float:
        """Add the counts of a second to those of the run; return the processor time so far."""
        now = time.thread_time()
        self._second.seconds = seconds
        self._second.processor_seconds = now - processor
        self._total.merge(self._second)
        if self._on_second is not None and seconds > 0:
            self._on_second(self._second)
        self._second = Report()
        return now


def kind_of(error: OSError) -> str:
    """Return the few words that failures of one kind are counted under."""
    if isinstance(error, ssl.SSLError):
        return f"TLS: {getattr(error, 'verify_message', '') or error.reason}"
    if isinstance(error, ConnectionRefusedError):
        return REFUSED
    if isinstance(error, ConnectionResetError | BrokenPipeError):
        return RESET
    return error.strerror or type(error).__name__


def _raise_for(connecting: socket.socket) -> None:
    """Raise the OSError that kept a socket from connecting."""
    code = connecting.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if code:
        raise OSError(code, os.strerror(code))
