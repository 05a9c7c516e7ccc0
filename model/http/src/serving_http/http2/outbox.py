"""What a connection sends: as much as the peer's windows and the network take, each answer in its turn."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Protocol

from serving_http.http2 import frames

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterable


# A peer widens a window of the stream and one of the connection, and may do it by halves.
UPDATES_PER_FRAME = 4


class Receiver(Protocol):
    """A stream, as far as sending goes."""

    number: int
    window: int
    is_ended: bool
    is_open: bool
    # Whether something of it waits for a window.
    is_waiting: bool


class Outbox:
    """Frames on their way. A stream whose last frame is sent is given to `sent`."""

    def __init__(self, loop: asyncio.AbstractEventLoop, sent: Callable[[Any], None]) -> None:
        # For the life of the connection.
        self._loop = loop
        self._sent = sent
        self.transport: Any = None
        # As the peer says.
        self.first_window = frames.PEER_WINDOW
        self.frame_bytes = frames.PEER_FRAME_BYTES
        self.window = frames.PEER_WINDOW
        # As answers come: stream, bytes, and trailers where they are its last.
        self._unsent: deque[tuple[Receiver, memoryview, bytes]] = deque()
        self._is_paused = False
        # Since when nothing could be sent, on the loop's clock; 0 while nothing waits.
        self.stalled_since = 0.0
        # How often the peer may widen its windows for what it was sent.
        self.updates_due = 0

    @property
    def is_empty(self) -> bool:
        """Tell whether nothing waits to be sent."""
        return not self._unsent

    def obey(self, settings: dict[int, int], streams: Iterable[Receiver]) -> None:
        """Send as the peer's settings say from now on; raise ConnectionFault for a window that grows too large."""
        self.frame_bytes = settings.get(frames.MAX_FRAME_SIZE, self.frame_bytes)
        more = settings.get(frames.INITIAL_WINDOW_SIZE, self.first_window) - self.first_window
        if not more:
            return
        self.first_window += more
        for stream in streams:
            # It may become negative, which is as it should be (RFC 9113, 6.9.2).
            stream.window += more
            frames.expect(stream.window <= frames.LARGEST_WINDOW, frames.FLOW_CONTROL_ERROR, "a window")

    def say(self, frame: bytes) -> None:
        """Send a frame that no window holds back."""
        self.transport.write(frame)

    def answer(self, stream: Receiver, head: bytes, body: bytes, tail: bytes) -> None:
        """Send a whole answer, as blocks and a body."""
        number = stream.number
        block = frames.frame(frames.HEADERS, frames.END_HEADERS, number, head) if head else b""
        trailers = frames.frame(frames.HEADERS, frames.END_HEADERS | frames.END_STREAM, number, tail)
        if not stream.is_ended:
            # The peer need not send the rest (8.1).
            trailers += frames.reset(number, frames.NO_ERROR)
        size = len(body)
        if self._unsent or size > min(self.frame_bytes, self.window, stream.window):
            self.transport.write(block)
            self._enqueue(stream, body, trailers)
            return
        if size:
            self.window -= size
            self.updates_due += UPDATES_PER_FRAME
            block += frames.frame(frames.DATA, 0, number, body)
        self.transport.write(block + trailers)
        self._sent(stream)

    def send(self, stream: Receiver, head: bytes, body: bytes) -> None:
        """Send headers, where there are any, and some of a body."""
        if head:
            self.transport.write(frames.frame(frames.HEADERS, frames.END_HEADERS, stream.number, head))
        if body:
            self._enqueue(stream, body, b"")

    def pause(self) -> None:
        """Send nothing while the network takes no more."""
        self._is_paused = True
        self.stalled_since = self._loop.time()

    def resume(self) -> None:
        """Send again."""
        self._is_paused = False
        self.stalled_since = self._loop.time() if self._unsent else 0.0
        self.send_more()

    def clear(self) -> None:
        """Send nothing more."""
        self._unsent.clear()

    def _enqueue(self, stream: Receiver, body: bytes, trailers: bytes) -> None:
        if not self._unsent and not self._is_paused:
            self.stalled_since = self._loop.time()
        self._unsent.append((stream, memoryview(body), trailers))
        self.send_more()

    def send_more(self) -> None:
        """Send what has become possible."""
        if not self._unsent:
            return
        before, unsent = self.window, self._unsent
        self._unsent = deque()
        ended = False
        for stream, _, _ in unsent:
            stream.is_waiting = False
        for stream, body, trailers in unsent:
            if not stream.is_open:
                continue
            rest = body if stream.is_waiting else self._send_part(stream, body)
            if len(rest) or stream.is_waiting or self._is_paused:
                # What is behind it waits for it.
                stream.is_waiting = True
                self._unsent.append((stream, rest, trailers))
            elif trailers:
                self.transport.write(trailers)
                self._sent(stream)
                ended = True
        if not self._unsent and not self._is_paused:
            self.stalled_since = 0.0
        elif self.window != before or ended:
            self.stalled_since = self._loop.time()

    def _send_part(self, stream: Receiver, rest: memoryview) -> memoryview:
        """Send as much of a stream's bytes as goes; return the rest."""
        while len(rest) and not self._is_paused:
            size = min(len(rest), self.frame_bytes, self.window, stream.window)
            if size <= 0:
                break
            self.transport.write(frames.frame(frames.DATA, 0, stream.number, bytes(rest[:size])))
            rest = rest[size:]
            self.window -= size
            stream.window -= size
            self.updates_due += UPDATES_PER_FRAME
        return rest
