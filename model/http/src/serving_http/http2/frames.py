"""HTTP/2's frames (RFC 9113, 4 and 6) as bytes: written, and read as they come; what they mean is the connection's."""

from __future__ import annotations

import struct

from hpack.hpack import encode_integer

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
# Types and flags (RFC 9113, 6).
DATA, HEADERS, PRIORITY_FRAME, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM = ACK = 0x1
END_HEADERS, PADDED, PRIORITY = 0x4, 0x8, 0x20
# Settings (6.5.2) and what holds until a peer says otherwise.
HEADER_TABLE_SIZE, ENABLE_PUSH, MAX_CONCURRENT_STREAMS, INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE, MAX_HEADER_LIST_SIZE = (
    range(1, 7)
)
PEER_WINDOW, PEER_FRAME_BYTES, LARGEST_FRAME_BYTES = 65_535, 16_384, (1 << 24) - 1
LARGEST_WINDOW = LAST_STREAM = 2**31 - 1
# Error codes (7).
NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, FLOW_CONTROL_ERROR, SETTINGS_TIMEOUT, STREAM_CLOSED = range(6)
FRAME_SIZE_ERROR, REFUSED_STREAM, CANCEL, COMPRESSION_ERROR, CONNECT_ERROR, ENHANCE_YOUR_CALM = range(6, 12)
HEAD_BYTES = 9

Frame = tuple[int, int, int, bytes | bytearray | memoryview]


class ConnectionFault(Exception):  # noqa: N818 - RFC 9113 says "connection error" of what it ends with
    """What a peer sent ends the connection, with an error code."""

    def __init__(self, code: int, words: str) -> None:
        super().__init__(words)
        self.code = code
        self.words = words


def expect(is_so: object, code: int, words: str) -> None:
    """Raise ConnectionFault, with an error code and words, for what is not so."""
    if not is_so:
        raise ConnectionFault(code, words)


def frame(kind: int, flags: int, stream: int, content: bytes) -> bytes:
    """Return a frame's bytes."""
    return struct.pack(">I", len(content))[1:] + bytes((kind, flags)) + struct.pack(">I", stream) + content


def settings(values: dict[int, int]) -> bytes:
    """Return a frame of settings."""
    return frame(SETTINGS, 0, 0, b"".join(struct.pack(">HI", *pair) for pair in values.items()))


def window_update(stream: int, size: int) -> bytes:
    """Return a frame that lets a peer send so many bytes more; stream 0 is the connection."""
    return frame(WINDOW_UPDATE, 0, stream, struct.pack(">I", size))


def reset(stream: int, code: int) -> bytes:
    """Return a frame that ends a stream."""
    return frame(RST_STREAM, 0, stream, struct.pack(">I", code))


def goaway(last: int, code: int, words: str = "") -> bytes:
    """Return a frame that says which stream is the last to be answered, and why."""
    return frame(GOAWAY, 0, 0, struct.pack(">II", last, code) + words.encode("utf-8", "replace")[:256])


def literal(name: bytes, value: bytes) -> bytes:
    """Return a header that enters no table (RFC 7541, 6.2.2)."""
    return b"\0" + _text(name) + _text(value)


def _text(value: bytes) -> bytes:
    """Return a string that is not compressed, behind its length (RFC 7541, 5.2)."""
    return bytes(encode_integer(len(value), 7)) + value


def unpadded(content: bytes, flags: int) -> bytes:
    """Return a frame's content without its padding; raise ConnectionFault for more padding than there is content."""
    if not flags & PADDED:
        return content
    expect(content and content[0] < len(content), PROTOCOL_ERROR, "padding is longer than its frame")
    return content[1 : len(content) - content[0]]


def settings_in(content: bytes) -> dict[int, int]:
    """Return what a frame of settings says, of each the last; raise ConnectionFault for what none may say (6.5.2)."""
    expect(len(content) % 6 == 0, FRAME_SIZE_ERROR, "SETTINGS")
    said: dict[int, int] = dict(struct.iter_unpack(">HI", content))
    expect(said.get(ENABLE_PUSH, 0) <= 1, PROTOCOL_ERROR, "ENABLE_PUSH")
    expect(said.get(INITIAL_WINDOW_SIZE, 0) <= LARGEST_WINDOW, FLOW_CONTROL_ERROR, "INITIAL_WINDOW_SIZE")
    is_allowed = PEER_FRAME_BYTES <= said.get(MAX_FRAME_SIZE, PEER_FRAME_BYTES) <= LARGEST_FRAME_BYTES
    expect(is_allowed, PROTOCOL_ERROR, "MAX_FRAME_SIZE")
    return said


