"""Unary gRPC over HTTP/2, on the event loop itself: calls to a model's servers, and nothing else.

grpcio's client hands each call to a thread of its own and back, and took a quarter of the gateway's time
(docs/performance.md); what is spoken here is the small part of RFC 9113 and of gRPC's protocol (PROTOCOL-HTTP2.md)
that unary calls need. Headers are decoded by hpack.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import urllib.parse
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hpack import Decoder, HPACKError

from serving_codec.status import Code, ServingError
from serving_codec.varint import varint

if TYPE_CHECKING:
    import ssl

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
# Types and flags of frames, settings and error codes (RFC 9113, 6 and 7).
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 0, 1, 3, 4, 6, 7, 8, 9
END_STREAM = ACK = 0x1
END_HEADERS, PADDED, PRIORITY = 0x4, 0x8, 0x20
HEADER_TABLE_SIZE, ENABLE_PUSH, MAX_CONCURRENT_STREAMS, INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE = 1, 2, 3, 4, 5
CANCEL, REFUSED_STREAM = 8, 7
HEAD_BYTES, PREFIX_BYTES = 9, 5
SEVEN_BITS = 0x7F
PEER_WINDOW, PEER_FRAME_BYTES = 65_535, 16_384
# What servers may send us: windows that never close, frames of a MiB, and no more of an answer than this.
OUR_WINDOW = 2**31 - 1
OUR_FRAME_BYTES = 1 << 20
MAXIMUM_ANSWER_BYTES = 1 << 30
MAXIMUM_HEADER_BYTES = 64 << 10
REMEMBERED_HEADERS = 128
LAST_STREAM = 2**30
# The longest time gRPC's header can say in milliseconds has 8 digits.
MAXIMUM_TIMEOUT_MS = 99_999_999
# A machine that is gone without a word is found by the kernel: idle seconds, between probes, and how many are lost.
KEEPALIVE = (("TCP_KEEPIDLE", 10), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 2))
UNACKNOWLEDGED_MS = 20_000
# HTTP's statuses where a proxy answers in gRPC's place (gRPC's http-grpc-status-mapping.md).
OF_HTTP = {"429": Code.UNAVAILABLE, "502": Code.UNAVAILABLE, "503": Code.UNAVAILABLE, "504": Code.UNAVAILABLE}
AWAY = Code.UNAVAILABLE


def settings_frame() -> bytes:
    """Return what we tell at the start; without a table of headers equal headers are equal bytes."""
    values = ((HEADER_TABLE_SIZE, 0), (ENABLE_PUSH, 0), (INITIAL_WINDOW_SIZE, OUR_WINDOW))
    content = b"".join(struct.pack(">HI", *pair) for pair in (*values, (MAX_FRAME_SIZE, OUR_FRAME_BYTES)))
    return frame(SETTINGS, 0, 0, content)


def frame(kind: int, flags: int, stream: int, content: bytes) -> bytes:
    """Return a frame's bytes."""
    return struct.pack(">I", len(content))[1:] + bytes((kind, flags)) + struct.pack(">I", stream) + content


def literal(name: bytes, value: bytes) -> bytes:
    """Return a header that enters no table (RFC 7541, 6.2.2)."""
    return b"\0" + _text(name) + _text(value)


def _text(value: bytes) -> bytes:
    """Return a string that is not compressed, behind its length (RFC 7541, 5.2)."""
    size = len(value)
    return (bytes((size,)) if size < SEVEN_BITS else b"\x7f" + varint(size - SEVEN_BITS)) + value


@dataclass(eq=False, slots=True)
class Stream:
    """One call: its answer to come, what has come of it, and how much may be sent."""

    number: int
    answer: asyncio.Future[bytes]
    window: int
    timer: asyncio.TimerHandle
    headers: dict[str, str] = field(default_factory=dict)
    content: bytearray = field(default_factory=bytearray)


