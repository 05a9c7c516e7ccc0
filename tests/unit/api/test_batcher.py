"""Batching: joined, bounded, and nobody pays for another."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from model_api.batcher import Batcher
from model_api.errors import InputError, TooSlowError, UnavailableError

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Model:
    """A model that answers with its input, held back until told, and counts its calls."""

    def __init__(self) -> None:
        self.calls: list[int] = []
        self.go = asyncio.Event()

    async def ask(self, images: NDArray[Any], seconds: float) -> tuple[NDArray[Any], int]:
        """Return the images as scores; refuse a batch with a negative number."""
        assert seconds > 0
        self.calls.append(len(images))
        await self.go.wait()
        if (images < 0).any():
            raise InputError("negative")
        return images, 7


def image(value: float) -> NDArray[Any]:
    """Return one image of one number."""
    return np.array([[value]])


async def submitted(batcher: Batcher, *items: float, timeout_seconds: float = 5) -> list[asyncio.Task[Any]]:
    """Return tasks that have put their images into the queue."""
    tasks = [asyncio.create_task(batcher.submit(image(item), timeout_seconds)) for item in items]
    await asyncio.sleep(0)
    return tasks


def test_what_waits_goes_out_together_and_everyone_gets_their_own() -> None:
    async def story() -> None:
        model = Model()
        batcher = Batcher(model.ask, lambda: 1, batch_size=4, queue_size=100)
        tasks = await submitted(batcher, *range(10))
        model.go.set()
        answers = await asyncio.gather(*tasks)
        assert [float(scores[0, 0]) for scores, _ in answers] == list(range(10))
        assert {version for _, version in answers} == {7}
        # Two calls under way for a server; what came meanwhile was joined.
        assert model.calls[:2] == [1, 1]
        assert max(model.calls) == 4
        assert sum(model.calls) == 10

    asyncio.run(story())


def test_full_queue_is_told_at_once() -> None:
    async def story() -> None:
        model = Model()
        batcher = Batcher(model.ask, lambda: 1, batch_size=1, queue_size=2)
        tasks = await submitted(batcher, 1, 2, 3, 4)
        with pytest.raises(UnavailableError, match="2 images are waiting"):
            await batcher.submit(image(5), 5)
        model.go.set()
        assert len(await asyncio.gather(*tasks)) == 4

    asyncio.run(story())


def test_one_bad_request_does_not_fail_its_batch() -> None:
    async def story() -> None:
        model = Model()
        batcher = Batcher(model.ask, lambda: 1, batch_size=8, queue_size=100)
        tasks = await submitted(batcher, 0, 0, 1, -1, 2)
        model.go.set()
        answers = await asyncio.gather(*tasks, return_exceptions=True)
        assert isinstance(answers[3], InputError)
        assert [float(answers[i][0][0, 0]) for i in (2, 4)] == [1, 2]  # type: ignore[index]

    asyncio.run(story())


def test_slow_model_is_told_in_time() -> None:
    async def story() -> None:
        batcher = Batcher(Model().ask, lambda: 1, batch_size=1, queue_size=10)
        with pytest.raises(TooSlowError, match=r"within 0\.05 s"):
            await batcher.submit(image(1), 0.05)

    asyncio.run(story())


def test_caller_that_left_is_not_asked_for() -> None:
    async def story() -> None:
        model = Model()
        batcher = Batcher(model.ask, lambda: 1, batch_size=8, queue_size=100)
        tasks = await submitted(batcher, 1, 2, 3, 4)
        tasks[3].cancel()
        await asyncio.sleep(0)
        model.go.set()
        await asyncio.gather(*tasks[:3])
        assert sum(model.calls) == 3

    asyncio.run(story())
