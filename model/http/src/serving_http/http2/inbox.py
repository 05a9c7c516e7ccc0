"""What a connection receives: frames, each for its stream or for all of them, and what a peer may not send (RFC 9113).

Nothing here waits, and nothing is kept but what is a stream's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from serving_http.http2 import block, frames, request
from serving_http.http2.block import Block
from serving_http.http2.frames import ConnectionFault, expect
from serving_http.http2.headers import Headers
from serving_http.http2.patience import RESET_COST
from serving_http.http2.streams import Stream

if TYPE_CHECKING:
    from collections.abc import Callable

    from serving_http.http2.limits import Limits
    from serving_http.http2.outbox import Outbox
    from serving_http.http2.patience import Patience
    from serving_http.http2.request import Request
    from serving_http.http2.streams import Streams, Taker


class Inbox:
    """Frames as they come. `begin` makes a taker of each request; `acknowledged` is told what a ping of ours said."""

    def __init__(
        self,
        limits: Limits,
        begin: Callable[[Stream, Request], Taker],
        streams: Streams,
        outbox: Outbox,
        *,
        patience: Patience,
        acknowledged: Callable[[bytes], None],
    ) -> None:
        # For the life of the connection.
        self._limits = limits
        self._begin = begin
        self._streams = streams
        self._under_way = streams.under_way
        self._outbox = outbox
        self._patience = patience
        self._acknowledged = acknowledged
        self._headers = Headers(limits.header_bytes, request.read)
        # As the peer sends.
        self._received = 0
        self._block: Block | None = None
        # The last stream that has begun; and the last that is answered, once we go away.
        self.last = 0
        self.final: int | None = None

    def take(self, kind: int, flags: int, number: int, content: Any) -> None:
        """Take a frame, or a piece of data; raise ConnectionFault for what ends the connection."""
        if self._block is not None:
            self._go_on_headers(self._block, kind, flags, number, content)
        elif kind == frames.DATA:
            self._take_data(flags, number, content)
        elif kind == frames.HEADERS:
            self._take_headers(flags, number, content)
        else:
            self._take_other(kind, flags, number, content)
            self._patience.lose(1)

    def _take_other(self, kind: int, flags: int, number: int, content: bytes) -> None:
        match kind:
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
                expect(number == 0 and len(content) >= 8, frames.PROTOCOL_ERROR, "GOAWAY")  # noqa: PLR2004
            case frames.PUSH_PROMISE:
                raise ConnectionFault(frames.PROTOCOL_ERROR, "clients do not push")
            case frames.CONTINUATION:
                raise ConnectionFault(frames.PROTOCOL_ERROR, "a continuation of no headers")

    # ---- what a stream brings

    def _take_data(self, flags: int, number: int, piece: memoryview) -> None:
        size = len(piece)
        self._received += size
        if self._received > frames.LARGEST_WINDOW // 2:
            self._outbox.say(frames.window_update(0, self._received))
            self._received = 0
        if not size:
            self._patience.lose(1)
        stream = self._under_way.get(number)
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
        if ends and number in self._under_way:
            stream.is_ended = True
            stream.taker.end()

    def _refuse_data(self, number: int, stream: Stream | None) -> None:
        """Pass over what was on its way when we ended its stream; any other data is a fault."""
        self._expect_begun(number)
        if stream is not None:
            self._reset(stream, frames.STREAM_CLOSED)
        elif not self._streams.is_cut(number):
            self._outbox.say(frames.reset(number, frames.STREAM_CLOSED))
            self._patience.lose(1)

    def _take_headers(self, flags: int, number: int, content: bytes) -> None:
        first = block.fragment(flags, number, content)
        if number % 2 == 0:
            raise ConnectionFault(frames.PROTOCOL_ERROR, "streams of clients are odd")
        if flags & frames.END_HEADERS:
            self._end_headers(flags, number, first)
        else:
            self._block = Block(flags, number, first, self._limits.header_bytes)
            self._patience.lose(1)

    def _go_on_headers(self, begun: Block, kind: int, flags: int, number: int, content: bytes) -> None:
        if begun.take(kind, flags, number, content):
            self._block = None
            self._end_headers(begun.flags, number, bytes(begun.content))
        self._patience.lose(1)

    def _end_headers(self, flags: int, number: int, content: bytes) -> None:
        # Decoded even where nobody wants it: the decoder's state is the connection's (RFC 7541, 2.2).
        head = self._headers.decode(content)
        ends = bool(flags & frames.END_STREAM)
        if number <= self.last:
            self._take_trailers(number, head, ends=ends)
            return
        self.last = number
        if self.final is not None and number > self.final:
            return
        if head.fault:
            self._refuse(number, head.fault)
        elif len(self._under_way) >= self._limits.streams:
            self._refuse(number, frames.REFUSED_STREAM)
        else:
            self._begin_stream(number, head, ends=ends)

    def _refuse(self, number: int, code: int) -> None:
        self._outbox.say(frames.reset(number, code))
        self._patience.lose(RESET_COST)

    def _begin_stream(self, number: int, head: Request, *, ends: bool) -> None:
        length = head.fields.get(b"content-length")
        expected = int(length) if length is not None else None
        stream = self._under_way[number] = Stream(self._outbox, number, expected, is_ended=ends)
        if ends and expected:
            self._reset(stream, frames.PROTOCOL_ERROR)
            return
        stream.taker = self._begin(stream, head)
        if ends and number in self._under_way:
            stream.taker.end()

    def _take_trailers(self, number: int, head: Request, *, ends: bool) -> None:
        stream = self._under_way.get(number)
        if stream is None:
            if not self._streams.is_cut(number):
                raise ConnectionFault(frames.STREAM_CLOSED, "headers on a stream that has ended")
        elif stream.is_ended:
            self._reset(stream, frames.STREAM_CLOSED)
        elif not ends or head.method or head.path:
            self._reset(stream, frames.PROTOCOL_ERROR)
        else:
            stream.is_ended = True
            stream.taker.end()

    def _take_reset(self, number: int, content: bytes) -> None:
        expect(len(content) == 4, frames.FRAME_SIZE_ERROR, "RST_STREAM")  # noqa: PLR2004
        self._expect_begun(number)
        self._patience.lose(RESET_COST)
        stream = self._under_way.get(number)
        if stream is not None:
            self._streams.let_reset_go(stream)

    def _take_priority(self, number: int, content: bytes) -> None:
        expect(number > 0, frames.PROTOCOL_ERROR, "PRIORITY on no stream")
        expect(len(content) == block.PRIORITY_BYTES, frames.FRAME_SIZE_ERROR, "PRIORITY")
        frames.expect_no_cycle(number, content)

    def _reset(self, stream: Stream, code: int) -> None:
        self._outbox.say(frames.reset(stream.number, code))
        self._streams.let_go(stream)
        self._patience.lose(RESET_COST)

    def _expect_begun(self, number: int) -> None:
        expect(number % 2 == 1 and number <= self.last, frames.PROTOCOL_ERROR, "a stream that has not begun")

    # ---- what is for all streams

    def _take_settings(self, flags: int, number: int, content: bytes) -> None:
        expect(number == 0, frames.PROTOCOL_ERROR, "SETTINGS on a stream")
        expect(not (flags & frames.ACK and content), frames.FRAME_SIZE_ERROR, "SETTINGS")
        if flags & frames.ACK:
            return
        self._outbox.obey(frames.settings_in(content), self._under_way.values())
        self._outbox.say(frames.frame(frames.SETTINGS, frames.ACK, 0, b""))

    def _take_window(self, number: int, content: bytes) -> None:
        size = frames.window_in(content)
        if self._outbox.updates_due:
            self._outbox.updates_due -= 1
            self._patience.forgive(1)
        if number == 0:
            self._outbox.widen(size)
            return
        self._expect_begun(number)
        stream = self._under_way.get(number)
        if stream is None:
            return
        if not size or stream.window + size > frames.LARGEST_WINDOW:
            self._reset(stream, frames.FLOW_CONTROL_ERROR if size else frames.PROTOCOL_ERROR)
        else:
            self._outbox.widen_stream(stream, size)

    def _take_ping(self, flags: int, number: int, content: bytes) -> None:
        expect(number == 0, frames.PROTOCOL_ERROR, "PING on a stream")
        expect(len(content) == 8, frames.FRAME_SIZE_ERROR, "PING")  # noqa: PLR2004
        if flags & frames.ACK:
            self._acknowledged(content)
        else:
            self._outbox.say(frames.frame(frames.PING, frames.ACK, 0, content))
