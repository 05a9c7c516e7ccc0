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

from serving_codec.status import Code, ServingError
from serving_http.http2 import frames
from serving_http.http2.frames import ConnectionFault, frame, literal
from serving_http.http2.headers import Headers

if TYPE_CHECKING:
    import ssl

    from serving_http.http2.headers import Fields

PREFIX_BYTES = 5
# What servers may send us: windows that never close, frames of a MiB, and no more of an answer than this.
OUR_FRAME_BYTES = 1 << 20
MAXIMUM_ANSWER_BYTES = 1 << 30
MAXIMUM_HEADER_BYTES = 64 << 10
# Half of what there are: a connection is made anew before its numbers are used up.
LAST_STREAM = 2**30
# The longest time gRPC's header can say in milliseconds has 8 digits.
MAXIMUM_TIMEOUT_MS = 99_999_999
# A machine that is gone without a word is found by the kernel: idle seconds, between probes, and how many are lost.
KEEPALIVE = (("TCP_KEEPIDLE", 10), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 2))
UNACKNOWLEDGED_MS = 20_000
# HTTP's statuses where a proxy answers in gRPC's place (gRPC's http-grpc-status-mapping.md).
OF_HTTP = {"429": Code.UNAVAILABLE, "502": Code.UNAVAILABLE, "503": Code.UNAVAILABLE, "504": Code.UNAVAILABLE}
AWAY = Code.UNAVAILABLE
BEGINNING = (
    frames.PREFACE
    + frames.settings(
        {
            frames.ENABLE_PUSH: 0,
            frames.INITIAL_WINDOW_SIZE: frames.LARGEST_WINDOW,
            frames.MAX_FRAME_SIZE: OUR_FRAME_BYTES,
        }
    )
    + frames.window_update(0, frames.LARGEST_WINDOW - frames.PEER_WINDOW)
)


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
        self._reader = frames.Reader(MAXIMUM_HEADER_BYTES, OUR_FRAME_BYTES)
        self._headers = Headers(MAXIMUM_HEADER_BYTES, _named)
        self.ready: asyncio.Future[None] = self._loop.create_future()
        self.lost: asyncio.Future[str] = self._loop.create_future()
        self.gone: asyncio.Future[None] = self._loop.create_future()
        # As the server says.
        self._peer_window = frames.PEER_WINDOW
        self._peer_frame_bytes = frames.PEER_FRAME_BYTES
        self._peer_streams = LAST_STREAM
        # As calls come and go.
        self._streams: dict[int, Stream] = {}
        self._next_stream = 1
        self._window = frames.PEER_WINDOW
        self._received = 0
        self._unsent: deque[tuple[Stream, memoryview]] = deque()
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
        self._send(stream, frame(frames.HEADERS, frames.END_HEADERS, number, block), prefix + request)
        try:
            return await stream.answer
        except asyncio.CancelledError:
            self._end(stream, frames.CANCEL)
            raise

    def _send(self, stream: Stream, head: bytes, message: bytes) -> None:
        # The usual call is one write. Behind others that wait it would overtake them, and a large one never get a turn.
        if len(message) <= min(self._peer_frame_bytes, self._window, stream.window) and not self._unsent:
            self._spend(stream, len(message))
            self._transport.write(head + frame(frames.DATA, frames.END_STREAM, stream.number, message))
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
                flags = frames.END_STREAM if size == len(rest) else 0
                parts.append(frame(frames.DATA, flags, stream.number, bytes(rest[:size])))
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
            self._end(stream, frames.CANCEL)
            _fail(stream, Code.DEADLINE_EXCEEDED, "Deadline Exceeded")

    def _end(self, stream: Stream, error: int | None = None) -> None:
        """Forget a call; tell the server where it does not know."""
        stream.timer.cancel()
        if (
            self._streams.pop(stream.number, None) is not None
            and error is not None
            and not self._transport.is_closing()
        ):
            self._transport.write(frames.reset(stream.number, error))
        # It took no new calls any more, and this was the last of the old ones.
        if self.lost.done() and not self._streams:
            self._transport.close()

    # ---- the transport's calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = transport
        _keep_alive(self._transport.get_extra_info("socket"))
        self._transport.write(BEGINNING)

    def data_received(self, data: bytes) -> None:
        """Take frames as they are whole."""
        reader = self._reader
        reader.feed(data)
        try:
            while (taken := reader.next()) is not None:
                self._take(*taken)
        except ConnectionFault as fault:
            self.abort(f"the server does not speak HTTP/2 as expected: {fault.words}")
        except (struct.error, IndexError, ValueError) as error:
            self.abort(f"the server does not speak HTTP/2 as expected: {error}")

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

    def _take(self, kind: int, flags: int, number: int, content: Any) -> None:
        match kind:
            case frames.DATA:
                self._take_data(flags, number, content)
            case frames.HEADERS | frames.CONTINUATION:
                self._take_headers(kind, flags, number, content)
            case frames.RST_STREAM:
                self._take_reset(number, struct.unpack(">I", content)[0])
            case frames.SETTINGS if not flags & frames.ACK:
                self._take_settings(content)
            case frames.PING if not flags & frames.ACK:
                self._transport.write(frame(frames.PING, frames.ACK, 0, content))
            case frames.GOAWAY:
                last, error = struct.unpack(">II", content[:8])
                self._take_goaway(last, error, content[8:])
            case frames.WINDOW_UPDATE:
                self._take_window(number, struct.unpack(">I", content)[0] & frames.LARGEST_WINDOW)

    def _take_data(self, flags: int, number: int, content: memoryview) -> None:
        self._received += len(content)
        # In large steps: an update for each frame would be a write for each answer.
        if self._received > frames.LARGEST_WINDOW // 2:
            self._transport.write(frames.window_update(0, self._received))
            self._received = 0
        stream = self._streams.get(number)
        # A call that was given up: what was under way still counts for the window above.
        if stream is None:
            return
        stream.content += content
        if len(stream.content) > MAXIMUM_ANSWER_BYTES:
            self._end(stream, frames.CANCEL)
            _fail(stream, Code.RESOURCE_EXHAUSTED, f"the answer is larger than {MAXIMUM_ANSWER_BYTES} bytes")
        elif flags & frames.END_STREAM:
            self._finish(stream)

    def _take_headers(self, kind: int, flags: int, number: int, content: bytes) -> None:
        if kind == frames.HEADERS:
            block = frames.unpadded(content, flags)
            self._header_block = (number, flags, bytearray(block[5:] if flags & frames.PRIORITY else block))
        elif self._header_block is not None:
            self._header_block[2].extend(content)
        if self._header_block is None or len(self._header_block[2]) > MAXIMUM_HEADER_BYTES:
            raise ValueError("headers that are too large, or without a beginning")
        if not flags & frames.END_HEADERS:
            return
        number, first_flags, whole = self._header_block
        self._header_block = None
        # Decoded even where nobody waits: the decoder's state is the connection's (RFC 7541, 2.2).
        headers = self._headers.decode(bytes(whole))
        stream = self._streams.get(number)
        if stream is not None:
            stream.headers.update(headers)
            if first_flags & frames.END_STREAM:
                self._finish(stream)

    def _take_reset(self, number: int, error: int) -> None:
        stream = self._streams.get(number)
        if stream is not None:
            self._end(stream)
            code = {frames.CANCEL: Code.CANCELLED, frames.REFUSED_STREAM: AWAY}.get(error, Code.INTERNAL)
            _fail(stream, code, f"the server reset the call (HTTP/2 error {error})")

    def _take_settings(self, content: bytes) -> None:
        for key, value in struct.iter_unpack(">HI", content):
            match key:
                case frames.MAX_CONCURRENT_STREAMS:
                    self._peer_streams = value
                case frames.INITIAL_WINDOW_SIZE:
                    # May make windows negative, which is as it should be (RFC 9113, 6.9.2).
                    for stream in self._streams.values():
                        stream.window += value - self._peer_window
                    self._peer_window = value
                case frames.MAX_FRAME_SIZE:
                    self._peer_frame_bytes = value
        self._transport.write(frame(frames.SETTINGS, frames.ACK, 0, b""))
        if not self.ready.done():
            self.ready.set_result(None)
        self._send_more()

    def _take_goaway(self, last: int, error: int, words: bytes) -> None:
        self._lose(f"the server is going away (HTTP/2 error {error}) {words.decode(errors='replace')}".rstrip())
        for stream in list(self._streams.values()):
            # These were not begun there, so that asking another server computes nothing twice.
            if stream.number > last & frames.LARGEST_WINDOW:
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


def _named(fields: Fields) -> dict[str, str]:
    return {name.decode(errors="replace"): value.decode(errors="replace") for name, value in fields}


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
