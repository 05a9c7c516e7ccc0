"""Turns on threads: who leaves before its turn is passed by, whichever of both is first."""

from __future__ import annotations

import asyncio
import functools
import gc
import threading
import weakref
from typing import Any

import numpy as np
import pytest

from model_server.grpc_calls import Turns
from model_server.grpc_methods import _told
from serving_codec.status import Code, ServingError


@pytest.fixture
def turns() -> Turns:
    return Turns(1, "test")


async def _begun(turns: Turns, until: threading.Event) -> asyncio.Task[bytes]:
    """Take the only thread until an event is set; return when it is taken."""
    taken = threading.Event()

    def work() -> bytes:
        taken.set()
        until.wait(30)
        return b"first"

    first = asyncio.create_task(turns.run(work, lambda: None))
    await asyncio.to_thread(taken.wait, 30)
    return first


def test_each_runs_in_its_turn(turns: Turns) -> None:
    async def ask() -> list[bytes]:
        until = threading.Event()
        first = await _begun(turns, until)
        others = [asyncio.create_task(turns.run(functools.partial(bytes, [n]), lambda: None)) for n in range(3)]
        until.set()
        return await asyncio.gather(first, *others)

    assert asyncio.run(ask()) == [b"first", b"\0", b"\1", b"\2"]


def test_who_leaves_as_its_turn_comes_is_cancelled_and_passes_it_on(turns: Turns) -> None:
    async def leave() -> tuple[list[bytes | BaseException], list[str], bytes]:
        until, ran, done = threading.Event(), [], []
        first = await _begun(turns, until)

        def work(name: bytes) -> bytes:
            ran.append(name.decode())
            return name

        leaving = [asyncio.create_task(turns.run(lambda: work(b"left"), lambda: done.append(1))) for _ in range(3)]
        stays = asyncio.create_task(turns.run(lambda: work(b"stays"), lambda: None))
        await asyncio.sleep(0)
        for task in leaving:
            task.cancel()
        # The thread is free, and its turn passed on, before those who left have been told.
        turns._pass_on()
        ends = await asyncio.gather(*leaving, return_exceptions=True)
        until.set()
        assert await first == b"first"
        assert done == [1, 1, 1]
        return ends, ran, await stays

    ends, ran, stayed = asyncio.run(leave())
    assert [type(end) for end in ends] == [asyncio.CancelledError] * 3
    assert ran == ["stays"]
    assert stayed == b"stays"


def test_who_has_left_is_kept_nowhere(turns: Turns) -> None:
    async def leave() -> int:
        until = threading.Event()
        first = await _begun(turns, until)
        for _ in range(100):
            task = asyncio.create_task(turns.run(lambda: b"", lambda: None))
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        kept = len(turns._waiting)
        until.set()
        await first
        return kept

    assert asyncio.run(leave()) == 0


def test_what_a_failed_call_held_is_let_go_at_once(turns: Turns) -> None:
    held: list[weakref.ref[Any]] = []

    def work() -> bytes:
        tensor = np.zeros(10)
        held.append(weakref.ref(tensor))
        raise ServingError(Code.INTERNAL, f"{tensor.size}")

    async def ask() -> None:
        try:
            await turns.run(work, lambda: None)
        except ServingError as error:
            assert _told(error) is error

    gc.disable()
    try:
        asyncio.run(ask())
        assert held[0]() is None
    finally:
        gc.enable()
