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
    from collections.abc import Awaitable, Callable

    from numpy.typing import NDArray

    # Asks the model about images (batch, number) within seconds; returns scores (batch, class) and the version.
    Ask = Callable[[NDArray[Any], float], Awaitable[tuple[NDArray[Any], int]]]

# Two calls under way for each server keep it busy while a reply travels.
CALLS_PER_SERVER = 2


@dataclass(eq=False)
class Item:
    """The images of one request (image, number), when its caller stops waiting (monotonic), and its answer."""

    images: NDArray[Any]
    deadline: float
    answer: asyncio.Future[tuple[NDArray[Any], int]]


class Batcher:
    """A bounded queue of images in front of the servers."""

    def __init__(self, ask: Ask, servers: Callable[[], int], batch_size: int, queue_size: int) -> None:
        # For the life of the process.
        self._ask = ask
        self._servers = servers
        self._batch_size = batch_size
        self._queue_size = queue_size
        # As requests come and go.
        self._queue: deque[Item] = deque()
        self._queued_images = 0
        self._calls: set[asyncio.Task[None]] = set()

    async def submit(self, images: NDArray[Any], timeout_seconds: float) -> tuple[NDArray[Any], int]:
        """Return the scores (image, class) for `images` (image, number) and the version that gave them.

        Raise UnavailableError when the queue is full, TooSlowError when the time is over, and what the call raises.
        A caller that leaves affects nobody else.
        """
        if self._queued_images + len(images) > self._queue_size and self._queue:
            raise UnavailableError(f"{self._queued_images} images are waiting already")
        deadline = time.monotonic() + timeout_seconds
        item = Item(images, deadline, asyncio.get_running_loop().create_future())
        self._queue.append(item)
        self._queued_images += len(images)
        self._send()
        try:
            async with asyncio.timeout(timeout_seconds):
                return await item.answer
        except TimeoutError:
            raise TooSlowError(f"no answer within {timeout_seconds:g} s") from None

    def _send(self) -> None:
        """Start calls while there is something to ask and room for one more."""
        while self._queue and len(self._calls) < CALLS_PER_SERVER * max(1, self._servers()):
            batch = self._take()
            if not batch:
                return
            call = asyncio.get_running_loop().create_task(self._run(batch))
            self._calls.add(call)
            call.add_done_callback(self._ended)

    def _take(self) -> list[Item]:
        """Take items from the queue up to the batch size; those whose caller has left are dropped."""
        batch: list[Item] = []
        count = 0
        while self._queue:
            images = len(self._queue[0].images)
            if batch and count + images > self._batch_size:
                break
            item = self._queue.popleft()
            self._queued_images -= images
            if not item.answer.done():
                batch.append(item)
                count += images
        return batch

    async def _run(self, batch: list[Item]) -> None:
        images = batch[0].images if len(batch) == 1 else np.concatenate([item.images for item in batch])
        seconds = max(item.deadline for item in batch) - time.monotonic()
        try:
            scores, version = await self._ask(images, max(0.001, seconds))
        except Exception as error:  # noqa: BLE001 - every caller is told, each by its own future
            await self._tell(batch, error)
            return
        start = 0
        for item in batch:
            end = start + len(item.images)
            if not item.answer.done():
                item.answer.set_result((scores[start:end], version))
            start = end

    async def _tell(self, batch: list[Item], error: Exception) -> None:
        """Pass an error on; where several requests were joined, each is asked for alone, so that none fails another."""
        waiting = [item for item in batch if not item.answer.done()]
        if len(waiting) == 1 or isinstance(error, UnavailableError | TooSlowError):
            for item in waiting:
                item.answer.set_exception(error)
            return
        for item in waiting:
            await self._run([item])

    def _ended(self, call: asyncio.Task[None]) -> None:
        self._calls.discard(call)
        self._send()
