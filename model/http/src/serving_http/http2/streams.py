"""The streams of a connection: those under way, who takes what they bring, and what is known of those that were."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from serving_http.http2.outbox import Outbox

REMEMBERED_STREAMS = 1024


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


class Stream:
    """One request and its answer."""

    __slots__ = ("_outbox", "expected", "is_ended", "is_open", "number", "received", "taker", "window")

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

    def answer(self, head: bytes, body: bytes | bytearray, tail: bytes) -> None:
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

    def leave(self) -> None:
        """Know that the peer does not want the answer."""
        self.is_open = False
        self._outbox.drop(self)
        self.taker.left()


class Streams:
    """The streams of one connection; `emptied` is called when the last one under way is over."""

    def __init__(self, emptied: Callable[[], None]) -> None:
        # For the life of the connection.
        self._emptied = emptied
        # As streams come and go.
        self.under_way: dict[int, Stream] = {}
        # Answered before the peer had said all: the rest is still on its way.
        self._cut: set[int] = set()

    def forget(self, stream: Stream) -> None:
        """Know that a stream is over."""
        stream.is_open = False
        self.under_way.pop(stream.number, None)
        if not stream.is_ended:
            self._cut_off(stream.number)
        if not self.under_way:
            self._emptied()

    def _cut_off(self, number: int) -> None:
        if len(self._cut) >= REMEMBERED_STREAMS:
            self._cut.clear()
        self._cut.add(number)

    def let_go(self, stream: Stream) -> None:
        """Forget a stream whose peer does not want its answer."""
        self.forget(stream)
        stream.leave()

    def let_reset_go(self, stream: Stream) -> None:
        """Forget a stream that its peer has reset: it knows that it is over, and nothing of it is on its way."""
        self.let_go(stream)
        self._cut.discard(stream.number)

    def let_all_go(self) -> None:
        """Forget all, as the connection is over."""
        left = list(self.under_way.values())
        self.under_way.clear()
        for stream in left:
            stream.leave()

    def is_cut(self, number: int) -> bool:
        """Tell whether more of a stream that is over may be on its way."""
        return number in self._cut
