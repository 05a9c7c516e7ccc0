"""Concurrent requests joined into batches: a call goes out as soon as there is room for one, with all that waits."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from model_api.errors import TooSlowError, UnavailableError, release

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Hashable, Mapping

    from numpy.typing import NDArray

    from model_description.signature import Signature

    Tensors = Mapping[str, NDArray[Any]]
    # Asks about tensors (row, ...) within seconds; returns the outputs (row, ...), the version and the outputs' size.
    Ask = Callable[[Signature, Tensors, float], Awaitable[tuple[Tensors, int, int]]]

# One call under way for each server joins most: with two, 32 callers got 0.54 of the floor in place of 0.62
# (docs/performance.md). A second goes out where a whole batch waits, or where a call takes so long that the way to the
# server and back is little beside it: it keeps a slow model busy meanwhile.
CALLS_PER_SERVER = 2
LONG_CALL_SECONDS = 0.005
# A batch that failed is asked again in so many parts side by side, and those that fail in as many: one bad request
# among 64 takes three rounds and twelve calls.
PARTS = 4
# So many calls more for one batch, and no more: a model that fails whatever it is asked must not be asked 85 times.
MAXIMUM_EXTRA_CALLS = 40


@dataclass(eq=False, slots=True)
class Answered:
    """The outputs (row, ...) of one call, the version that gave them, and what was made of all rows at once.

    `size` is in bytes, as `results.Result` has it.
    """

    outputs: Tensors
    version: int
    rows: int
    size: int
    made: dict[Hashable, Any] = field(default_factory=dict)


@dataclass(eq=False, slots=True)
class Share:
    """One caller's rows of an answered call: those from `start` up to `end`."""

    whole: Answered
    start: int
    end: int

    @property
    def version(self) -> int:
        """Return the version that answered."""
        return self.whole.version

    @property
    def size(self) -> int:
        """Return about how many bytes the caller's own outputs take."""
        return self.whole.size * (self.end - self.start) // self.whole.rows

    @property
    def outputs(self) -> Tensors:
        """Return the caller's own outputs (row, ...)."""
        return {name: rows[self.start : self.end] for name, rows in self.whole.outputs.items()}


@dataclass(eq=False, slots=True)
class Item:
    """The tensors of one request (row, ...), when its caller stops waiting (the loop's time), and its answer.

    `answer` only tells that there is one: futures are kept until another comes, and answers may be large.
    """

    signature: Signature
    tensors: Tensors
    rows: int
    size: int
    deadline: float
    answer: asyncio.Future[None]
    share: Share | None = None


@dataclass(eq=False, slots=True)
class Call:
    """A call under way: whose requests it carries, and how many calls a failure of it may still cost."""

    items: list[Item]
    began: float
    extra_calls: int = MAXIMUM_EXTRA_CALLS
    task: asyncio.Task[None] | None = None


