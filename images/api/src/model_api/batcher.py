"""Concurrent requests joined into batches: a call goes out as soon as there is room for one, with all that waits."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from model_api.errors import TooSlowError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Hashable, Mapping

    from numpy.typing import NDArray

    from model_description.signature import Signature

    Tensors = Mapping[str, NDArray[Any]]
    # Asks the model about tensors (row, ...) within seconds; returns its outputs (row, ...) and the version.
    Ask = Callable[[Signature, Tensors, float], Awaitable[tuple[Tensors, int]]]

# Two calls under way for each server keep it busy while a reply travels.
CALLS_PER_SERVER = 2


@dataclass(eq=False)
class Item:
    """The tensors of one request (row, ...), when its caller stops waiting (monotonic), and its answer."""

    signature: Signature
    tensors: Tensors
    rows: int
    deadline: float
    answer: asyncio.Future[tuple[Tensors, int]]


class Batcher:
    """A queue in front of the servers, bounded in rows.

    Only rows of equal shapes for the same signature travel together; each kind waits in a line of its own, and the
    lines take turns.
    """

    def __init__(self, ask: Ask, servers: Callable[[], int], batch_size: int, queue_size: int) -> None:
        # For the life of the process.
        self._ask = ask
        self._servers = servers
        self._batch_size = batch_size
        self._queue_size = queue_size
        # As requests come and go.
        self._lines: dict[Hashable, deque[Item]] = {}
        self._queued_rows = 0
        self._calls: set[asyncio.Task[None]] = set()

    async def submit(
        self, signature: Signature, tensors: Tensors, rows: int, timeout_seconds: float
    ) -> tuple[Tensors, int]:
        """Return the outputs (row, ...) for `tensors` (row, ...) and the version that gave them.

        Raise UnavailableError when the queue is full, TooSlowError when the time is over, and what the call raises.
        A caller that leaves affects nobody else.
        """
        if self._queued_rows + rows > self._queue_size and self._queued_rows:
            raise UnavailableError(f"{self._queued_rows} rows are waiting already")
        deadline = time.monotonic() + timeout_seconds
        item = Item(signature, tensors, rows, deadline, asyncio.get_running_loop().create_future())
        kind = (id(signature), *((name, tensor.shape[1:]) for name, tensor in tensors.items()))
        self._lines.setdefault(kind, deque()).append(item)
        self._queued_rows += rows
        self._send()
        try:
            async with asyncio.timeout(timeout_seconds):
                return await item.answer
        except TimeoutError:
            raise TooSlowError(f"no answer within {timeout_seconds:g} s") from None

    def _send(self) -> None:
        """Start calls while there is something to ask and room for one more."""
        while self._lines and len(self._calls) < CALLS_PER_SERVER * max(1, self._servers()):
            batch = self._take()
            if not batch:
                continue
            call = asyncio.get_running_loop().create_task(self._run(batch))
            self._calls.add(call)
            call.add_done_callback(self._ended)

    def _take(self) -> list[Item]:
        """Take items from the line whose turn it is, up to the batch size; those whose caller has left are dropped."""
        kind, line = next(iter(self._lines.items()))
        del self._lines[kind]
        batch: list[Item] = []
        rows = 0
        while line and (not batch or rows + line[0].rows <= self._batch_size):
            item = line.popleft()
            self._queued_rows -= item.rows
            if not item.answer.done():
                batch.append(item)
                rows += item.rows
        if line:
            # At the end: the others come first.
            self._lines[kind] = line
        return batch

    async def _run(self, batch: list[Item]) -> None:
        names = batch[0].tensors
        tensors = (
            names
            if len(batch) == 1
            else {name: np.concatenate([item.tensors[name] for item in batch]) for name in names}
        )
        seconds = max(item.deadline for item in batch) - time.monotonic()
        try:
            outputs, version = await self._ask(batch[0].signature, tensors, max(0.001, seconds))
        except Exception as error:  # noqa: BLE001 - every caller is told, each by its own future
            await self._tell(batch, error)
            return
        start = 0
        for item in batch:
            end = start + item.rows
            if not item.answer.done():
                item.answer.set_result(({name: rows[start:end] for name, rows in outputs.items()}, version))
            start = end

    async def _tell(self, batch: list[Item], error: Exception) -> None:
        """Pass an error on; of requests that were joined each half is asked again, so that none fails another."""
        waiting = [item for item in batch if not item.answer.done()]
        if len(waiting) <= 1 or isinstance(error, UnavailableError | TooSlowError):
            for item in waiting:
                item.answer.set_exception(error)
            return
        middle = len(waiting) // 2
        await asyncio.gather(self._run(waiting[:middle]), self._run(waiting[middle:]))

    def _ended(self, call: asyncio.Task[None]) -> None:
        self._calls.discard(call)
        self._send()
