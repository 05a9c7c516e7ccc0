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
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from serving_codec.status import Code, ServingError
from serving_http.http2 import block, frames
from serving_http.http2.block import Block
from serving_http.http2.frames import ConnectionFault, frame, literal
from serving_http.http2.headers import Headers
from serving_http.http2.outbox import Outbox

if TYPE_CHECKING:
    import ssl

    from model_api.room import Room
    from serving_http.http2.headers import Fields

PREFIX_BYTES = 5
# What servers may send us: windows that never close, frames of a MiB, and of all answers what there is room for.
OUR_FRAME_BYTES = 1 << 20
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
    room: Room
    headers: dict[str, str] = field(default_factory=dict)
    content: bytearray = field(default_factory=bytearray)
    held_bytes: int = 0


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
        self._outbox = Outbox(self._loop)
        self.ready: asyncio.Future[None] = self._loop.create_future()
        self.lost: asyncio.Future[str] = self._loop.create_future()
        self.gone: asyncio.Future[None] = self._loop.create_future()
        # As the server says.
        self._peer_streams = LAST_STREAM
        # As calls come and go.
        self._streams: dict[int, Stream] = {}
        self._next_stream = 1
        self._received = 0
        self._block: Block | None = None

    @property
    def is_open(self) -> bool:
        """Tell whether calls can be made."""
        return self.ready.done() and not self.lost.done()

    # ---- calls

    async def call(self, path: bytes, request: bytes, seconds: float, room: Room) -> bytes:
        """Return the reply to a unary call, for which there is room; raise ServingError in the server's words.

        A caller that leaves ends the call at the server too.
        """
        if len(self._streams) >= self._peer_streams:
            raise ServingError(AWAY, "the server takes no more calls at once")
        number, self._next_stream = self._next_stream, self._next_stream + 2
        timer = self._loop.call_later(seconds, self._expire, number)
        stream = Stream(number, self._loop.create_future(), self._outbox.first_window, timer, room)
        self._streams[number] = stream
        # A stream's number is never used twice; the channel connects anew when they are used up.
        if self._next_stream > LAST_STREAM:
            self._lose("all numbers of streams are used")
        # 0 would be over before it is sent.
        milliseconds = min(MAXIMUM_TIMEOUT_MS, max(1, int(seconds * 1000)))
        head = self._head + literal(b":path", path) + self._tail + literal(b"grpc-timeout", b"%dm" % milliseconds)
        prefix = b"\0" + struct.pack(">I", len(request))
        self._outbox.ask(stream, head, prefix + request)
        try:
            return await stream.answer
        except asyncio.CancelledError:
            self._end(stream, frames.CANCEL)
            raise
        except ServingError:
            # Its traceback has this frame: the error would keep itself, and what had come of the answer.
            del stream
            raise

    def _expire(self, number: int) -> None:
        stream = self._streams.get(number)
        if stream is not None:
            self._end(stream, frames.CANCEL)
            _fail(stream, Code.DEADLINE_EXCEEDED, "Deadline Exceeded")

    def _end(self, stream: Stream, error: int | None = None) -> None:
        """Forget a call; tell the server where it does not know."""
        stream.timer.cancel()
        self._outbox.drop(stream)
        stream.room.give(stream.held_bytes)
        stream.held_bytes = 0
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
        self._transport = self._outbox.transport = transport
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

    def pause_writing(self) -> None:
        """Send no more of large messages while the server does not read."""
        self._outbox.pause()

    def resume_writing(self) -> None:
        """Go on."""
        self._outbox.resume()

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
        if self._block is not None:
            self._go_on_headers(self._block, kind, flags, number, content)
            return
        match kind:
            case frames.DATA:
                self._take_data(flags, number, content)
            case frames.HEADERS:
                self._take_headers(flags, number, content)
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
                self._take_window(number, frames.window_in(content))
            case frames.CONTINUATION:
                raise ConnectionFault(frames.PROTOCOL_ERROR, "a continuation of no headers")

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
        try:
            stream.room.take(len(content), len(stream.content) + len(content))
        except ServingError as error:
            self._end(stream, frames.CANCEL)
            if not stream.answer.done():
                stream.answer.set_exception(error.with_traceback(None))
            return
        stream.held_bytes += len(content)
        stream.content += content
        if flags & frames.END_STREAM:
            self._finish(stream)

    def _take_headers(self, flags: int, number: int, content: bytes) -> None:
        first = block.fragment(flags, number, content)
        if flags & frames.END_HEADERS:
            self._end_headers(flags, number, first)
        else:
            self._block = Block(flags, number, first, MAXIMUM_HEADER_BYTES)

    def _go_on_headers(self, begun: Block, kind: int, flags: int, number: int, content: bytes) -> None:
        if begun.take(kind, flags, number, content):
            self._block = None
            self._end_headers(begun.flags, number, bytes(begun.content))

    def _end_headers(self, flags: int, number: int, content: bytes) -> None:
        # Decoded even where nobody waits: the decoder's state is the connection's (RFC 7541, 2.2).
        headers = self._headers.decode(content)
        stream = self._streams.get(number)
        if stream is not None:
            stream.headers.update(headers)
            if flags & frames.END_STREAM:
                self._finish(stream)

    def _take_reset(self, number: int, error: int) -> None:
        stream = self._streams.get(number)
        if stream is not None:
            self._end(stream)
            code = {frames.CANCEL: Code.CANCELLED, frames.REFUSED_STREAM: AWAY}.get(error, Code.INTERNAL)
            _fail(stream, code, f"the server reset the call (HTTP/2 error {error})")

    def _take_settings(self, content: bytes) -> None:
        settings = frames.settings_in(content)
        self._peer_streams = settings.get(frames.MAX_CONCURRENT_STREAMS, self._peer_streams)
        self._outbox.obey(settings, self._streams.values())
        self._transport.write(frame(frames.SETTINGS, frames.ACK, 0, b""))
        if not self.ready.done():
            self.ready.set_result(None)

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
            self._outbox.widen(size)
        elif (stream := self._streams.get(number)) is not None:
            self._outbox.widen_stream(stream, size)

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
    host: str, port: int, authority: str, secured: tuple[ssl.SSLContext, str] | None = None
) -> Connection:
    """Return a new connection to a server that speaks HTTP/2, under TLS by a context and the name to be shown there.

    Raise OSError, an SSLError too, where there is none.
    """
    loop = asyncio.get_running_loop()
    _, connection = await loop.create_connection(
        lambda: Connection(authority, is_secure=secured is not None),
        host,
        port,
        ssl=secured[0] if secured else None,
        server_hostname=secured[1] if secured else None,
    )
    try:
        await connection.ready
    except asyncio.CancelledError:
        connection.abort("given up")
        raise
    return connection
