"""What gRPC's calls may take together: how many there are, what they hold in memory, and which of them runs next.

All of it lives on the event loop of grpc_listener.py; only what runs in a turn is on a thread.
"""

from __future__ import annotations

import asyncio
import collections
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import grpc

from serving_codec.status import Code, ServingError

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

# A message that has not arrived whole by then is slow: those together may be as large as the budget allows.
SLOW_SECONDS = 2.0
SWEEP_SECONDS = 0.25
# A sweep that is late by more says that the loop was busy, and messages may have arrived that nobody has looked at yet.
LATE_SECONDS = 0.25
# However large messages may be, so many slow ones are waited for.
LEAST_SLOW_CALLS = 4


@dataclass(frozen=True)
class Limits:
    """What the flags say: calls at once, seconds a message may take to arrive, bytes of a message, bytes of all."""

    calls: int
    message_seconds: float
    message_bytes: int
    budget_bytes: int


class _Arrival:
    """A message on its way: who waits for it, since when, and why it is waited for no longer."""

    __slots__ = ("began", "refused", "task")

    def __init__(self, task: asyncio.Task[Any], began: float) -> None:
        self.task = task
        self.began = began
        self.refused: ServingError | None = None


class Ledger:
    """The calls under way and the bytes they hold.

    A call that waits for its message is a task and no thread. gRPC tells nobody how much of a message has arrived, so a
    slow one counts as large as it may become: beyond the budget, the slowest are ended.
    """

    def __init__(self, limits: Limits) -> None:
        # For the life of the listener.
        self.limits = limits
        self._slow_calls = max(LEAST_SLOW_CALLS, limits.budget_bytes // max(1, limits.message_bytes))
        # As calls come and go. Arrivals are in order: the oldest is first.
        self._calls = 0
        self._bytes = 0
        self._arrivals: dict[_Arrival, None] = {}

    def enter(self, context: Any) -> None:
        """Count a call until its answer is sent; raise RESOURCE_EXHAUSTED when there are too many."""
        if self._calls >= self.limits.calls:
            raise ServingError(
                Code.RESOURCE_EXHAUSTED,
                f"{self._calls} calls are under way, no more are taken (grpc_max_concurrent_calls)",
            )
        self._calls += 1
        context.add_done_callback(self._leave)

    def _leave(self, _context: object) -> None:
        self._calls -= 1

    async def message(self, context: Any) -> bytes:
        """Return a call's message once it is whole; raise ServingError when it is not in time, or there is none."""
        task: Any = asyncio.current_task()
        arrival = _Arrival(task, asyncio.get_running_loop().time())
        self._arrivals[arrival] = None
        try:
            message = await context.read()
        except asyncio.CancelledError:
            if arrival.refused is None:
                raise
            task.uncancel()
            raise arrival.refused from None
        finally:
            del self._arrivals[arrival]
        if message is grpc.aio.EOF:
            raise ServingError(Code.INTERNAL, "The call ended without a message")
        content: bytes = message
        return content

    def hold(self, size: int) -> None:
        """Count bytes held for a call; raise RESOURCE_EXHAUSTED when all calls together would hold too many."""
        if self._bytes and self._bytes + size > self.limits.budget_bytes:
            raise ServingError(
                Code.RESOURCE_EXHAUSTED,
                f"Messages of {self._bytes} bytes are being answered, {size} more are beyond "
                f"{self.limits.budget_bytes} (grpc_message_budget_bytes)",
            )
        self._bytes += size

    def release(self, size: int) -> None:
        """Count bytes no longer."""
        self._bytes -= size

    async def sweep(self) -> None:
        """End calls whose messages do not arrive, for as long as the loop runs."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + SWEEP_SECONDS
            await asyncio.sleep(SWEEP_SECONDS)
            if loop.time() < due + LATE_SECONDS:
                self._end_late(loop.time())

    def _end_late(self, now: float) -> None:
        slow = [arrival for arrival in self._arrivals if now - arrival.began > SLOW_SECONDS]
        surplus = len(slow) - self._slow_calls
        for number, arrival in enumerate(slow):
            if now - arrival.began > self.limits.message_seconds:
                code, why = (
                    Code.DEADLINE_EXCEEDED,
                    f"within {self.limits.message_seconds:g} s (grpc_message_timeout_seconds)",
                )
            elif number < surplus:
                code, why = Code.RESOURCE_EXHAUSTED, f"soon, as {len(slow)} others (grpc_message_budget_bytes)"
            else:
                continue
            if arrival.refused is None:
                arrival.refused = ServingError(code, f"The call's message has not arrived {why}")
                arrival.task.cancel()


class Turns:
    """A bounded number of threads, and those who wait for one, in order; waiting costs no thread.

    Who is cancelled before its turn is never run. A thread is free again once its work is done, also of one who left.
    """

    def __init__(self, threads: int, name: str) -> None:
        # For the life of the listener.
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix=name)
        # As turns are taken.
        self._free = threads
        self._waiting: collections.deque[asyncio.Future[None]] = collections.deque()

    async def run(self, work: Callable[[], bytes], done: Callable[[], None]) -> bytes:
        """Return what work returns on a thread; `done` is called on the loop once nothing of it is held any more."""
        loop = asyncio.get_running_loop()
        try:
            await self._turn(loop)
        except BaseException:
            done()
            raise

        def over(_: Future[bytes]) -> None:
            loop.call_soon_threadsafe(self._over, done)

        running = self._executor.submit(work)
        running.add_done_callback(over)
        return await asyncio.wrap_future(running)

    async def _turn(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._free:
            self._free -= 1
            return
        mine = loop.create_future()
        self._waiting.append(mine)
        try:
            await mine
        except asyncio.CancelledError:
            if mine.cancelled():
                self._waiting.remove(mine)
            else:
                # The turn came, and the cancellation with it.
                self._pass_on()
            raise

    def _over(self, done: Callable[[], None]) -> None:
        done()
        self._pass_on()

    def _pass_on(self) -> None:
        while self._waiting:
            next_one = self._waiting.popleft()
            if not next_one.done():
                next_one.set_result(None)
                return
        self._free += 1
