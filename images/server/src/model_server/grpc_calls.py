"""A gRPC call on a stream of HTTP/2 (PROTOCOL-HTTP2.md of gRPC): its message as it comes, and its answer.

And what all calls may take together: how many there are, what they hold in memory, which of them runs next. All of it
lives on the event loop of grpc_listener.py; only what runs in a turn is on a thread.
"""

from __future__ import annotations

import asyncio
import math
import time
import urllib.parse
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from model_server.grpc_service import NO_DEADLINE, Deadline
from serving_codec.status import Code, ServingError
from serving_http.http2.frames import literal

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    from serving_codec.pieces import Buffer
    from serving_http.http2.request import Request
    from serving_http.http2.streams import Stream

Result = TypeVar("Result")
# A message that has not arrived whole by then is slow: it makes room when the budget is used up.
SLOW_SECONDS = 2.0
SWEEP_SECONDS = 0.25
# A sweep that is late by more says that the loop was busy, and messages may have arrived that nobody has looked at yet.
LATE_SECONDS = 0.25
# Longer messages of a status are cut: they go into a header, and clients take 8 KiB of those: bytes, each of which may
# become three.
MAXIMUM_WORDS_BYTES = 1024
PREFIX_BYTES = 5
# A reply is copied to its prefix up to this.
JOINED_BYTES = 64 << 10
# :status 200 (RFC 7541, appendix A).
HEAD = b"\x88" + literal(b"content-type", b"application/grpc") + literal(b"grpc-accept-encoding", b"gzip, deflate")
OK = literal(b"grpc-status", b"0")
# Printable ASCII but for the percent sign stands for itself.
SAFE = "".join(chr(number) for number in range(0x20, 0x7F) if number != ord("%"))
UNITS = {b"H": 3600.0, b"M": 60.0, b"S": 1.0, b"m": 1e-3, b"u": 1e-6, b"n": 1e-9}
TIMEOUT_DIGITS = 8


@dataclass(frozen=True)
class Limits:
    """What the flags say: calls at once, seconds a message may take to arrive, bytes of a message, bytes of all."""

    calls: int
    message_seconds: float
    message_bytes: int
    budget_bytes: int


class Method(Protocol):
    """What a call is answered by."""

    is_streaming: bool

    def serve(self, call: Call, message: bytes) -> None:
        """Answer a call whose message is whole, now or later."""

    def end(self, call: Call) -> None:
        """Know that a streaming call has no more messages."""