def window_in(content: bytes) -> int:
    """Return by how much a window grows; raise ConnectionFault for a malformed frame."""
    expect(len(content) == 4, FRAME_SIZE_ERROR, "WINDOW_UPDATE")  # noqa: PLR2004
    return int.from_bytes(content, "big") & LARGEST_WINDOW


def expect_no_cycle(stream: int, priority: bytes) -> None:
    """Raise ConnectionFault where a stream's priority says that it depends on itself (RFC 7540, 5.3.1)."""
    depends = int.from_bytes(priority[:4], "big") & LAST_STREAM
    expect(depends != stream, PROTOCOL_ERROR, "a stream depends on itself")


class Reader:
    """Bytes in, frames out. Of data nothing is kept: a frame of it comes in as many pieces as the network makes of it.

    Any other frame is kept until it is whole, and refused beyond `largest_bytes`; data beyond `largest_data_bytes`.
    """

    __slots__ = ("_at", "_data", "_largest_bytes", "_largest_data_bytes", "_left", "_padding", "_piece")

    def __init__(self, largest_bytes: int, largest_data_bytes: int) -> None:
        # For the life of the connection.
        self._largest_bytes = largest_bytes
        self._largest_data_bytes = largest_data_bytes
        # As bytes come: what is to be read from where, and what is left of a frame of data.
        self._data: bytes | bytearray = b""
        self._at = 0
        self._left = self._padding = 0
        self._piece = (0, 0)

    def feed(self, data: bytes) -> None:
        """Take bytes; those that were read are gone."""
        rest = len(self._data) - self._at
        if not rest:
            self._data, self._at = data, 0
        elif self._at:
            self._data = bytearray(memoryview(self._data)[self._at :]) + data
            self._at = 0
        else:
            if not isinstance(self._data, bytearray):
                self._data = bytearray(self._data)
            self._data += data

    def next(self) -> Frame | None:
        """Return the next frame, or piece of data: type, flags, stream, content; None when there is no whole one.

        END_STREAM is on the last piece only. Raise ConnectionFault for a frame that is too large.
        """
        data, at = self._data, self._at
        if self._left or self._padding:
            return self._next_piece(data, at)
        if len(data) - at < HEAD_BYTES:
            return None
        size = data[at] << 16 | data[at + 1] << 8 | data[at + 2]
        kind, flags = data[at + 3], data[at + 4]
        number = int.from_bytes(data[at + 5 : at + 9], "big") & LAST_STREAM
        if kind == DATA:
            return self._begin_data(size, flags, number)
        if size > self._largest_bytes:
            raise ConnectionFault(FRAME_SIZE_ERROR, f"a frame of {size} bytes, at most {self._largest_bytes}")
        end = at + HEAD_BYTES + size
        if len(data) < end:
            return None
        self._at = end
        return kind, flags, number, bytes(data[at + HEAD_BYTES : end])

    def _begin_data(self, size: int, flags: int, number: int) -> Frame | None:
        if size > self._largest_data_bytes:
            raise ConnectionFault(FRAME_SIZE_ERROR, f"a frame of {size} bytes, at most {self._largest_data_bytes}")
        at = self._at + HEAD_BYTES
        if flags & PADDED:
            if len(self._data) <= at:
                return None
            padding = self._data[at]
            at, size = at + 1, size - 1
            if padding > size:
                raise ConnectionFault(PROTOCOL_ERROR, "padding is longer than its frame")
            self._left, self._padding = size - padding, padding
        else:
            self._left = size
        self._at = at
        self._piece = (flags, number)
        if not self._left:
            return self._last_piece(memoryview(b""))
        return self._next_piece(self._data, at)

    def _next_piece(self, data: bytes | bytearray, at: int) -> Frame | None:
        size = min(len(data) - at, self._left)
        if self._left and not size:
            return None
        if self._left:
            self._at = at + size
            self._left -= size
            # A copy, where the buffer may grow: nobody may hold on to a part of that.
            part = memoryview(data if isinstance(data, bytes) else bytes(data[at : at + size]))
            piece = part[at : at + size] if isinstance(data, bytes) else part
            return self._last_piece(piece) if not self._left else (DATA, 0, self._piece[1], piece)
        skipped = min(len(data) - at, self._padding)
        self._at = at + skipped
        self._padding -= skipped
        return None if self._padding else self.next()

    def _last_piece(self, piece: memoryview) -> Frame:
        flags, number = self._piece
        return DATA, flags & END_STREAM, number, piece
