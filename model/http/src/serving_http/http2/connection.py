"""The server's end of an HTTP/2 connection (RFC 9113): streams, windows, and what a peer may not do.

What the streams carry is the service's. Nothing here waits: a peer that sends too much too fast is read more slowly,
one that sends frames to no purpose is told to calm down, one that reads nothing is let go.
"""

from __future__ import annotations

import asyncio
import struct
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from serving_http.http2 import frames, request
from serving_http.http2.frames import ConnectionFault
from serving_http.http2.headers import Headers
from serving_http.http2.outbox import Outbox

if TYPE_CHECKING:
    from serving_http.http2.request import Request

# A turn of the event loop is not longer than this for one connection, when it has much to say.
TURN_SECONDS = 0.004
REMEMBERED_STREAMS = 1024
# Unsent bytes at which a peer is not read any more until it reads itself.
UNREAD_BYTES = 1 << 20
# Frames that bring nothing: so many at once, so many a second after that. A reset costs as many as a call may cost us.
USELESS_FRAMES, USELESS_FRAMES_PER_SECOND, RESET_COST = 10_000, 1_000, 5
# Until a peer is known to have seen that we go away (6.8), and no longer than this.
GOAWAY_SECONDS = 1.0
LINGER_SECONDS = 1.0
DRAIN_PING = b"drains.."
ALIVE_PING = b"alive?.."


@dataclass(frozen=True)
class Limits:
    """What a peer may take of a connection."""

    streams: int
    header_bytes: int
    frame_bytes: int
    idle_seconds: float
    first_bytes_seconds: float
    ping_seconds: float
    pong_seconds: float
    write_seconds: float


class Taker(Protocol):
    """Who takes what a stream brings. Each is called on the event loop and returns at once."""

    def data(self, piece: memoryview) -> None:
        """Take a piece of the body; it is another's after this returns."""

    def end(self) -> None:
        """Know that the body is whole."""

    def left(self) -> None:
        """Know that the peer has left before it was answered: it reset the stream, or is gone."""


class _Nobody:
    """Who takes what nobody wants."""

    def data(self, piece: memoryview) -> None:
        """Drop it."""

    def end(self) -> None:
        """Nothing."""

    def left(self) -> None:
        """Nothing."""


NOBODY = _Nobody()


class Service(Protocol):
    """Who makes a taker of each request."""

    def begin(self, stream: Stream, request: Request) -> Taker:
        """Return who takes the request's body; it may answer at once."""

    def opened(self, connection: Connection) -> bool:
        """Count a connection; False sends it away."""

    def closed(self, connection: Connection) -> None:
        """Count it no more."""


class Stream:
    """One request and its answer."""

    __slots__ = ("_outbox", "expected", "is_ended", "is_open", "is_waiting", "number", "received", "taker", "window")

    def __init__(self, outbox: Outbox, number: int, expected: int | None, *, is_ended: bool) -> None:
        self._outbox = outbox
        self.number = number
        self.window = outbox.first_window
        # The body's length, where the peer said it; and what has come.
        self.expected = expected
        self.received = 0
        # Whether the peer has said all; and whether it still wants the answer.
        self.is_ended = is_ended
        self.taker: Taker = NOBODY
        self.is_open = True
        # Whether something of its answer waits for the peer's windows.
        self.is_waiting = False

    def answer(self, head: bytes, body: bytes, tail: bytes) -> None:
        """Send a whole answer: headers, body and trailers, as blocks; the stream is over."""
        if self.is_open:
            self._outbox.answer(self, head, body, tail)

    def send(self, head: bytes, body: bytes) -> None:
        """Send headers, where there are any, and some of a body; more will follow."""
        if self.is_open:
            self._outbox.send(self, head, body)

    def finish(self, tail: bytes) -> None:
        """Send trailers, which are headers where nothing was sent before; the stream is over."""
        self.answer(b"", b"", tail)


