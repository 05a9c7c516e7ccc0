"""What a connection sends: as much as the peer's windows and the network take, each message in its turn."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Protocol

from serving_http.http2 import frames

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterable


# A peer widens a window of the stream and one of the connection, and may do it by halves.
UPDATES_PER_FRAME = 4
# What is left of some bytes, the flags of their last frame, and trailers where they are its stream's last.
Part = tuple[memoryview, int, bytes]


class Sender(Protocol):
    """A stream, as far as sending goes; `window` is what its peer takes of it."""

    number: int
    window: int


class Answering(Sender, Protocol):
    """A stream that is answered; `is_ended` tells whether its peer has said all."""

    is_ended: bool


def _nothing(_stream: Any) -> None:
    """Nobody is told."""


class Outbox:
    """Frames on their way. A stream whose answer is sent is given to `sent`, if there is any.

    What waits is found by its stream: a peer that widens windows by a byte costs the same however many others wait.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, sent: Callable[[Any], None] = _nothing) -> None:
        # For the life of the connection.
        self._loop = loop
        self._sent = sent
        self.transport: Any = None
        # As the peer says.
        self.first_window = frames.PEER_WINDOW
        self.frame_bytes = frames.PEER_FRAME_BYTES
        self.window = frames.PEER_WINDOW
        # As messages come: what waits of each stream, which is never nothing. While the connection's window is open and
        # the network takes more, every one of them waits for its own window.
        self._unsent: dict[Sender, deque[Part]] = {}
        self.unsent_bytes = 0
        self._is_paused = False
        # Since when nothing could be sent, on the loop's clock; 0 while nothing waits.
        self.stalled_since = 0.0
        # How often the peer may widen its windows for what it was sent.
        self.updates_due = 0

    # ---- the peer's windows, and the network

    def obey(self, settings: dict[int, int], streams: Iterable[Sender]) -> None:
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
        self._send_more()

    def widen(self, size: int) -> None:
        """Send so many bytes more on the connection; raise ConnectionFault where a window cannot grow by that."""
        frames.expect(size > 0, frames.PROTOCOL_ERROR, "a window grows by 0")
        was_shut = self.window <= 0
        self.window += size
        frames.expect(self.window <= frames.LARGEST_WINDOW, frames.FLOW_CONTROL_ERROR, "the window is too large")
        if was_shut:
            self._send_more()

    def widen_stream(self, stream: Sender, size: int) -> None:
        """Send so many bytes more on a stream."""
        stream.window += size
        if stream in self._unsent:
            self._send_of(stream)

    def pause(self) -> None:
        """Send nothing while the network takes no more."""
        self._is_paused = True
        self.stalled_since = self._loop.time()

    def resume(self) -> None:
        """Send again."""
        self._is_paused = False
        self.stalled_since = self._loop.time() if self._unsent else 0.0
        self._send_more()

    # ---- messages

    def say(self, frame: bytes) -> None:
        """Send a frame that no window holds back."""
        self.transport.write(frame)

    def answer(self, stream: Answering, head: bytes, body: bytes | bytearray, tail: bytes) -> None:
        """Send a whole answer, as blocks and a body: in one write, unless something of it has to wait."""
        number = stream.number
        block = frames.frame(frames.HEADERS, frames.END_HEADERS, number, head) if head else b""
        trailers = frames.frame(frames.HEADERS, frames.END_HEADERS | frames.END_STREAM, number, tail)
        if not stream.is_ended:
            # The peer need not send the rest (8.1).
            trailers += frames.reset(number, frames.NO_ERROR)
        size = len(body)
        if self._unsent or self._is_paused or size > min(self.frame_bytes, self.window, stream.window):
            self.transport.write(block)
            self._enqueue(stream, body, 0, trailers)
            return
        if size:
            self.window -= size
            self.updates_due += UPDATES_PER_FRAME
            block += frames.frame(frames.DATA, 0, number, bytes(body))
        self.transport.write(block + trailers)
        self._sent(stream)

    def ask(self, stream: Sender, head: bytes, body: bytes) -> None:
        """Send a whole request, as a block and a body: in one write, unless something of it has to wait."""
        number, size = stream.number, len(body)
        block = frames.frame(frames.HEADERS, frames.END_HEADERS, number, head)
        if self._unsent or self._is_paused or size > min(self.frame_bytes, self.window, stream.window):
            self.transport.write(block)
            self._enqueue(stream, body, frames.END_STREAM, b"")
            return
        self.window -= size
        stream.window -= size
        self.transport.write(block + frames.frame(frames.DATA, frames.END_STREAM, number, body))

    def send(self, stream: Sender, head: bytes, body: bytes) -> None:
        """Send headers, where there are any, and some of a body."""
        if head:
            self.transport.write(frames.frame(frames.HEADERS, frames.END_HEADERS, stream.number, head))
        if body:
            self._enqueue(stream, body, 0, b"")

    def drop(self, stream: Sender) -> None:
        """Send nothing more of a stream."""
        parts = self._unsent.pop(stream, None)
        if parts is not None:
            self.unsent_bytes -= sum(len(rest) for rest, _, _ in parts)
            self._note_waiting()

    # ---- what waits

    def _enqueue(self, stream: Sender, body: bytes | bytearray, flags: int, trailers: bytes) -> None:
        if not self._unsent and not self._is_paused:
            self.stalled_since = self._loop.time()
        parts = self._unsent.setdefault(stream, deque())
        parts.append((memoryview(body), flags, trailers))
        self.unsent_bytes += len(body)
        if len(parts) == 1:
            self._send_of(stream)

    def _send_more(self) -> None:
        """Send what has become possible, of each stream in its turn."""
        for stream in list(self._unsent):
            if self.window <= 0 or self._is_paused:
                return
            self._send_of(stream)

    def _send_of(self, stream: Sender) -> None:
        """Send as much of what waits of a stream as goes; trailers, which no window holds back, with what they end."""
        parts = self._unsent[stream]
        while parts:
            body, flags, trailers = parts[0]
            rest = self._send_part(stream, body, flags)
            if len(rest):
                parts[0] = (rest, flags, trailers)
                return
            parts.popleft()
            if trailers:
                self.transport.write(trailers)
                self._sent(stream)
        del self._unsent[stream]
        self._note_waiting()

    def _send_part(self, stream: Sender, rest: memoryview, last_flags: int) -> memoryview:
        """Send as much of a stream's bytes as goes; return the rest."""
        while len(rest) and not self._is_paused:
            size = min(len(rest), self.frame_bytes, self.window, stream.window)
            if size <= 0:
                break
            flags = last_flags if size == len(rest) else 0
            self.transport.write(frames.frame(frames.DATA, flags, stream.number, bytes(rest[:size])))
            rest = rest[size:]
            self.window -= size
            stream.window -= size
            self.unsent_bytes -= size
            self.updates_due += UPDATES_PER_FRAME
            self.stalled_since = self._loop.time()
        return rest

    def _note_waiting(self) -> None:
        if not self._unsent and not self._is_paused:
            self.stalled_since = 0.0
