"""What strangers may send over HTTP, and what it does to a process and to everybody else."""

from __future__ import annotations

import contextlib
import gzip
import socket
import struct
import threading
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tests.bystander import Watch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TIMEOUT_SECONDS = 30
MIB = 1 << 20


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


def watch(target: Target) -> Watch:
    """Return what watches others who ask a target on a connection that is kept."""
    return Watch(target.pid, _asking(target))


@contextlib.contextmanager
def _asking(target: Target) -> Iterator[Callable[[], str]]:
    with target.connect() as connection:

        def ask() -> str:
            connection.sendall(target.good)
            status = status_of(connection)
            return "" if status == 200 else f"answered {status}"

        yield ask


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
    """Ask for models nobody has, by names of 8 KiB and of 50."""
    names = (f"{i}".ljust(size, "n") for size in (8_000, 50_000) for i in range(40))
    return {sent(target, f"GET /v1/models/{name} HTTP/1.1\r\nHost: a\r\n\r\n".encode()) for name in names}


def chunks_of_a_byte(target: Target) -> set[int]:
    """Send a body in chunks of one byte, with extensions."""
    head = f"POST {target.path} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    return {sent(target, head + b"1;" + b"e" * 100 + b"\r\na\r\n" * 1000), sent(target, head + b"1\r\n1\r\n" * 300_000)}


def lists_of_nothing_in_lists(target: Target) -> set[int]:
    """Send 10 KB of lists of nothing that, by their first ones, claim to be a thousand to the thirtieth."""
    lists = b"[]"
    for _ in range(30):
        lists = b"[" + lists + b",[]" * 999 + b"]"
    return {sent(target, target.post(b'{"inputs": ' + lists + b"}"))}


def streams_of_nothing(target: Target) -> set[int]:
    """Send 4 MiB of gzip streams, and of blocks, that hold nothing."""
    streams = gzip.compress(b"") * (4 * MIB // 20)
    blocks = gzip.compress(b"")[:10] + b"\0\0\0\xff\xff" * (4 * MIB // 5 - 3)
    return {sent(target, target.post(body, "Content-Encoding: gzip")) for body in (streams, blocks)}


def context_in_front_of_many(target: Target) -> set[int]:
    """Classify 600,000 examples of nothing with a context of a MiB in front of each."""
    classify = replace(target, path=target.path.replace(":predict", ":classify"))
    context = b'{"context": {"c": "' + b"c" * MIB + b'"}, "examples": [' + b"{}," * 600_000 + b"{}]}"
    return {sent(classify, classify.post(context))}


def numbers_of_many_digits(target: Target) -> set[int]:
    """Send a number of 3 million digits, and a million exponents."""
    bodies = (b"1" * (3 * MIB), b"-0." + b"0" * (3 * MIB), b"1e999999," * (3 * MIB // 9) + b"1")
    return {sent(target, target.post(b'{"instances": [' + body + b"]}")) for body in bodies}


def keys_and_escapes(target: Target) -> set[int]:
    """Send 300,000 keys, the same key as often, and halves of characters."""
    keys = b",".join(b'"%d":0' % i for i in range(300_000))
    bodies = (keys, b'"inputs":[1],' * 250_000 + b'"a":0', b'"inputs":["' + b"\\ud800" * 500_000 + b'"]')
    return {sent(target, target.post(b"{" + body + b"}")) for body in bodies}


def equal_headers(target: Target) -> set[int]:
    """Send the same header 12,000 times, and a query of 10,000 parameters."""
    return {
        sent(target, b"GET / HTTP/1.1\r\n" + b"a:b\r\n" * 12_000 + b"\r\n"),
        sent(target, b"POST /predict?" + b"a=%41&" * 10_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n"),
    }


def pipelined_requests(target: Target) -> set[int]:
    """Send thousands of requests at once on a connection."""
    count, found = 3_000, b"HTTP/1.1 200 "
    with target.connect() as connection:
        sending = threading.Thread(target=_send, args=(connection, target.good * count))
        sending.start()
        answers, tail = 0, b""
        while answers < count and (part := connection.recv(1 << 20)):
            data = tail + part
            answers += data.count(found)
            # Shorter than what is looked for: nothing is counted twice, nor missed between two pieces.
            tail = data[1 - len(found) :]
        connection.shutdown(socket.SHUT_RDWR)
        sending.join()
    return {200} if answers == count else {0}


def _send(connection: socket.socket, data: bytes) -> None:
    with contextlib.suppress(OSError):
        connection.sendall(data)


def resets(target: Target) -> set[int]:
    """Send a request on each of 1,000 connections and reset it."""
    for _ in range(1000):
        with target.connect() as connection:
            connection.sendall(target.good)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return set()


def half_closed(target: Target) -> set[int]:
    """Send a request on each of 300 connections and close one side of it."""
    found = set()
    with connections(target, 300, target.good) as held:
        for connection in held:
            connection.shutdown(socket.SHUT_WR)
        for connection in held:
            found.add(status_of(connection))
    return found - {200}


def leave_nobody_uses(target: Target) -> set[int]:
    """Ask 300 times for leave to send a body, and send none."""
    head = target.post(b"", "Expect: 100-continue", length=MIB)
    with connections(target, 300, head) as held:
        return {status_of(connection) for connection in held} - {100}


def answers_nobody_reads(target: Target) -> set[int]:
    """Ask 40 times for large answers and read none of them."""
    large = target.post(b'{"instances": [' + b"1," * 100_000 + b"1]}")
    with connections(target, 40, large):
        time.sleep(3)
    return set()


def bodies_one_byte_short(target: Target) -> set[int]:
    """Send 150 bodies of a MiB, each one byte short."""
    with connections(target, 150, target.post(bytes(MIB), length=MIB + 1)) as held:
        return {status_of(connection) for connection in held} - {503}


def silent_connections(target: Target) -> set[int]:
    """Hold 1,000 connections that say nothing."""
    with connections(target, 1000) as held:
        return {status_of(connection) for connection in held[::50]}


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
    lists_of_nothing_in_lists,
    streams_of_nothing,
    context_in_front_of_many,
    numbers_of_many_digits,
    keys_and_escapes,
    equal_headers,
    pipelined_requests,
    resets,
    half_closed,
    leave_nobody_uses,
    answers_nobody_reads,
    bodies_one_byte_short,
    silent_connections,
]
# Those that hold what a model like the tests' may be asked: they are answered, or refused.
ANSWERED = frozenset({lists_of_nothing, pipelined_requests, numbers_of_many_digits, keys_and_escapes})
# What all others are answered with; 0 is a connection that is closed.
REFUSALS = frozenset({0, 400, 404, 408, 413, 414, 422, 431})