class Connection(asyncio.Protocol):
    """One peer."""

    def __init__(self, service: Service, limits: Limits) -> None:
        # For the life of the connection.
        self._loop = asyncio.get_running_loop()
        self._service = service
        self._limits = limits
        self._transport: Any = None
        self._reader = frames.Reader(max(frames.PEER_FRAME_BYTES, limits.header_bytes), limits.frame_bytes)
        self._headers = Headers(limits.header_bytes, request.read)
        self._outbox = Outbox(self._loop, self._forget)
        self._opened = self._loop.time()
        self._is_counted = False
        # As the peer says.
        self._preface = bytearray()
        self._has_begun = False
        # As streams come and go.
        self._streams: dict[int, Stream] = {}
        self._last = 0
        self._received = 0
        self._block: tuple[int, int, bytearray] | None = None
        # Answered before the peer had said all: the rest is still under way.
        self._cut: set[int] = set()
        self._patience = float(USELESS_FRAMES)
        self._heard = self._used = self._opened
        self._pinged = 0.0
        self._is_paused = self._is_yielding = False
        # On the way out: whether the peer has broken a rule, and the last stream that is answered.
        self._is_failed = False
        self._final: int | None = None
        self._is_draining = False

    @property
    def is_idle(self) -> bool:
        """Tell whether no stream is under way."""
        return not self._streams

    # ---- the transport's calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = self._outbox.transport = transport
        self._transport.set_write_buffer_limits(high=UNREAD_BYTES)
        self._is_counted = self._service.opened(self)
        if not self._is_counted:
            self._transport.write(frames.goaway(0, frames.ENHANCE_YOUR_CALM, "too many connections"))
            self._transport.close()
            return
        values = {
            frames.MAX_CONCURRENT_STREAMS: self._limits.streams,
            frames.INITIAL_WINDOW_SIZE: frames.LARGEST_WINDOW,
            frames.MAX_FRAME_SIZE: self._limits.frame_bytes,
            frames.MAX_HEADER_LIST_SIZE: self._limits.header_bytes,
        }
        wider = frames.window_update(0, frames.LARGEST_WINDOW - frames.PEER_WINDOW)
        self._transport.write(frames.settings(values) + wider)

    def data_received(self, data: bytes) -> None:
        """Take what has come, as far as a turn goes."""
        if self._is_failed:
            return
        self._heard = self._loop.time()
        if not self._has_begun:
            data = self._after_preface(data)
        self._reader.feed(data)
        if not self._is_yielding:
            self._take_frames()

    def _after_preface(self, data: bytes) -> bytes:
        self._preface += data
        wanted = frames.PREFACE
        if not wanted.startswith(self._preface[: len(wanted)]):
            # Another protocol: there is nothing to say in this one.
            self._transport.abort()
            return b""
        if len(self._preface) < len(wanted):
            return b""
        self._has_begun = True
        rest, self._preface = bytes(self._preface[len(wanted) :]), bytearray()
        return rest

    def pause_writing(self) -> None:
        """Read nothing while the peer does not."""
        self._is_paused = True
        self._outbox.pause()
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        """Go on."""
        self._is_paused = False
        if not self._is_yielding:
            self._transport.resume_reading()
        self._outbox.resume()

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """Let all streams go."""
        streams, self._streams = list(self._streams.values()), {}
        self._outbox.clear()
        for stream in streams:
            stream.is_open = False
            stream.taker.left()
        if self._is_counted:
            self._service.closed(self)

    # ---- time

    def sweep(self, now: float) -> None:
        """Look what is late: first bytes, an answer that nobody reads, a peer that is silent or idle."""
        if self._is_failed:
            return
        limits = self._limits
        self._patience = min(USELESS_FRAMES, self._patience + USELESS_FRAMES_PER_SECOND)
        silent = now - self._heard
        if not self._has_begun:
            if now - self._opened > limits.first_bytes_seconds:
                self._transport.abort()
        elif self._outbox.stalled_since and now - self._outbox.stalled_since > limits.write_seconds:
            self._transport.abort()
        elif self._pinged and self._heard <= self._pinged:
            if now - self._pinged > limits.pong_seconds:
                self._transport.abort()
        elif not self._streams and now - self._used > limits.idle_seconds:
            self.drain()
        elif silent > limits.ping_seconds:
            self._pinged = now
            self._transport.write(frames.frame(frames.PING, 0, 0, ALIVE_PING))
        else:
            self._pinged = 0.0

    def drain(self) -> None:
        """Tell the peer to ask elsewhere; what it asks before it knows is answered."""
        if self._is_draining or self._is_failed or self._transport.is_closing():
            return
        self._is_draining = True
        ping = frames.frame(frames.PING, 0, 0, DRAIN_PING)
        self._transport.write(frames.goaway(frames.LAST_STREAM, frames.NO_ERROR) + ping)
        self._loop.call_later(GOAWAY_SECONDS, self._end_drain)

    def _end_drain(self) -> None:
        if self._final is not None or self._is_failed or self._transport.is_closing():
            return
        self._final = self._last
        self._transport.write(frames.goaway(self._final, frames.NO_ERROR))
        self._close_when_done()

    def abort(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._transport.abort()

    def _close_when_done(self) -> None:
        if self._final is not None and not self._streams:
            self._transport.close()

    # ---- frames

    def _take_frames(self) -> None:
        """Take frames until none is whole, or the turn is over: the rest is for the next one."""
        until = time.perf_counter() + TURN_SECONDS
        take, following = self._take, self._reader.next
        try:
            while (frame := following()) is not None:
                take(*frame)
                if time.perf_counter() > until:
                    self._yield()
                    return
        except ConnectionFault as fault:
            self._fail(fault)

    def _yield(self) -> None:
        self._is_yielding = True
        self._transport.pause_reading()
        self._loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        self._is_yielding = False
        if self._transport.is_closing() or self._is_failed:
            return
        self._take_frames()
        if not self._is_yielding and not self._is_paused:
            self._transport.resume_reading()

    def _fail(self, fault: ConnectionFault) -> None:
        self._is_failed = True
        self._transport.write(frames.goaway(self._last, fault.code, fault.words))
        for stream in list(self._streams.values()):
            self._let_go(stream)
        # A socket that is closed with bytes unread is reset, and what was said last is lost with it.
        if self._transport.can_write_eof():
            self._transport.write_eof()
        self._loop.call_later(LINGER_SECONDS, self._transport.close)

    def _take(self, kind: int, flags: int, number: int, content: Any) -> None:
        if self._block is not None and (kind != frames.CONTINUATION or number != self._block[0]):
            raise ConnectionFault(frames.PROTOCOL_ERROR, "a block of headers has not ended")
        if kind == frames.DATA:
            self._take_data(flags, number, content)
        elif kind == frames.HEADERS:
            self._begin_headers(flags, number, content)
        else:
            self._take_other(kind, flags, number, content)
            self._lose_patience(1)

    def _take_other(self, kind: int, flags: int, number: int, content: bytes) -> None:
        match kind:
            case frames.CONTINUATION:
                self._go_on_headers(flags, content)
            case frames.SETTINGS:
                self._take_settings(flags, number, content)
            case frames.WINDOW_UPDATE:
                self._take_window(number, content)
            case frames.PING:
                self._take_ping(flags, number, content)
            case frames.RST_STREAM:
                self._take_reset(number, content)
            case frames.PRIORITY_FRAME:
                self._take_priority(number, content)
            case frames.GOAWAY:
                _expect(number == 0 and len(content) >= 8, frames.PROTOCOL_ERROR, "GOAWAY")  # noqa: PLR2004
            case frames.PUSH_PROMISE:
                raise ConnectionFault(frames.PROTOCOL_ERROR, "clients do not push")

    def _lose_patience(self, cost: int) -> None:
        self._patience -= cost
        if self._patience < 0:
            raise ConnectionFault(frames.ENHANCE_YOUR_CALM, "too many frames that bring nothing")

    def _take_data(self, flags: int, number: int, piece: memoryview) -> None:
        size = len(piece)
        self._received += size
        if self._received > frames.LARGEST_WINDOW // 2:
            self._transport.write(frames.window_update(0, self._received))
            self._received = 0
        if not size:
            self._lose_patience(1)
        stream = self._streams.get(number)
        if stream is None or stream.is_ended:
            self._refuse_data(number, stream)
            return
        stream.received += size
        ends = bool(flags & frames.END_STREAM)
        if stream.expected is not None and (
            stream.received > stream.expected or (ends and stream.received != stream.expected)
        ):
            self._reset(stream, frames.PROTOCOL_ERROR)
            return
        if size:
            stream.taker.data(piece)
        if ends and number in self._streams:
            stream.is_ended = True
            stream.taker.end()

    def _refuse_data(self, number: int, stream: Stream | None) -> None:
        """Pass over what was under way when we ended its stream; any other data is a fault."""
        self._expect_begun(number)
        if stream is not None:
            self._reset(stream, frames.STREAM_CLOSED)
        elif number not in self._cut:
            self._transport.write(frames.reset(number, frames.STREAM_CLOSED))

    def _begin_headers(self, flags: int, number: int, content: bytes) -> None:
        block = frames.unpadded(content, flags)
        if flags & frames.PRIORITY:
            _expect(len(block) >= 5, frames.FRAME_SIZE_ERROR, "HEADERS")  # noqa: PLR2004
            _expect(
                int.from_bytes(block[:4], "big") & frames.LAST_STREAM != number,
                frames.PROTOCOL_ERROR,
                "a stream depends on itself",
            )
            block = block[5:]
        _expect(number % 2 == 1, frames.PROTOCOL_ERROR, "streams of clients are odd")
        if flags & frames.END_HEADERS:
            self._end_headers(number, flags, bytes(block))
        else:
            self._block = (number, flags, bytearray(block))
            self._lose_patience(1)

    def _go_on_headers(self, flags: int, content: bytes) -> None:
        if self._block is None:
            raise ConnectionFault(frames.PROTOCOL_ERROR, "a continuation of no headers")
        number, first_flags, block = self._block
        block += content
        if len(block) > self._limits.header_bytes:
            raise ConnectionFault(frames.ENHANCE_YOUR_CALM, "headers that are too large")
        if flags & frames.END_HEADERS:
            self._block = None
            self._end_headers(number, first_flags, bytes(block))

    def _end_headers(self, number: int, flags: int, block: bytes) -> None:
        head = self._headers.decode(block)
        ends = bool(flags & frames.END_STREAM)
        if number <= self._last:
            self._take_trailers(number, head, ends=ends)
            return
        self._last = number
        if self._final is not None and number > self._final:
            return
        if head.fault:
            self._transport.write(frames.reset(number, head.fault))
            self._lose_patience(RESET_COST)
            return
        if len(self._streams) >= self._limits.streams:
            self._transport.write(frames.reset(number, frames.REFUSED_STREAM))
            self._lose_patience(RESET_COST)
            return
        length = head.fields.get(b"content-length")
        expected = int(length) if length is not None else None
        stream = self._streams[number] = Stream(self._outbox, number, expected, is_ended=ends)
        if ends and expected:
            self._reset(stream, frames.PROTOCOL_ERROR)
            return
        stream.taker = self._service.begin(stream, head)
        if ends and number in self._streams:
            stream.taker.end()

    def _take_trailers(self, number: int, head: Request, *, ends: bool) -> None:
        stream = self._streams.get(number)
        if stream is None:
            if number not in self._cut:
                raise ConnectionFault(frames.STREAM_CLOSED, "headers on a stream that has ended")
        elif stream.is_ended:
            self._reset(stream, frames.STREAM_CLOSED)
        elif not ends or head.method or head.path:
            self._reset(stream, frames.PROTOCOL_ERROR)
        else:
            stream.is_ended = True
            stream.taker.end()

    def _take_settings(self, flags: int, number: int, content: bytes) -> None:
        _expect(number == 0, frames.PROTOCOL_ERROR, "SETTINGS on a stream")
        _expect(not (flags & frames.ACK and content), frames.FRAME_SIZE_ERROR, "SETTINGS")
        _expect(len(content) % 6 == 0, frames.FRAME_SIZE_ERROR, "SETTINGS")
        if flags & frames.ACK:
            return
        for key, value in struct.iter_unpack(">HI", content):
            match key:
                case frames.ENABLE_PUSH:
                    _expect(value <= 1, frames.PROTOCOL_ERROR, "ENABLE_PUSH")
                case frames.INITIAL_WINDOW_SIZE:
                    _expect(value <= frames.LARGEST_WINDOW, frames.FLOW_CONTROL_ERROR, "INITIAL_WINDOW_SIZE")
                    for stream in self._streams.values():
                        stream.window += value - self._outbox.first_window
                        _expect(stream.window <= frames.LARGEST_WINDOW, frames.FLOW_CONTROL_ERROR, "a window")
                    self._outbox.first_window = value
                case frames.MAX_FRAME_SIZE:
                    _expect(
                        frames.PEER_FRAME_BYTES <= value <= frames.LARGEST_FRAME_BYTES,
                        frames.PROTOCOL_ERROR,
                        "MAX_FRAME_SIZE",
                    )
                    self._outbox.frame_bytes = value
        self._transport.write(frames.frame(frames.SETTINGS, frames.ACK, 0, b""))
        self._outbox.send_more()

    def _take_window(self, number: int, content: bytes) -> None:
        _expect(len(content) == 4, frames.FRAME_SIZE_ERROR, "WINDOW_UPDATE")  # noqa: PLR2004
        size = int.from_bytes(content, "big") & frames.LAST_STREAM
        if self._outbox.updates_due:
            self._outbox.updates_due -= 1
            self._patience += 1
        if number == 0:
            _expect(size > 0, frames.PROTOCOL_ERROR, "a window grows by 0")
            self._outbox.window += size
            _expect(self._outbox.window <= frames.LARGEST_WINDOW, frames.FLOW_CONTROL_ERROR, "the window is too large")
        else:
            self._expect_begun(number)
            stream = self._streams.get(number)
            if stream is not None:
                stream.window += size
                if not size or stream.window > frames.LARGEST_WINDOW:
                    self._reset(stream, frames.FLOW_CONTROL_ERROR if size else frames.PROTOCOL_ERROR)
        self._outbox.send_more()

    def _take_ping(self, flags: int, number: int, content: bytes) -> None:
        _expect(number == 0, frames.PROTOCOL_ERROR, "PING on a stream")
        _expect(len(content) == 8, frames.FRAME_SIZE_ERROR, "PING")  # noqa: PLR2004
        if not flags & frames.ACK:
            self._transport.write(frames.frame(frames.PING, frames.ACK, 0, content))
        elif content == DRAIN_PING and self._is_draining:
            self._end_drain()

    def _take_reset(self, number: int, content: bytes) -> None:
        _expect(len(content) == 4, frames.FRAME_SIZE_ERROR, "RST_STREAM")  # noqa: PLR2004
        self._expect_begun(number)
        self._lose_patience(RESET_COST)
        stream = self._streams.get(number)
        if stream is not None:
            self._let_go(stream)
            # The peer has ended it, and knows: nothing of it is under way.
            self._cut.discard(number)

    def _take_priority(self, number: int, content: bytes) -> None:
        _expect(number > 0, frames.PROTOCOL_ERROR, "PRIORITY on no stream")
        _expect(len(content) == 5, frames.FRAME_SIZE_ERROR, "PRIORITY")  # noqa: PLR2004
        depends = int.from_bytes(content[:4], "big") & frames.LAST_STREAM
        _expect(depends != number, frames.PROTOCOL_ERROR, "a stream depends on itself")

    def _expect_begun(self, number: int) -> None:
        _expect(number % 2 == 1 and number <= self._last, frames.PROTOCOL_ERROR, "a stream that has not begun")

    # ---- streams

    def _let_go(self, stream: Stream) -> None:
        """Forget a stream whose peer does not want its answer."""
        self._forget(stream)
        stream.taker.left()

    def _reset(self, stream: Stream, code: int) -> None:
        self._transport.write(frames.reset(stream.number, code))
        self._let_go(stream)
        self._lose_patience(RESET_COST)

    def _cut_off(self, number: int) -> None:
        if len(self._cut) >= REMEMBERED_STREAMS:
            self._cut.clear()
        self._cut.add(number)

    def _forget(self, stream: Stream) -> None:
        stream.is_open = False
        self._streams.pop(stream.number, None)
        if not stream.is_ended:
            self._cut_off(stream.number)
        if not self._streams:
            self._used = self._heard
            self._close_when_done()


def _expect(is_so: object, code: int, words: str) -> None:
    if not is_so:
        raise ConnectionFault(code, words)