class Batcher:
    """A queue in front of the servers, bounded in rows and in bytes.

    Only rows of equal shapes for the same signature travel together; each kind waits in a line of its own, and the
    lines take turns.
    """

    def __init__(
        self,
        ask: Ask,
        servers: Callable[[], int],
        most_rows: Callable[[Signature], int],
        queue_size: int,
        queue_bytes: int = 64 << 20,
    ) -> None:
        # For the life of the process. `most_rows` tells how many may be asked about at once.
        self._ask = ask
        self._servers = servers
        self._most_rows = most_rows
        self._queue_size = queue_size
        self._queue_bytes = queue_bytes
        # As requests come and go.
        self._lines: dict[Hashable, deque[Item]] = {}
        self._queued_rows = 0
        self._queued_bytes = 0
        self._calls: set[Call] = set()
        # By their deadlines, which come in the order of the requests as long as all have the same time.
        self._waiting: deque[tuple[float, float, asyncio.Future[None]]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._looking: asyncio.TimerHandle | None = None

    async def submit(self, signature: Signature, tensors: Tensors, rows: int, timeout_seconds: float) -> Share:
        """Return the share of `tensors` (row, ...) in an answered call.

        Raise UnavailableError when the queue is full, TooSlowError when the time is over, and what the call raises.
        A caller that leaves affects nobody else, and is not asked for.
        """
        size = sum(tensor.nbytes for tensor in tensors.values())
        self._check_room(rows, size)
        loop = asyncio.get_running_loop()
        item = Item(signature, tensors, rows, size, loop.time() + timeout_seconds, loop.create_future())
        # By identity: hashing a signature takes longer than the rest, and Knowledge has equal ones be one object.
        kind = (id(signature), *((name, tensor.shape[1:]) for name, tensor in tensors.items()))
        line = self._lines.get(kind)
        if line is None:
            line = self._lines[kind] = deque()
        self._check_wait(line, timeout_seconds)
        line.append(item)
        self._queued_rows += rows
        self._queued_bytes += size
        self._watch(item, timeout_seconds)
        self._send()
        try:
            await item.answer
        except asyncio.CancelledError:
            self._left()
            raise
        except Exception:
            # Its traceback has this frame: the error would keep itself.
            del item
            raise
        assert item.share is not None  # noqa: S101 - set with the answer
        return item.share

    def _check_room(self, rows: int, size: int) -> None:
        # One request alone is always taken, however large: it would never fit otherwise.
        if not self._queued_rows:
            return
        if self._queued_rows + rows > self._queue_size:
            raise UnavailableError(f"{self._queued_rows} rows are waiting already")
        if self._queued_bytes + size > self._queue_bytes:
            raise UnavailableError(f"{self._queued_bytes} bytes of rows are waiting already")

    def _check_wait(self, line: deque[Item], timeout_seconds: float) -> None:
        """Raise UnavailableError where the first in line has used up half its time: who comes now would wait in vain.

        Bounds in rows and bytes do not say how long they take: at a slow model all would wait, and be too late.
        """
        while line and line[0].answer.done():
            self._left_line(line.popleft())
        if line and (left := line[0].deadline - asyncio.get_running_loop().time()) < timeout_seconds / 2:
            raise UnavailableError(f"rows have been waiting for {timeout_seconds - left:.1f} s already")

    def _left_line(self, item: Item) -> None:
        self._queued_rows -= item.rows
        self._queued_bytes -= item.size

    # ---- time

    def _watch(self, item: Item, seconds: float) -> None:
        waiting = self._waiting
        # Those that were answered go when another comes, so that nothing has to look for them.
        while waiting and waiting[0][2].done():
            waiting.popleft()
        waiting.append((item.deadline, seconds, item.answer))
        if self._timer is not None and item.deadline < self._timer.when():
            self._timer.cancel()
            self._timer = None
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_at(item.deadline, self._end_late)

    def _end_late(self) -> None:
        """Tell those whose time is over; one timer is enough for all."""
        self._timer = None
        loop = asyncio.get_running_loop()
        now = loop.time()
        kept: deque[tuple[float, float, asyncio.Future[None]]] = deque()
        for entry in self._waiting:
            deadline, seconds, answer = entry
            # Not all end in the order they came: protocols may give their requests times of their own.
            if answer.done():
                continue
            if deadline <= now:
                answer.set_exception(TooSlowError(f"no answer within {seconds:g} s"))
            else:
                kept.append(entry)
        self._waiting = kept
        self._left()
        if kept:
            self._timer = loop.call_at(min(deadline for deadline, _, _ in kept), self._end_late)

    def _left(self) -> None:
        """Give up calls nobody waits for any more."""
        for call in self._calls:
            if call.task is not None and all(item.answer.done() for item in call.items):
                call.task.cancel()

    # ---- calls

    def _send(self) -> None:
        """Start calls while there is something to ask and room for one more."""
        # With no server known one call goes out all the same: its failure says why better than silence does.
        while self._lines and self._may_call():
            batch = self._take()
            if not batch:
                continue
            call = Call(batch, asyncio.get_running_loop().time())
            call.task = asyncio.get_running_loop().create_task(self._run(batch, call))
            self._calls.add(call)
            call.task.add_done_callback(lambda _, call=call: self._ended(call))  # type: ignore[misc]

    def _may_call(self) -> bool:
        servers, calls = max(1, self._servers()), len(self._calls)
        if calls < servers:
            return True
        if calls >= CALLS_PER_SERVER * servers:
            return False
        if self._queued_rows >= self._most_rows(next(iter(self._lines.values()))[0].signature):
            return True
        loop = asyncio.get_running_loop()
        at = min(call.began for call in self._calls) + LONG_CALL_SECONDS
        if at <= loop.time():
            return True
        if self._looking is None:
            self._looking = loop.call_at(at, self._look_again)
        return False

    def _look_again(self) -> None:
        self._looking = None
        self._send()

    def _take(self) -> list[Item]:
        """Take items from the line whose turn it is, up to the batch size; those whose caller has left are dropped."""
        # A dict keeps the order of its keys: the first is the line that has waited longest.
        kind, line = next(iter(self._lines.items()))
        del self._lines[kind]
        batch: list[Item] = []
        rows, most = 0, self._most_rows(line[0].signature)
        while line and (not batch or rows + line[0].rows <= most):
            item = line.popleft()
            self._left_line(item)
            if not item.answer.done():
                batch.append(item)
                rows += item.rows
        if line:
            # At the end: the others come first.
            self._lines[kind] = line
        return batch

    async def _run(self, batch: list[Item], call: Call) -> None:
        names = batch[0].tensors
        tensors = (
            # Nothing to join: the caller's own tensors, without a copy.
            names
            if len(batch) == 1
            else {name: np.concatenate([item.tensors[name] for item in batch]) for name in names}
        )
        # The longest: who has less is told by the timer, and the others still get what was computed.
        seconds = max(item.deadline for item in batch) - asyncio.get_running_loop().time()
        try:
            outputs, version, answer_bytes = await self._ask(batch[0].signature, tensors, max(0.001, seconds))
        except Exception as error:  # noqa: BLE001 - every caller is told, each by its own future
            release(error)
            await self._tell(batch, error, call)
            # The error's callers have this frame with it.
            del batch, tensors, names, call
            return
        whole, start = Answered(outputs, version, sum([item.rows for item in batch]), answer_bytes), 0
        for item in batch:
            end = start + item.rows
            if not item.answer.done():
                item.share = Share(whole, start, end)
                item.answer.set_result(None)
            start = end

    async def _tell(self, batch: list[Item], error: Exception, call: Call) -> None:
        """Pass an error on; requests that were joined are asked again in parts, so that none fails another."""
        waiting = [item for item in batch if not item.answer.done()]
        parts = min(PARTS, len(waiting))
        # No server or no time: asking in parts would cost more of what there is too little of.
        if parts <= 1 or isinstance(error, UnavailableError | TooSlowError) or call.extra_calls < parts:
            for item in waiting:
                item.answer.set_exception(error)
            return
        call.extra_calls -= parts
        size = -(-len(waiting) // parts)
        await asyncio.gather(*(self._run(waiting[i : i + size], call) for i in range(0, len(waiting), size)))

    def _ended(self, call: Call) -> None:
        self._calls.discard(call)
        if call.task is not None and call.task.cancelled():
            # The process ends, or all have left: nobody may wait for ever.
            for item in call.items:
                if not item.answer.done():
                    item.answer.cancel()
        self._send()
