"""Threads for what would hold the event loop, with one budget of bytes for all of it."""

from __future__ import annotations

import asyncio
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

Result = TypeVar("Result")


class Aside:
    """Runs functions on a few threads; those that need more bytes than are left wait for their turn, in order."""

    def __init__(self, threads: int, budget_bytes: int, name: str = "aside") -> None:
        # For the life of the process.
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._budget_bytes = budget_bytes
        # As work comes and goes.
        self._left_bytes = budget_bytes
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    async def run(self, size: int, function: Callable[..., Result], *arguments: Any) -> Result:
        """Return what a function returns that takes about `size` bytes while it runs; a caller may leave.

        What needs more than the whole budget runs alone.
        """
        size = min(size, self._budget_bytes)
        await self._take(size)
        running = self._executor.submit(function, *arguments)
        loop = asyncio.get_running_loop()
        # The bytes are taken until the thread is done with them, though its caller may have left.
        running.add_done_callback(lambda _: loop.call_soon_threadsafe(self._give, size))
        try:
            return await asyncio.wrap_future(running)
        finally:
            # An error has this frame in its traceback: it would keep itself, and all it was about, for the collector.
            del running

    async def _take(self, size: int) -> None:
        if not self._waiting and size <= self._left_bytes:
            self._left_bytes -= size
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((size, turn))
        try:
            await turn
        except asyncio.CancelledError:
            # Its turn may have come at the same time; and others may have waited for it alone.
            self._give(0 if turn.cancelled() else size)
            raise

    def _give(self, size: int) -> None:
        self._left_bytes += size
        while self._waiting:
            wanted, turn = self._waiting[0]
            if not turn.done():
                if wanted > self._left_bytes:
                    return
                self._left_bytes -= wanted
                turn.set_result(None)
            self._waiting.popleft()
