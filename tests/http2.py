"""A client of gRPC by its bytes alone, for what no library would send (RFC 9113, gRPC's PROTOCOL-HTTP2.md)."""

from __future__ import annotations

import contextlib
import socket
import struct
import urllib.parse
from typing import TYPE_CHECKING

from hpack import Decoder

if TYPE_CHECKING:
    from collections.abc import Iterator

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RESET, SETTINGS, PING, GOAWAY, WINDOW, CONTINUATION = 0, 1, 3, 4, 6, 7, 8, 9
END_STREAM, END_HEADERS = 1, 4
FRAME_BYTES = 16_384
SECONDS = 10


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """Return a frame's bytes."""
    return struct.pack(">I", len(payload))[1:] + bytes((kind, flags)) + struct.pack(">I", stream) + payload


def headers(path: bytes, stream: int, *more: tuple[bytes, bytes]) -> bytes:
    """Return what opens a call; no header enters a table, none is compressed (RFC 7541, 6.2.2)."""
    fields = [(b":method", b"POST"), (b":scheme", b"http"), (b":path", path), (b":authority", b"x")]
    fields += [(b"te", b"trailers"), (b"content-type", b"application/grpc"), *more]
    block = b"".join(b"\0" + bytes((len(n),)) + n + bytes((len(v),)) + v for n, v in fields)
    return frame(HEADERS, END_HEADERS, stream, block)


def message(stream: int, content: bytes, *, left: int = 0, is_compressed: bool = False) -> bytes:
    """Return a call's message in frames, and the end of its stream; without its last `left` bytes and the end."""
    prefixed = struct.pack(">BI", is_compressed, len(content)) + content
    sent = prefixed[: len(prefixed) - left]
    parts = [sent[start : start + FRAME_BYTES] for start in range(0, len(sent), FRAME_BYTES)]
    ends = [0] * (len(parts) - 1) + [0 if left else END_STREAM]
    return b"".join(frame(DATA, flags, stream, part) for flags, part in zip(ends, parts, strict=True))


@contextlib.contextmanager
def connected(port: int) -> Iterator[socket.socket]:
    """Yield a connection that has said it speaks HTTP/2."""
    with socket.create_connection(("127.0.0.1", port), timeout=SECONDS) as connection:
        connection.sendall(PREFACE + frame(SETTINGS, 0, 0, b""))
        yield connection


def frames(connection: socket.socket) -> Iterator[tuple[int, int, int, bytes]]:
    """Yield what the server sends: type, flags, stream, content; to the end of the connection."""
    while len(head := _received(connection, 9)) == 9:
        content = _received(connection, int.from_bytes(head[:3], "big"))
        yield head[3], head[4], int.from_bytes(head[5:], "big"), content


def _received(connection: socket.socket, size: int) -> bytes:
    """Return so many bytes, or fewer at the end; MSG_WAITALL waits for nothing where a socket has a timeout."""
    data = bytearray()
    while len(data) < size and (piece := connection.recv(size - len(data))):
        data += piece
    return bytes(data)


def status(connection: socket.socket, wanted: int) -> tuple[int, str]:
    """Return gRPC's status and words of a stream; those of other streams before it are passed over."""
    decoder = Decoder()
    for kind, flags, stream, content in frames(connection):
        if kind != HEADERS:
            continue
        fields = {bytes(name): bytes(value) for name, value in decoder.decode(content, raw=True)}
        if stream == wanted and flags & END_STREAM:
            return int(fields[b"grpc-status"]), urllib.parse.unquote(fields.get(b"grpc-message", b"").decode())
    raise AssertionError(f"the connection ended before stream {wanted}")