class Connection(asyncio.Protocol):
    """A connection to one server: `ready` once it has spoken, `lost` once it takes no calls, `gone` once closed."""

    def __init__(self, authority: str, *, is_secure: bool) -> None:
        # For the life of the connection.
        self._loop = asyncio.get_running_loop()
        self._head = bytes((0x83, 0x87 if is_secure else 0x86)) + literal(b":authority", authority.encode())
        self._tail = literal(b"te", b"trailers") + literal(b"content-type", b"application/grpc")
        self._transport: Any = None
        self._decoder = Decoder(MAXIMUM_HEADER_BYTES)
        self._decoder.max_allowed_table_size = 0
        self._remembered: dict[bytes, dict[str, str]] = {}
        self.ready: asyncio.Future[None] = self._loop.create_future()
        self.lost: asyncio.Future[str] = self._loop.create_future()
        self.gone: asyncio.Future[None] = self._loop.create_future()
        # As the server says.
        self._peer_window = PEER_WINDOW
        self._peer_frame_bytes = PEER_FRAME_BYTES
        self._peer_streams = LAST_STREAM
        # As calls come and go.
        self._streams: dict[int, Stream] = {}
        self._next_stream = 1
        self._window = PEER_WINDOW
        self._received = 0
        self._unsent: deque[tuple[Stream, memoryview]] = deque()
        self._buffer = bytearray()
        self._header_block: tuple[int, int, bytearray] | None = None

    @property
    def is_open(self) -> bool:
        """Tell whether calls can be made."""
        return self.ready.done() and not self.lost.done()

    # ---- calls

    async def call(self, path: bytes, request: bytes, seconds: float) -> bytes:
        """Return the reply to a unary call; raise ServingError with the server's status and words.

        A caller that leaves ends the call at the server too.
        """
        if len(self._streams) >= self._peer_streams:
            raise ServingError(AWAY, "the server takes no more calls at once")
        number, self._next_stream = self._next_stream, self._next_stream + 2
        stream = Stream(
            number, self._loop.create_future(), self._peer_window, self._loop.call_later(seconds, self._expire, number)
        )
        self._streams[number] = stream
        # A stream's number is never used twice; the channel connects anew when they are used up.
        if self._next_stream > LAST_STREAM:
            self._lose("all numbers of streams are used")
        # 0 would be over before it is sent.
        milliseconds = min(MAXIMUM_TIMEOUT_MS, max(1, int(seconds * 1000)))
        block = self._head + literal(b":path", path)
        block += self._tail + literal(b"grpc-timeout", b"%dm" % milliseconds)
        prefix = b"\0" + struct.pack(">I", len(request))
        self._send(stream, frame(HEADERS, END_HEADERS, number, block), prefix + request)
        try:
            return await stream.answer
        except asyncio.CancelledError:
            self._end(stream, CANCEL)
            raise

    def _send(self, stream: Stream, head: bytes, message: bytes) -> None:
        # The usual call is one write. Behind others that wait it would overtake them, and a large one never get a turn.
        if len(message) <= min(self._peer_frame_bytes, self._window, stream.window) and not self._unsent:
            self._spend(stream, len(message))
            self._transport.write(head + frame(DATA, END_STREAM, stream.number, message))
            return
        self._transport.write(head)
        self._unsent.append((stream, memoryview(message)))
        self._send_more()

    def _send_more(self) -> None:
        """Send as much as the windows allow, each message in its turn."""
        parts: list[bytes] = []
        blocked: deque[tuple[Stream, memoryview]] = deque()
        while self._unsent and self._window > 0:
            stream, rest = self._unsent.popleft()
            if stream.number not in self._streams:
                continue
            while len(rest) and (size := min(len(rest), self._peer_frame_bytes, self._window, stream.window)) > 0:
                flags = END_STREAM if size == len(rest) else 0
                parts.append(frame(DATA, flags, stream.number, bytes(rest[:size])))
                rest = rest[size:]
                self._spend(stream, size)
            if len(rest):
                blocked.append((stream, rest))
        # In front: they came first.
        blocked.extend(self._unsent)
        self._unsent = blocked
        if parts:
            self._transport.write(b"".join(parts))

    def _spend(self, stream: Stream, size: int) -> None:
        self._window -= size
        stream.window -= size

    def _expire(self, number: int) -> None:
        stream = self._streams.get(number)
        if stream is not None:
            self._end(stream, CANCEL)
            _fail(stream, Code.DEADLINE_EXCEEDED, "Deadline Exceeded")

    def _end(self, stream: Stream, error: int | None = None) -> None:
        """Forget a call; tell the server where it does not know."""
        stream.timer.cancel()
        if (
            self._streams.pop(stream.number, None) is not None
            and error is not None
            and not self._transport.is_closing()
        ):
            self._transport.write(frame(RST_STREAM, 0, stream.number, struct.pack(">I", error)))
        # It took no new calls any more, and this was the last of the old ones.
        if self.lost.done() and not self._streams:
            self._transport.close()

    # ---- the transport's calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = transport
        _keep_alive(self._transport.get_extra_info("socket"))
        update = frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", OUR_WINDOW - PEER_WINDOW))
        self._transport.write(PREFACE + settings_frame() + update)

    def data_received(self, data: bytes) -> None:
        """Take frames as they are whole."""
        buffer = self._buffer
        buffer += data
        start = 0
        while len(buffer) - start >= HEAD_BYTES:
            size = int.from_bytes(buffer[start : start + 3], "big")
            if size > OUR_FRAME_BYTES:
                self.abort("the server sent a frame that is too large")
                return
            end = start + HEAD_BYTES + size
            if len(buffer) < end:
                break
            number = int.from_bytes(buffer[start + 5 : start + 9], "big") & 0x7FFFFFFF
            kind, flags = buffer[start + 3], buffer[start + 4]
            try:
                self._take(kind, flags, number, bytes(buffer[start + HEAD_BYTES : end]))
            except (HPACKError, struct.error, IndexError, ValueError) as error:
                self.abort(f"the server does not speak HTTP/2 as expected: {error}")
                return
            start = end
        del buffer[:start]

    def connection_lost(self, error: Exception | None) -> None:
        """Fail what is under way; it may be asked of another server."""
        self._lose(str(error) if error is not None else "the server closed the connection")
        for stream in list(self._streams.values()):
            self._end(stream)
            _fail(stream, AWAY, self.lost.result())
        if not self.gone.done():
            self.gone.set_result(None)

    def abort(self, reason: str) -> None:
        """Give the connection up."""
        self._lose(reason)
        if self._transport is not None:
            self._transport.abort()

    def close_when_done(self) -> None:
        """Take no new calls, and close after the last one."""
        self._lose("the connection is closing")
        if self._transport is not None and not self._streams:
            self._transport.close()

    async def closed(self, seconds: float) -> None:
        """Return once the last call has ended, or give the connection up when the time is over."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(self.gone), seconds)
        if not self.gone.done():
            self._transport.abort()

    def _lose(self, reason: str) -> None:
        if not self.lost.done():
            self.lost.set_result(reason)
        if not self.ready.done():
            self.ready.set_exception(ConnectionError(self.lost.result()))

    # ---- frames

    def _take(self, kind: int, flags: int, number: int, content: bytes) -> None:
        # Numbers, since `case DATA` would be a name to be bound, and an enumeration costs a look-up for each frame.
        match kind:
            case 0:
                self._take_data(flags, number, content)
            case 1 | 9:
                self._take_headers(kind, flags, number, content)
            case 3:
                self._take_reset(number, struct.unpack(">I", content)[0])
            case 4 if not flags & ACK:
                self._take_settings(content)
            case 6 if not flags & ACK:
                self._transport.write(frame(PING, ACK, 0, content))
            case 7:
                last, error = struct.unpack(">II", content[:8])
                self._take_goaway(last, error, content[8:])
            case 8:
                self._take_window(number, struct.unpack(">I", content)[0] & 0x7FFFFFFF)

    def _take_data(self, flags: int, number: int, content: bytes) -> None:
        self._received += len(content)
        # In large steps: an update for each frame would be a write for each answer.
        if self._received > OUR_WINDOW // 2:
            self._transport.write(frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", self._received)))
            self._received = 0
        stream = self._streams.get(number)
        # A call that was given up: what was under way still counts for the window above.
        if stream is None:
            return
        stream.content += _unpadded(content, flags)
        if len(stream.content) > MAXIMUM_ANSWER_BYTES:
            self._end(stream, CANCEL)
            _fail(stream, Code.RESOURCE_EXHAUSTED, f"the answer is larger than {MAXIMUM_ANSWER_BYTES} bytes")
        elif flags & END_STREAM:
            self._finish(stream)

    def _take_headers(self, kind: int, flags: int, number: int, content: bytes) -> None:
        if kind == HEADERS:
            content = _unpadded(content, flags)
            self._header_block = (number, flags, bytearray(content[5:] if flags & PRIORITY else content))
        elif self._header_block is not None:
            self._header_block[2].extend(content)
        if self._header_block is None or len(self._header_block[2]) > MAXIMUM_HEADER_BYTES:
            raise ValueError("headers that are too large, or without a beginning")
        if not flags & END_HEADERS:
            return
        number, first_flags, block = self._header_block
        self._header_block = None
        # Decoded even where nobody waits: the decoder's state is the connection's (RFC 7541, 2.2).
        headers = self._decoded(bytes(block))
        stream = self._streams.get(number)
        if stream is not None:
            stream.headers.update(headers)
            if first_flags & END_STREAM:
                self._finish(stream)

    def _decoded(self, block: bytes) -> dict[str, str]:
        # Without a table equal bytes are equal headers, and servers send the same few again and again.
        known = self._remembered.get(block)
        if known is None:
            known = {str(name): str(value) for name, value in self._decoder.decode(block)}
            if len(self._remembered) < REMEMBERED_HEADERS:
                self._remembered[block] = known
        return known

    def _take_reset(self, number: int, error: int) -> None:
        stream = self._streams.get(number)
        if stream is not None:
            self._end(stream)
            code = {CANCEL: Code.CANCELLED, REFUSED_STREAM: AWAY}.get(error, Code.INTERNAL)
            _fail(stream, code, f"the server reset the call (HTTP/2 error {error})")

    def _take_settings(self, content: bytes) -> None:
        for key, value in struct.iter_unpack(">HI", content):
            match key:
                case 3:
                    self._peer_streams = value
                case 4:
                    # May make windows negative, which is as it should be (RFC 9113, 6.9.2).
                    for stream in self._streams.values():
                        stream.window += value - self._peer_window
                    self._peer_window = value
                case 5:
                    self._peer_frame_bytes = value
        self._transport.write(frame(SETTINGS, ACK, 0, b""))
        if not self.ready.done():
            self.ready.set_result(None)
        self._send_more()

    def _take_goaway(self, last: int, error: int, words: bytes) -> None:
        self._lose(f"the server is going away (HTTP/2 error {error}) {words.decode(errors='replace')}".rstrip())
        for stream in list(self._streams.values()):
            # These were not begun there, so that asking another server computes nothing twice.
            if stream.number > last & 0x7FFFFFFF:
                self._end(stream)
                _fail(stream, AWAY, self.lost.result())
        if not self._streams:
            self._transport.close()

    def _take_window(self, number: int, size: int) -> None:
        if number == 0:
            self._window += size
        elif number in self._streams:
            self._streams[number].window += size
        self._send_more()

    # ---- answers

    def _finish(self, stream: Stream) -> None:
        """Give a call its answer."""
        self._end(stream)
        headers, content = stream.headers, stream.content
        status = headers.get("grpc-status")
        if status is None:
            # A proxy between, or no gRPC server at all.
            http = headers.get(":status", "")
            _fail(stream, OF_HTTP.get(http, Code.UNKNOWN), f"expected gRPC's status, got HTTP's {http}")
        elif status != "0":
            known = status.isascii() and status.isdecimal() and int(status) in {code.value for code in Code}
            words = urllib.parse.unquote(headers.get("grpc-message", ""))
            _fail(stream, Code(int(status)) if known else Code.UNKNOWN, words)
        elif len(content) < PREFIX_BYTES or content[0] or int.from_bytes(content[1:5], "big") != len(content) - 5:
            _fail(stream, Code.INTERNAL, "expected one message that is not compressed")
        elif not stream.answer.done():
            stream.answer.set_result(bytes(memoryview(content)[5:]))


def _fail(stream: Stream, code: Code, message: str) -> None:
    if not stream.answer.done():
        stream.answer.set_exception(ServingError(code, message))


def _unpadded(content: bytes, flags: int) -> bytes:
    return content[1 : len(content) - content[0]] if flags & PADDED else content


def _keep_alive(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        # A call is one write, and waits for none: without this the second one would wait for an acknowledgement.
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in (*KEEPALIVE, ("TCP_USER_TIMEOUT", UNACKNOWLEDGED_MS)):
            # Linux has all of them.
            if hasattr(socket, name):
                connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


async def connected(
    host: str, port: int, authority: str, context: ssl.SSLContext | None, server_name: str | None
) -> Connection:
    """Return a new connection to a server that speaks HTTP/2; raise OSError, an SSLError too, where there is none."""
    loop = asyncio.get_running_loop()
    _, connection = await loop.create_connection(
        lambda: Connection(authority, is_secure=context is not None),
        host,
        port,
        ssl=context,
        server_hostname=server_name if context is not None else None,
    )
    try:
        await connection.ready
    except asyncio.CancelledError:
        connection.abort("given up")
        raise
    return connection
