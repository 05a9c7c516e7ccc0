"""What strangers may send over HTTP, and what it does to a process and to everybody else."""

from __future__ import annotations

import contextlib
import gzip
import socket
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from tests.processes import PEAK, forget_peak, memory_mib

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TIMEOUT_SECONDS = 30
MIB = 1 << 20
PROBE_SECONDS = 0.02


@dataclass(frozen=True)
class Target:
    """A process under attack: its port and number, the path that takes a body, and a good request."""

    port: int
    pid: int
    path: str
    good: bytes

    def connect(self) -> socket.socket:
        """Return a new connection."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=TIMEOUT_SECONDS)

    def post(self, body: bytes, *headers: str, length: int | None = None) -> bytes:
        """Return the bytes of a POST; `length` is told in place of the body's own."""
        told = [f"POST {self.path} HTTP/1.1", "Host: a", f"Content-Length: {len(body) if length is None else length}"]
        return "\r\n".join([*told, *headers, "", ""]).encode() + body


def status_of(connection: socket.socket) -> int:
    """Return the status of the reply on a connection, 0 where it was closed without one."""
    data = b""
    with contextlib.suppress(ConnectionError):
        while b"\r\n" not in data and (part := connection.recv(65536)):
            data += part
    return int(data.split()[1]) if data else 0


def sent(target: Target, data: bytes) -> int:
    """Send bytes on a connection of their own; return the status of the reply."""
    with target.connect() as connection:
        with contextlib.suppress(ConnectionError):
            connection.sendall(data)
        return status_of(connection)


@dataclass
class Watch:
    """What others notice while the block runs: the longest time of a good request, and the process's memory."""

    target: Target
    slowest_seconds: float = 0.0
    failures: list[str] = field(default_factory=list)
    before_mib: float = 0.0

    def __enter__(self) -> Self:
        """Begin to ask, every so often, on a connection that is kept."""
        assert sent(self.target, self.target.good) == 200
        forget_peak(self.target.pid)
        self.before_mib = memory_mib(self.target.pid)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._ask)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Ask no more."""
        self._stop.set()
        self._thread.join()

    def _ask(self) -> None:
        with self.target.connect() as connection:
            while not self._stop.wait(PROBE_SECONDS):
                start = time.monotonic()
                connection.sendall(self.target.good)
                if (status := status_of(connection)) != 200:
                    self.failures.append(f"answered {status}")
                    return
                self.slowest_seconds = max(self.slowest_seconds, time.monotonic() - start)

    @property
    def grown_mib(self) -> float:
        """Return by how much the memory was larger at its peak."""
        return memory_mib(self.target.pid, PEAK) - self.before_mib


@contextlib.contextmanager
def connections(target: Target, count: int, data: bytes = b"") -> Iterator[list[socket.socket]]:
    """Hold so many connections that have sent the same."""
    held: list[socket.socket] = []
    try:
        for _ in range(count):
            connection = target.connect()
            held.append(connection)
            if data:
                with contextlib.suppress(ConnectionError):
                    connection.sendall(data)
        yield held
    finally:
        for connection in held:
            connection.close()


# ---- attacks: each returns the statuses it was answered with


def endless_header(target: Target) -> set[int]:
    """Send one header of 12 MiB."""
    return {sent(target, b"GET / HTTP/1.1\r\nx: " + b"a" * (12 * MIB))}


def many_headers(target: Target) -> set[int]:
    """Send a hundred thousand headers."""
    return {sent(target, b"GET / HTTP/1.1\r\n" + b"".join(b"x%d: y\r\n" % i for i in range(100_000)))}


def escaped_quotes(target: Target) -> set[int]:
    """Send what a careless pattern over strings takes hours for."""
    return {sent(target, target.post(b'{"instances": [Inf, "' + b'\\"' * 60_000))}


def lists_of_nothing(target: Target) -> set[int]:
    """Send a million empty lists."""
    return {sent(target, target.post(b'{"inputs": [' + b"[]," * (MIB * 13 // 10) + b"[]]}")) for _ in range(3)}


def objects_of_nothing(target: Target) -> set[int]:
    """Send a million empty objects."""
    return {sent(target, target.post(b'{"instances": [' + b"{}," * (MIB * 13 // 10) + b"{}]}")) for _ in range(3)}


def deep_lists(target: Target) -> set[int]:
    """Send lists in lists in lists."""
    return {sent(target, target.post(b'{"inputs": ' + b"[" * MIB))}


def bombs(target: Target) -> set[int]:
    """Send 1 GiB of zeros, and as many lists, in a MiB."""
    zeros = gzip.compress(bytes(1 << 30), 1)
    lists = gzip.compress(b'{"inputs": [' + b"[]," * (64 * MIB // 3), 9)
    return {sent(target, target.post(bomb, "Content-Encoding: gzip")) for bomb in (zeros, lists) for _ in range(4)}


def long_names(target: Target) -> set[int]:
    """Ask for models nobody has, by names of 50 KiB."""
    names = (f"{i}".ljust(50_000, "n") for i in range(40))
    return {sent(target, f"GET /v1/models/{name} HTTP/1.1\r\nHost: a\r\n\r\n".encode()) for name in names}


def chunks_of_a_byte(target: Target) -> set[int]:
    """Send a body in chunks of one byte, with extensions."""
    head = f"POST {target.path} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    return {sent(target, head + b"1;" + b"e" * 100 + b"\r\na\r\n" * 1000), sent(target, head + b"1\r\n1\r\n" * 300_000)}


ATTACKS: list[Callable[[Target], set[int]]] = [
    endless_header,
    many_headers,
    escaped_quotes,
    lists_of_nothing,
    objects_of_nothing,
    deep_lists,
    bombs,
    long_names,
    chunks_of_a_byte,
]
