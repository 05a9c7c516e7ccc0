"""Batching: joined, bounded, and nobody pays for another."""

from __future__ import annotations

import asyncio
import gc
import weakref
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from model_api import batcher as module
from model_api.batcher import LONG_CALL_SECONDS, MAXIMUM_EXTRA_CALLS, Batcher
from model_api.errors import InputError, ModelError, TooSlowError, UnavailableError
from model_description.signature import Signature, TensorSpec
from serving_codec.status import Code, ServingError

if TYPE_CHECKING:
    from collections.abc import Callable

    from model_api.batcher import Tensors

OPEN = TensorSpec("x", "float64", (None, None))
SIGNATURE = Signature("serving_default", {"x": OPEN}, {"y": OPEN})


@pytest.fixture(autouse=True)
def calls_are_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have every call count as a long one, so that two are under way at once; see the last tests for short ones."""
    monkeypatch.setattr(module, "LONG_CALL_SECONDS", 0.0)


class Model:
    """A model that answers with its input, held back until told, and counts its calls."""

    def __init__(self) -> None:
        self.calls: list[int] = []
        self.go = asyncio.Event()

    async def ask(self, signature: Signature, tensors: Tensors, seconds: float) -> tuple[Tensors, int, int]:
        """Return the rows as scores; refuse a batch with a negative number."""
        assert signature is SIGNATURE
        assert seconds > 0
        rows = tensors["x"]
        self.calls.append(len(rows))
        await self.go.wait()
        if (rows < 0).any():
            raise InputError("negative")
        return {"y": rows}, 7, rows.nbytes


def most(rows: int) -> Callable[[Signature], int]:
    """Return what says that so many rows may be asked about at once."""
    return lambda _: rows


def row(value: float, width: int = 1) -> Tensors:
    """Return one row of equal numbers."""
    return {"x": np.full((1, width), value)}


async def submitted(batcher: Batcher, *items: float, timeout_seconds: float = 5) -> list[asyncio.Task[Any]]:
    """Return tasks that have put their rows into the queue."""
    tasks = [asyncio.create_task(batcher.submit(SIGNATURE, row(item), 1, timeout_seconds)) for item in items]
    await asyncio.sleep(0)
    return tasks


def test_what_waits_goes_out_together_and_everyone_gets_their_own() -> None:
    async def story() -> None:
        model = Model()
        batcher = Batcher(model.ask, lambda: 1, most(4), queue_size=100)
        tasks = await submitted(batcher, *range(10))
        model.go.set()
        answers = await asyncio.gather(*tasks)
        assert [float(share.outputs["y"][0, 0]) for share in answers] == list(range(10))
        assert {share.version for share in answers} == {7}
        # Two calls under way for a server; what came meanwhile was joined.
        assert model.calls[:2] == [1, 1]
        assert max(model.calls) == 4
        assert sum(model.calls) == 10

    asyncio.run(story())


def test_requests_of_several_rows_get_their_own_rows() -> None:
    async def story() -> None:
        model = Model()
        batcher = Batcher(model.ask, lambda: 1, most(16), queue_size=100)
        first = await submitted(batcher, 0, 0)
        requests = [{"x": np.arange(10.0 * i, 10.0 * i + i)[:, np.newaxis]} for i in range(1, 5)]
        tasks = [asyncio.create_task(batcher.submit(SIGNATURE, rows, len(rows["x"]), 5)) for rows in requests]
        await asyncio.sleep(0)
        model.go.set()
        for rows, share in zip(requests, await asyncio.gather(*tasks), strict=True):
            np.testing.assert_array_equal(share.outputs["y"], rows["x"])
        assert model.calls == [1, 1, 10]
        await asyncio.gather(*first)

    asyncio.run(story())


def test_full_queue_is_told_at_once() -> None:
    async def story() -> None:
        model = Model()
        batcher = Batcher(model.ask, lambda: 1, most(1), queue_size=2)
        tasks = await submitted(batcher, 1, 2, 3, 4)
        with pytest.raises(UnavailableError, match="2 rows are waiting"):
            await batcher.submit(SIGNATURE, row(5), 1, 5)
        model.go.set()
        assert len(await asyncio.gather(*tasks)) == 4

    asyncio.run(story())


def test_one_bad_request_does_not_fail_its_batch() -> None:
    async def story() -> None:
        model = Model()
        batcher = Batcher(model.ask, lambda: 1, most(8), queue_size=100)
        tasks = await submitted(batcher, 0, 0, 1, -1, 2)
        model.go.set()
        answers = await asyncio.gather(*tasks, return_exceptions=True)
        assert isinstance(answers[3], InputError)
        assert [float(answers[i].outputs["y"][0, 0]) for i in (2, 4)] == [1, 2]  # type: ignore[union-attr]

    asyncio.run(story())


def test_slow_model_is_told_in_time() -> None:
    async def story() -> None:
        batcher = Batcher(Model().ask, lambda: 1, most(1), queue_size=10)
        with pytest.raises(TooSlowError, match=r"within 0\.05 s"):
            await batcher.submit(SIGNATURE, row(1), 1, 0.05)

    asyncio.run(story())


def test_caller_that_left_is_not_asked_for() -> None:
    async def story() -> None:
        model = Model()
        batcher = Batcher(model.ask, lambda: 1, most(8), queue_size=100)
        tasks = await submitted(batcher, 1, 2, 3, 4)
        tasks[3].cancel()
        await asyncio.sleep(0)
        model.go.set()
        await asyncio.gather(*tasks[:3])
        assert sum(model.calls) == 3

    asyncio.run(story())


def test_rows_of_other_shapes_travel_apart_and_take_turns() -> None:
    async def story() -> None:
        model = Model()
        batcher = Batcher(model.ask, lambda: 1, most(8), queue_size=100)
        first = await submitted(batcher, 1, 2)
        wide = [asyncio.create_task(batcher.submit(SIGNATURE, row(9, width=3), 1, 5)) for _ in range(4)]
        narrow = await submitted(batcher, 5, 6, 7)
        model.go.set()
        answers = await asyncio.gather(*first, *wide, *narrow)
        assert [share.outputs["y"].shape for share in answers] == [(1, 1)] * 2 + [(1, 3)] * 4 + [(1, 1)] * 3
        assert model.calls == [1, 1, 4, 3]

    asyncio.run(story())


def test_queue_is_bounded_in_bytes() -> None:
    async def story() -> None:
        model = Model()
        batcher = Batcher(model.ask, lambda: 1, most(1), queue_size=100, queue_bytes=2000)
        wide = [asyncio.create_task(batcher.submit(SIGNATURE, row(1, width=100), 1, 5)) for _ in range(4)]
        await asyncio.sleep(0)
        with pytest.raises(UnavailableError, match="1600 bytes of rows are waiting"):
            await batcher.submit(SIGNATURE, row(1, width=100), 1, 5)
        model.go.set()
        await asyncio.gather(*wide)

    asyncio.run(story())


def test_an_answer_is_let_go_with_its_caller() -> None:
    async def story() -> None:
        model = Model()
        model.go.set()
        batcher = Batcher(model.ask, lambda: 1, most(4), queue_size=100)
        share = await batcher.submit(SIGNATURE, row(1), 1, timeout_seconds=5)
        whole = weakref.ref(share.whole.outputs["y"])
        del share
        for _ in range(5):
            await asyncio.sleep(0)
        assert whole() is None

    asyncio.run(story())


def test_an_answer_that_is_refused_is_let_go_before_its_callers_are_told_and_asked_about_again() -> None:
    async def story() -> None:
        answered: list[weakref.ref[Any]] = []

        async def ask(_signature: Signature, tensors: Tensors, _seconds: float) -> tuple[Tensors, int, int]:
            assert not any(one() is not None for one in answered)
            outputs = {"y": np.zeros(len(tensors["x"]) + 1)}
            answered.append(weakref.ref(outputs["y"]))
            raise ModelError("of another shape") from ServingError(Code.INTERNAL, "no")

        batcher = Batcher(ask, lambda: 1, most(4), queue_size=100)
        gc.disable()
        try:
            for _ in range(2):
                tasks = await submitted(batcher, 1, 2, 3)
                assert all(isinstance(one, ModelError) for one in await asyncio.gather(*tasks, return_exceptions=True))
                assert not any(one() is not None for one in answered)
        finally:
            gc.enable()

    asyncio.run(story())


@pytest.mark.parametrize("bad", [1, 3])
def test_bad_requests_among_many_cost_few_calls_side_by_side(bad: int) -> None:
    async def story() -> None:
        model = Model()
        batcher = Batcher(model.ask, lambda: 1, most(64), queue_size=1000)
        tasks = await submitted(batcher, 0, 0, *(-1.0 if i % 20 == 7 and i < 20 * bad else i for i in range(64)))
        model.go.set()
        answers = await asyncio.gather(*tasks, return_exceptions=True)
        assert sum(isinstance(answer, InputError) for answer in answers) == bad
        assert len(model.calls) - 3 <= 12 * bad

    asyncio.run(story())


def test_model_that_always_fails_is_asked_a_bounded_number_of_times() -> None:
    async def story() -> None:
        model = Model()
        batcher = Batcher(model.ask, lambda: 1, most(64), queue_size=1000)
        tasks = await submitted(batcher, 0, 0, *[-1] * 64)
        model.go.set()
        answers = await asyncio.gather(*tasks[2:], return_exceptions=True)
        assert all(isinstance(answer, InputError) for answer in answers)
        assert len(model.calls) <= 3 + MAXIMUM_EXTRA_CALLS

    asyncio.run(story())


def test_call_nobody_waits_for_is_given_up() -> None:
    async def story() -> None:
        model = Model()
        batcher = Batcher(model.ask, lambda: 1, most(8), queue_size=100)
        left = await submitted(batcher, 1, 2, 3)
        for task in left:
            task.cancel()
        await asyncio.wait(left)
        model.go.set()
        assert float((await batcher.submit(SIGNATURE, row(4), 1, 5)).outputs["y"][0, 0]) == 4
        assert model.calls == [1, 1, 1]

    asyncio.run(story())


def test_each_is_told_when_its_own_time_is_over() -> None:
    async def story() -> None:
        model = Model()
        batcher = Batcher(model.ask, lambda: 1, most(8), queue_size=100)
        long = await submitted(batcher, 1, 2, 3)
        for seconds in (0.2, 0.05):
            with pytest.raises(TooSlowError, match=f"within {seconds} s"):
                await batcher.submit(SIGNATURE, row(4), 1, seconds)
        model.go.set()
        assert len(await asyncio.gather(*long)) == 3
        assert sum(model.calls) == 3

    asyncio.run(story())


def test_who_would_wait_in_vain_is_refused_at_once() -> None:
    async def story() -> None:
        model = Model()
        batcher = Batcher(model.ask, lambda: 1, most(1), queue_size=100)
        # Two are under way, the others wait for longer than half of their time.
        waiting = await submitted(batcher, *range(4), timeout_seconds=0.4)
        await asyncio.sleep(0.25)
        with pytest.raises(UnavailableError, match=r"rows have been waiting for 0\.\d s already"):
            await batcher.submit(SIGNATURE, row(5), 1, 0.4)
        await asyncio.gather(*waiting, return_exceptions=True)
        # Nobody waits any more.
        model.go.set()
        share = await batcher.submit(SIGNATURE, row(6), 1, 5)
        assert float(share.outputs["y"][0, 0]) == 6

    asyncio.run(story())


def test_one_call_is_under_way_while_it_is_short_and_a_second_once_it_is_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LONG_CALL_SECONDS", LONG_CALL_SECONDS)

    async def story() -> None:
        model = Model()
        batcher = Batcher(model.ask, lambda: 1, most(4), queue_size=100)
        loop = asyncio.get_running_loop()
        began = loop.time()
        tasks = await submitted(batcher, 0, 1, 2)
        while len(model.calls) < 2:  # noqa: ASYNC110 - the model tells nobody
            await asyncio.sleep(0)
        assert loop.time() - began >= LONG_CALL_SECONDS
        assert model.calls == [1, 2]
        model.go.set()
        assert len(await asyncio.gather(*tasks)) == 3

    asyncio.run(story())


def test_a_whole_batch_waits_for_no_long_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LONG_CALL_SECONDS", 60.0)

    async def story() -> None:
        model = Model()
        batcher = Batcher(model.ask, lambda: 1, most(4), queue_size=100)
        tasks = await submitted(batcher, *range(5))
        await asyncio.sleep(0)
        assert model.calls == [1, 4]
        model.go.set()
        assert len(await asyncio.gather(*tasks)) == 5

    asyncio.run(story())


def test_what_came_during_a_short_call_goes_out_together_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LONG_CALL_SECONDS", 60.0)

    async def story() -> None:
        model = Model()
        batcher = Batcher(model.ask, lambda: 1, most(4), queue_size=100)
        tasks = await submitted(batcher, *range(4))
        model.go.set()
        assert len(await asyncio.gather(*tasks)) == 4
        assert model.calls == [1, 3]

    asyncio.run(story())
