"""Room for answers: what is held, what is expected, and whose turn it is."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import numpy as np
import pytest

from model_api.room import NeverFitsError, NoRoomError, Room

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


async def turns() -> None:
    """Let everything that is due happen."""
    for _ in range(5):
        await asyncio.sleep(0)


@contextlib.asynccontextmanager
async def waiting(room: Room, *sizes: int) -> AsyncIterator[list[asyncio.Task[None]]]:
    """Yield tasks that expect so many bytes, in this order, and end as soon as they had their turn."""

    async def expect(size: int) -> None:
        async with room.expecting(size):
            pass

    tasks = [asyncio.create_task(expect(size)) for size in sizes]
    await turns()
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()


def test_more_than_there_is_never_fits_and_more_than_is_left_not_now() -> None:
    room = Room(100)
    with pytest.raises(NeverFitsError, match="ask about less"):
        room.take(60, whole=120)
    room.take(60, whole=60)
    with pytest.raises(NoRoomError, match="answers of 60 bytes are being written, 50 more are beyond 100"):
        room.take(50, whole=50)
    room.give(60)
    room.take(100, whole=100)


def test_an_array_is_held_as_long_as_anybody_has_a_view_of_it() -> None:
    async def main() -> None:
        room = Room(1000)
        array = np.frombuffer(bytes(800)).reshape(10, 10)
        room.keep([(array, array.nbytes)])
        view = array[3:4]
        del array
        await turns()
        assert room.held_bytes == 800
        del view
        await turns()
        assert room.held_bytes == 0

    asyncio.run(main())


def test_of_arrays_that_do_not_fit_together_none_is_held() -> None:
    async def main() -> None:
        room = Room(100)
        room.take(10, whole=10)
        arrays = [np.zeros(50, np.uint8), np.zeros(50, np.uint8)]
        with pytest.raises(NoRoomError):
            room.keep([(array, array.nbytes) for array in arrays])
        assert room.held_bytes == 10

    asyncio.run(main())


def test_calls_wait_in_order_and_a_small_one_does_not_pass_a_large_one_by() -> None:
    async def main() -> None:
        room = Room(100)
        room.take(60, whole=60)
        async with waiting(room, 80, 10) as (large, small):
            assert not large.done()
            assert not small.done()
            room.give(60)
            await turns()
            assert large.done()
            assert small.done()

    asyncio.run(main())


def test_one_that_needs_all_waits_until_nothing_is_held_or_expected() -> None:
    async def main() -> None:
        room = Room(100)
        async with room.expecting(1), waiting(room, 1000) as (whole,):
            assert not whole.done()
        async with waiting(room, 1000) as (whole,):
            assert whole.done()

    asyncio.run(main())


@pytest.mark.parametrize("has_turn", [False, True])
def test_who_leaves_while_waiting_leaves_no_trace(*, has_turn: bool) -> None:
    async def main() -> None:
        room = Room(100)
        room.take(100, whole=100)
        async with waiting(room, 90, 50) as (first, second):
            if has_turn:
                room.give(100)
            first.cancel()
            await turns()
            if not has_turn:
                room.give(100)
                await turns()
            assert second.done()
        async with waiting(room, 100) as (whole,):
            assert whole.done()

    asyncio.run(main())


def test_a_call_of_unknown_size_waits_for_nobody() -> None:
    async def main() -> None:
        room = Room(100)
        room.take(100, whole=100)
        async with waiting(room, 10, 0) as (_, unknown):
            assert unknown.done()

    asyncio.run(main())
