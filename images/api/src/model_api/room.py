"""Room for the model's answers: the bytes of all of them together, from their arrival until they are written.

What a model answers to a small request may be large, and many may come at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import weakref
from collections import deque
from typing import TYPE_CHECKING, Any

import numpy as np

from serving_codec.status import Code, ServingError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


class NoRoomError(ServingError):
    """An answer that would fit, but for what others take."""


class NeverFitsError(ServingError):
    """An answer that is larger than all the room there is."""


class Expected:
    """What a call will answer, about, for the length of a block. A generator's takes 3 us more, at each call."""

    __slots__ = ("_room", "_seconds", "_size")

    def __init__(self, room: Room, size: int, seconds: float | None) -> None:
        self._room = room
        self._size = size
        self._seconds = seconds

    async def __aenter__(self) -> None:
        if self._size:
            await self._room.begin(self._size, self._seconds)

    async def __aexit__(self, *_: object) -> None:
        if self._size:
            self._room.end(self._size)


class Room:
    """Counts bytes on one event loop; arrays are counted until they end, wherever they do."""

    def __init__(self, most_bytes: int) -> None:
        # For the life of the process.
        self.most_bytes = most_bytes
        # As answers come and go: what is held of them, what calls under way will take, and calls that wait for room.
        self.held_bytes = 0
        self._expected_bytes = 0
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    def expecting(self, size: int, seconds: float | None = None) -> Expected:
        """Wait in turn until there is room for an answer of about so many bytes, and keep that for the block.

        One that needs all of it waits until nothing else is held; of which nothing is known (0), it waits for nobody.
        Raise ServingError (DEADLINE_EXCEEDED) where its turn does not come within the time.
        """
        return Expected(self, min(size, self.most_bytes), seconds)

    def take(self, size: int, whole: int) -> None:
        """Hold so many bytes more of an answer that has `whole` by now.

        Raise NeverFitsError (OUT_OF_RANGE), or NoRoomError (RESOURCE_EXHAUSTED) where it is others that leave no room.
        """
        check_fits(whole, self.most_bytes)
        if self.held_bytes + size > self.most_bytes:
            raise NoRoomError(
                Code.RESOURCE_EXHAUSTED,
                f"answers of {self.held_bytes} bytes are being written, {size} more are beyond {self.most_bytes} "
                "(max_held_answer_bytes)",
            )
        self.held_bytes += size

    def give(self, size: int) -> None:
        """Hold so many bytes no longer."""
        self.held_bytes -= size
        self._pass_on()

    def keep(self, arrays: Sequence[tuple[NDArray[Any], int]]) -> None:
        """Hold so many bytes for each array until nobody has it, or a view of it, any more; raise as `take` does."""
        whole = sum(size for _, size in arrays)
        self.take(whole, whole)
        for array, size in arrays:
            weakref.finalize(_owner(array), self._gone, asyncio.get_running_loop(), size).atexit = False

    def _gone(self, loop: asyncio.AbstractEventLoop, size: int) -> None:
        # On any thread; once the loop is closed nobody counts any more.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(self.give, size)

    # ---- turns

    def _has(self, size: int) -> bool:
        taken = self.held_bytes + self._expected_bytes
        return not taken or taken + size <= self.most_bytes

    async def begin(self, size: int, seconds: float | None) -> None:
        """Wait until there is room for so many bytes, and expect them."""
        if not self._waiting and self._has(size):
            self._expected_bytes += size
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((size, turn))
        try:
            async with asyncio.timeout(seconds):
                await turn
        except (asyncio.CancelledError, TimeoutError) as error:
            # The turn may have come at the same time; and others may have waited for it alone.
            if not turn.cancelled():
                self._expected_bytes -= size
            self._pass_on()
            if isinstance(error, TimeoutError):
                raise ServingError(Code.DEADLINE_EXCEEDED, "there was no room for the answer in time") from None
            raise

    def end(self, size: int) -> None:
        """Expect so many bytes no longer."""
        self._expected_bytes -= size
        self._pass_on()

    def _pass_on(self) -> None:
        while self._waiting:
            size, turn = self._waiting[0]
            if not turn.done():
                if not self._has(size):
                    return
                self._expected_bytes += size
                turn.set_result(None)
            self._waiting.popleft()


def check_fits(whole: int, most_bytes: int) -> None:
    """Raise NeverFitsError (OUT_OF_RANGE) for an answer that is larger than all the room."""
    if whole > most_bytes:
        raise NeverFitsError(
            Code.OUT_OF_RANGE,
            f"the answer is larger than {most_bytes} bytes (max_held_answer_bytes): ask about less at once",
        )


def _owner(array: NDArray[Any]) -> NDArray[Any]:
    """Return the array that all views of an array keep alive."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array