class Call:
    """One call; a Taker of its stream (serving_http.http2.streams)."""

    __slots__ = (
        "_buffer",
        "_has_begun_answer",
        "_ledger",
        "_message",
        "_size",
        "_stream",
        "began",
        "deadline",
        "encoding",
        "held",
        "is_over",
        "method",
        "on_over",
        "task",
        "timer",
    )

    def __init__(self, stream: Stream, request: Request, method: Method, ledger: Ledger) -> None:
        """Begin; raise ServingError for a deadline that is none, or where there are too many calls."""
        # For the life of the call.
        self._stream = stream
        self._ledger = ledger
        self.method = method
        self.deadline = _deadline(request.fields.get(b"grpc-timeout"))
        self.encoding = request.fields.get(b"grpc-encoding", b"identity")
        self.began = time.monotonic()
        # As it comes: the message, or its beginning, its length once that is known, and bytes that count as held.
        self._message: bytes | None = None
        self._buffer: bytearray | None = None
        self._size = -1
        self.held = 0
        self.is_over = self._has_begun_answer = False
        self.task: asyncio.Task[None] | None = None
        self.timer: asyncio.TimerHandle | None = None
        self.on_over: Callable[[Call], None] | None = None
        ledger.enter(self)

    # ---- the stream's calls

    def data(self, piece: memoryview) -> None:
        """Take a piece of the message, or of messages."""
        if self.is_over:
            return
        try:
            self._ledger.arrived(self, len(piece))
            self._take(piece)
        except ServingError as error:
            self.refuse(error)

    def end(self) -> None:
        """Serve the call, now that its message is whole."""
        if self.is_over:
            return
        if self.method.is_streaming:
            self.method.end(self)
        elif self._message is None:
            self.refuse(ServingError(Code.INTERNAL, "The call ended without a message"))
        else:
            message, self._message = self._message, None
            self._ledger.is_whole(self)
            self.method.serve(self, message)

    def left(self) -> None:
        """Stop: nobody waits."""
        self._over()

    def _take(self, piece: memoryview) -> None:
        if self._buffer is None and len(piece) >= PREFIX_BYTES:
            size = self._sized(piece)
            if len(piece) == PREFIX_BYTES + size:
                self._whole(piece[0], bytes(piece[PREFIX_BYTES:]))
                return
        if self._message is not None:
            raise ServingError(Code.INTERNAL, "A second message came, where one is expected")
        if self._buffer is None:
            self._buffer = bytearray()
        self._buffer += piece
        while self._buffer is not None and len(self._buffer) >= PREFIX_BYTES and not self.is_over:
            size = self._sized(self._buffer)
            if len(self._buffer) < PREFIX_BYTES + size:
                return
            buffer, self._buffer = self._buffer, None
            rest = bytes(buffer[PREFIX_BYTES + size :])
            with memoryview(buffer) as view:
                message = bytes(view[PREFIX_BYTES : PREFIX_BYTES + size])
            self._whole(buffer[0], message)
            if rest:
                self._take(memoryview(rest))

    def _sized(self, data: memoryview | bytearray) -> int:
        """Return a message's length; raise ServingError for one that is too large."""
        if self._message is not None:
            raise ServingError(Code.INTERNAL, "A second message came, where one is expected")
        if self._size < 0:
            size = int.from_bytes(data[1:PREFIX_BYTES], "big")
            most = self._ledger.limits.message_bytes
            if size > most:
                raise ServingError(
                    Code.RESOURCE_EXHAUSTED, f"SERVER: Received message larger than max ({size} vs. {most})"
                )
            self._size = size
        return self._size

    def _whole(self, flag: int, message: bytes) -> None:
        self._size = -1
        if flag and self.encoding == b"identity":
            raise ServingError(Code.INTERNAL, "A message says it is compressed, and its call's headers do not say how")
        if not flag:
            self.encoding = b"identity"
        if self.method.is_streaming:
            self._ledger.release(self)
            self.method.serve(self, message)
        else:
            self._message = message

    # ---- answers

    def answer(self, reply: Buffer) -> None:
        """Send a unary call's reply; it is over."""
        if self.is_over:
            return
        prefix = b"\0" + len(reply).to_bytes(4, "big")
        if len(reply) <= JOINED_BYTES:
            self._stream.answer(HEAD, prefix + reply, OK)
        else:
            self._stream.send(HEAD, prefix)
            self._stream.answer(b"", reply, OK)
        self._over()

    def send(self, reply: bytes) -> None:
        """Send one of several replies."""
        if self.is_over:
            return
        head = b"" if self._has_begun_answer else HEAD
        self._has_begun_answer = True
        self._stream.send(head, b"\0" + len(reply).to_bytes(4, "big") + reply)

    def finish(self) -> None:
        """End a call that was sent several replies."""
        if self.is_over:
            return
        self._stream.finish(OK if self._has_begun_answer else HEAD + OK)
        self._over()

    def refuse(self, error: ServingError) -> None:
        """End a call with an error's code and words."""
        if self.is_over:
            return
        self._stream.finish((b"" if self._has_begun_answer else HEAD) + status(error))
        self._over()

    def give(self, seconds: float) -> None:
        """Bound the time from now on, by the deadline too."""
        at = min(self.deadline.at, time.monotonic() + seconds)
        if at < math.inf:
            loop = asyncio.get_running_loop()
            self.timer = loop.call_later(max(0.0, at - time.monotonic()), self._expire)

    def _expire(self) -> None:
        self.refuse(ServingError(Code.DEADLINE_EXCEEDED, "Deadline Exceeded"))

    def _over(self) -> None:
        if self.is_over:
            return
        self.is_over = True
        self._buffer = self._message = None
        if self.timer is not None:
            self.timer.cancel()
        if self.task is not None:
            # Who waits in a turn releases what is held once that is over.
            self.task.cancel()
            self._ledger.leave(self)
        else:
            self._ledger.leave(self)
            self._ledger.release(self)
        if self.on_over is not None:
            self.on_over(self)


