"""HTTP/2 by hand (RFC 9113), for what no client library would send."""

from __future__ import annotations

import contextlib
import socket
import struct
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Iterable

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PING, WINDOW_UPDATE, CONTINUATION = 0, 1, 2, 3, 4, 6, 8, 9
END_STREAM, ACK, END_HEADERS = 1, 1, 4
INITIAL_WINDOW_SIZE = 4
CANCEL = struct.pack(">I", 8)
PREDICT = b"/tensorflow.serving.PredictionService/Predict"
TIMEOUT_SECONDS = 10
# Headers of a call beside its path.
GRPC = ((b":method", b"POST"), (b":scheme", b"http"), (b":authority", b"x"), (b"te", b"trailers"))


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """Return a frame (RFC 9113, 4.1)."""
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def field(name: bytes, value: bytes) -> bytes:
    """Return a header as a literal that is not indexed (RFC 7541, 6.2.2)."""
    return b"\x00" + _text(name) + _text(value)


def fields(path: bytes = PREDICT) -> bytes:
    """Return the headers of a call."""
    return b"".join(field(*pair) for pair in (*GRPC, (b":path", path), (b"content-type", b"application/grpc")))


def call(stream: int, message: bytes | None = None, path: bytes = PREDICT) -> bytes:
    """Return the frames of a whole call, or of one whose message is still to come."""
    head = frame(HEADERS, END_HEADERS, stream, fields(path))
    return head if message is None else head + data(stream, prefixed(message))


def data(stream: int, content: bytes, flags: int = END_STREAM) -> bytes:
    """Return DATA frames of at most 16 KiB; `flags` are the last one's."""
    parts = [content[i : i + 16384] for i in range(0, len(content), 16384)] or [b""]
    return b"".join(frame(DATA, flags if i == len(parts) - 1 else 0, stream, part) for i, part in enumerate(parts))


def prefixed(message: bytes, length: int | None = None) -> bytes:
    """Return a gRPC message with its prefix, which may lie about the length."""
    return b"\x00" + struct.pack(">I", len(message) if length is None else length) + message


def _text(text: bytes) -> bytes:
    if len(text) < 127:
        return bytes([len(text)]) + text
    rest, length = len(text) - 127, b"\x7f"
    while rest >= 128:
        length += bytes([rest % 128 + 128])
        rest //= 128
    return length + bytes([rest]) + text


class Connection:
    """A connection whose client says what it likes and need not listen."""

    def __init__(self, port: int, settings: bytes = b"") -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_SECONDS)
        self.send(PREFACE + frame(SETTINGS, 0, 0, settings))

    def __enter__(self) -> Self:
        """Return at once."""
        return self

    def __exit__(self, *_: object) -> None:
        """Hang up."""
        self.socket.close()

    def send(self, content: bytes) -> bool:
        """Send bytes; False where the server has hung up, or takes no more for now."""
        try:
            self.socket.sendall(content)
        except (ConnectionError, TimeoutError):
            return False
        return True

    def send_all(self, contents: Iterable[bytes]) -> bool:
        """Send one after the other, as long as the server takes them."""
        return all(map(self.send, contents))

    def drop(self) -> None:
        """Leave with a reset instead of a goodbye."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def is_closed(self, seconds: float) -> bool:
        """Tell whether the server hangs up within some time."""
        self.socket.settimeout(seconds)
        with contextlib.suppress(TimeoutError):
            try:
                while self.socket.recv(1 << 20):
                    pass
            except ConnectionError:
                pass
            return True
        return False
