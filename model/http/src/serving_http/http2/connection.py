"""The server's end of an HTTP/2 connection (RFC 9113): turns of its loop, how long a peer may take, and how it ends.

What comes and goes on it is the inbox's and the outbox's. A peer that sends too much too fast is read more slowly, one
that sends frames to no purpose is told to calm down, one that reads nothing is let go.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Protocol

from serving_http.http2 import frames
from serving_http.http2.frames import ConnectionFault
from serving_http.http2.inbox import Inbox
from serving_http.http2.outbox import Outbox
from serving_http.http2.patience import Patience
from serving_http.http2.streams import Streams

if TYPE_CHECKING:
    from serving_http.http2.limits import Limits
    from serving_http.http2.request import Request
    from serving_http.http2.streams import Stream, Taker

# A turn of the event loop is not longer than this for one connection, when it has much to say.
TURN_SECONDS = 0.004
# Unsent bytes at which a peer is not read any more until it reads itself.
UNREAD_BYTES = 1 << 20
# Until a peer is known to have seen that we go away (6.8), and no longer than this.
GOAWAY_SECONDS = 1.0
LINGER_SECONDS = 1.0
DRAIN_PING = b"drains.."
ALIVE_PING = b"alive?.."


class Service(Protocol):
    """Who makes a taker of each request."""

    def begin(self, stream: Stream, request: Request) -> Taker:
        """Return who takes the request's body; it may answer at once."""

    def opened(self, connection: Connection) -> bool:
        """Count a connection; False sends it away."""

    def closed(self, connection: Connection) -> None:
        """Count it no more."""


class Connection(asyncio.Protocol):
    """One peer."""

    def __init__(self, service: Service, limits: Limits) -> None:
        # For the life of the connection.
        self._loop = asyncio.get_running_loop()
        self._service = service
        self._limits = limits
        self._transport: Any = None
        self._opened = self._loop.time()
        self._is_counted = False
        # What comes and goes.
        self._reader = frames.Reader(max(frames.PEER_FRAME_BYTES, limits.header_bytes), limits.frame_bytes)
        self._patience = Patience()
        self._streams = Streams(self._rest)
        self._outbox = Outbox(self._loop, self._streams.forget)
        self._inbox = Inbox(
            limits,
            service.begin,
            self._streams,
            self._outbox,
            patience=self._patience,
            acknowledged=self._acknowledged,
        )
        # As the peer says.
        self._preface = bytearray()
        self._has_begun = False
        self._is_paused = self._is_yielding = False
        # When it was last heard, when its last stream was over, and when it was asked whether it is there.
        self._heard = self._used = self._opened
        self._pinged = 0.0
        # On the way out: whether nothing more is taken of the peer, and whether it is told to ask elsewhere.
        self._is_failed = False
        self._is_draining = False

    @property
    def is_idle(self) -> bool:
        """Tell whether no stream is under way."""
        return not self._streams.under_way

    @property
    def unread_bytes(self) -> int:
        """Return how much of its answers the peer has not taken yet."""
        buffered: int = self._transport.get_write_buffer_size()
        return self._outbox.unsent_bytes + buffered

    # ---- the transport's calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = self._outbox.transport = transport
        self._transport.set_write_buffer_limits(high=UNREAD_BYTES)
        self._is_counted = self._service.opened(self)
        if not self._is_counted:
            # Under TLS something may still come.
            self._is_failed = True
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
        self._streams.let_all_go()
        if self._is_counted:
            self._service.closed(self)

    # ---- turns

    def _take_frames(self) -> None:
        """Take frames until none is whole, or the turn is over: the rest is for the next one."""
        until = time.perf_counter() + TURN_SECONDS
        take, following = self._inbox.take, self._reader.next
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

    # ---- time

    def sweep(self, now: float) -> None:
        """Look what is late: first bytes, an answer that nobody reads, a peer that is silent or idle; once a second."""
        if self._is_failed:
            return
        limits = self._limits
        self._patience.recover()
        if not self._has_begun:
            if now - self._opened > limits.first_bytes_seconds:
                self._transport.abort()
        elif self._outbox.stalled_since and now - self._outbox.stalled_since > limits.write_seconds:
            self._transport.abort()
        elif self._pinged and self._heard <= self._pinged:
            if now - self._pinged > limits.pong_seconds:
                self._transport.abort()
        elif self.is_idle and now - self._used > limits.idle_seconds:
            self.drain()
        elif now - self._heard > limits.ping_seconds:
            self._pinged = now
            self._transport.write(frames.frame(frames.PING, 0, 0, ALIVE_PING))
        else:
            self._pinged = 0.0

    def _rest(self) -> None:
        """Know that no stream is under way any more."""
        self._used = self._heard
        if self._inbox.final is not None and not self._is_failed:
            self._transport.close()

    # ---- the end

    def drain(self) -> None:
        """Tell the peer to ask elsewhere; what it asks before it knows is answered."""
        if self._is_draining or self._is_failed or self._transport.is_closing():
            return
        self._is_draining = True
        ping = frames.frame(frames.PING, 0, 0, DRAIN_PING)
        self._transport.write(frames.goaway(frames.LAST_STREAM, frames.NO_ERROR) + ping)
        self._loop.call_later(GOAWAY_SECONDS, self._end_drain)

    def _acknowledged(self, ping: bytes) -> None:
        if ping == DRAIN_PING and self._is_draining:
            self._end_drain()

    def _end_drain(self) -> None:
        if self._inbox.final is not None or self._is_failed or self._transport.is_closing():
            return
        self._inbox.final = self._inbox.last
        self._transport.write(frames.goaway(self._inbox.last, frames.NO_ERROR))
        if self.is_idle:
            self._transport.close()

    def _fail(self, fault: ConnectionFault) -> None:
        """Say why, and close a moment later: a socket that is closed with bytes unread loses what was said last."""
        self._is_failed = True
        self._transport.write(frames.goaway(self._inbox.last, fault.code, fault.words))
        self._streams.let_all_go()
        if self._transport.can_write_eof():
            self._transport.write_eof()
        # Not close: that would wait for a peer that reads nothing.
        self._loop.call_later(LINGER_SECONDS, self._transport.abort)

    def abort(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._transport.abort()