class Ledger:
    """The calls under way and the bytes they hold. A call that waits for its message is no thread, and no task."""

    def __init__(self, limits: Limits) -> None:
        # For the life of the listener.
        self.limits = limits
        # As calls come and go. Arrivals are in order: the oldest is first.
        self._calls = 0
        self._bytes = 0
        self._arrivals: dict[Call, None] = {}

    def enter(self, call: Call) -> None:
        """Count a call until it is over; raise RESOURCE_EXHAUSTED when there are too many."""
        if self._calls >= self.limits.calls:
            raise ServingError(
                Code.RESOURCE_EXHAUSTED,
                f"{self._calls} calls are under way, no more are taken (grpc_max_concurrent_calls)",
            )
        self._calls += 1
        self._arrivals[call] = None

    def leave(self, call: Call) -> None:
        """Count a call no longer."""
        self._calls -= 1
        self._arrivals.pop(call, None)

    def is_whole(self, call: Call) -> None:
        """Know that nothing more of a call's message will come."""
        self._arrivals.pop(call, None)

    def arrived(self, call: Call, size: int) -> None:
        """Count bytes that came for a call; slow ones make room, else raise RESOURCE_EXHAUSTED."""
        if self._bytes and self._bytes + size > self.limits.budget_bytes:
            self._make_room(call, size)
        self.hold(call, size)

    def hold(self, call: Call, size: int) -> None:
        """Count bytes held for a call; raise RESOURCE_EXHAUSTED when all calls together would hold too many."""
        if self._bytes and self._bytes + size > self.limits.budget_bytes:
            raise ServingError(
                Code.RESOURCE_EXHAUSTED,
                f"Messages of {self._bytes} bytes are being answered, {size} more are beyond "
                f"{self.limits.budget_bytes} (grpc_message_budget_bytes)",
            )
        self._bytes += size
        call.held += size

    def release(self, call: Call) -> None:
        """Count what a call holds no longer."""
        self._bytes -= call.held
        call.held = 0

    def _make_room(self, call: Call, size: int) -> None:
        """End calls whose messages have long been on their way, the oldest first, as far as that helps."""
        now = time.monotonic()
        for slow in list(self._arrivals):
            if self._bytes + size <= self.limits.budget_bytes or now - slow.began <= SLOW_SECONDS:
                return
            if slow is not call and slow.held:
                slow.refuse(
                    ServingError(
                        Code.RESOURCE_EXHAUSTED,
                        "The call's message has not arrived soon, and others need its room (grpc_message_budget_bytes)",
                    )
                )

    async def sweep(self) -> None:
        """End calls whose messages do not arrive, for as long as the loop runs."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + SWEEP_SECONDS
            await asyncio.sleep(SWEEP_SECONDS)
            if loop.time() < due + LATE_SECONDS:
                self._end_late(time.monotonic())

    def _end_late(self, now: float) -> None:
        for call in list(self._arrivals):
            if now >= call.deadline.at:
                call.refuse(ServingError(Code.DEADLINE_EXCEEDED, "Deadline Exceeded"))
            elif now - call.began > self.limits.message_seconds and not call.method.is_streaming:
                told = f"within {self.limits.message_seconds:g} s (grpc_message_timeout_seconds)"
                call.refuse(ServingError(Code.DEADLINE_EXCEEDED, f"The call's message has not arrived {told}"))


class Turns:
    """A bounded number of threads, and those who wait for one, in order; waiting costs no thread.

    Who is cancelled before its turn is never run. A thread is free again once its work is done, also of one who left.
    """

    def __init__(self, threads: int, name: str) -> None:
        # For the life of the listener.
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix=name)
        # As turns are taken.
        self._free = threads
        self._waiting: dict[asyncio.Future[None], None] = {}

    async def run(self, work: Callable[[], Result], done: Callable[[], None]) -> Result:
        """Return what work returns on a thread; `done` is called on the loop once nothing of it is held any more."""
        loop = asyncio.get_running_loop()
        try:
            await self._turn(loop)
        except BaseException:
            done()
            raise

        def over(_: Future[Result]) -> None:
            loop.call_soon_threadsafe(self._over, done)

        running = self._executor.submit(work)
        running.add_done_callback(over)
        return await asyncio.wrap_future(running)

    async def _turn(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._free:
            self._free -= 1
            return
        mine = loop.create_future()
        self._waiting[mine] = None
        try:
            await mine
        except asyncio.CancelledError:
            # A turn may have passed it by already: it is cancelled first, and told of it later.
            self._waiting.pop(mine, None)
            if not mine.cancelled():
                # The turn came, and the cancellation with it.
                self._pass_on()
            raise

    def _over(self, done: Callable[[], None]) -> None:
        done()
        self._pass_on()

    def _pass_on(self) -> None:
        while self._waiting:
            next_one = next(iter(self._waiting))
            del self._waiting[next_one]
            if not next_one.done():
                next_one.set_result(None)
                return
        self._free += 1


def status(error: ServingError) -> bytes:
    """Return the header block of an error: its code and words, which may hold whatever a client has sent."""
    content = error.message.encode("utf-8", "replace")
    if len(content) > MAXIMUM_WORDS_BYTES:
        content = content[:MAXIMUM_WORDS_BYTES].decode("utf-8", "ignore").encode() + b"...TRUNCATED"
    words = urllib.parse.quote(content, safe=SAFE).encode()
    return literal(b"grpc-status", b"%d" % error.code.value) + literal(b"grpc-message", words)


def _deadline(timeout: bytes | None) -> Deadline:
    """Return when a call with this grpc-timeout is given up; raise INTERNAL for one that is none."""
    if timeout is None:
        return NO_DEADLINE
    digits, unit = timeout[:-1], timeout[-1:]
    if not digits.isdigit() or len(digits) > TIMEOUT_DIGITS or unit not in UNITS:
        raise ServingError(Code.INTERNAL, "Bad timeout header: expected up to 8 digits and one of H, M, S, m, u, n")
    return Deadline(time.monotonic() + int(digits) * UNITS[unit])


def as_bytes(value: Any) -> bytes:
    """Return a message's bytes."""
    content: bytes = value.SerializeToString()
    return content
