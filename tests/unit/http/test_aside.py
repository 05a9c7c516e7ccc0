"""What is computed on threads, within one budget of bytes."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import threading
import weakref
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from serving_http.aside import Aside

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

TIMEOUT_SECONDS = 10


class Held:
    """An aside of ten bytes, and work that goes on until it is let go."""

    def __init__(self) -> None:
        self.aside = Aside(4, 10)
        self.go_on = threading.Event()
        self.began: list[str] = []

    def work(self, name: str) -> str:
        """Wait, and return the name."""
        self.began.append(name)
        assert self.go_on.wait(TIMEOUT_SECONDS)
        return name

    def ask(self, size: int, name: str) -> asyncio.Task[str]:
        """Ask for work of so many bytes."""
        return asyncio.create_task(self.aside.run(size, self.work, name))

    async def until(self, *names: str) -> None:
        """Return once just these have begun."""
        async with asyncio.timeout(TIMEOUT_SECONDS):
            while self.began != list(names):  # noqa: ASYNC110 - a thread tells nobody
                await asyncio.sleep(0.001)


def with_aside(test: Callable[[Held], Awaitable[None]]) -> None:
    """Run a test; what it left running ends."""

    async def main() -> None:
        held = Held()
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                await test(held)
        finally:
            held.go_on.set()

    asyncio.run(main())


def test_what_does_not_fit_waits_for_its_turn_in_order() -> None:
    async def test(held: Held) -> None:
        tasks = [held.ask(6, "first"), held.ask(8, "second"), held.ask(1, "third")]
        await held.until("first")
        held.go_on.set()
        assert await asyncio.gather(*tasks) == ["first", "second", "third"]
        assert held.began[:2] == ["first", "second"]

    with_aside(test)


def test_who_leaves_the_line_keeps_nobody_behind_it() -> None:
    async def test(held: Held) -> None:
        held.ask(6, "first")
        large, small = held.ask(8, "large"), held.ask(2, "small")
        await held.until("first")
        large.cancel()
        await held.until("first", "small")
        held.go_on.set()
        assert await small == "small"

    with_aside(test)


def test_bytes_are_taken_until_the_work_is_done_though_its_caller_has_left() -> None:
    async def test(held: Held) -> None:
        left, waiting = held.ask(10, "left"), held.ask(10, "waiting")
        await held.until("left")
        left.cancel()
        with pytest.raises(asyncio.CancelledError):
            await left
        assert held.began == ["left"]
        held.go_on.set()
        assert await waiting == "waiting"

    with_aside(test)


def test_what_needs_more_than_there_is_runs_alone() -> None:
    async def test(held: Held) -> None:
        large, small = held.ask(1000, "large"), held.ask(1, "small")
        await held.until("large")
        held.go_on.set()
        assert [await large, await small] == ["large", "small"]

    with_aside(test)


def test_what_failed_keeps_nothing_of_what_it_was_given() -> None:
    def fail(_given: np.ndarray[Any, Any]) -> None:
        raise ValueError("no")

    async def test(held: Held) -> None:
        given = np.zeros(10)
        is_there = weakref.ref(given)
        gc.disable()
        try:
            with contextlib.suppress(ValueError):
                await held.aside.run(1, fail, given)
            del given
            async with asyncio.timeout(TIMEOUT_SECONDS):
                # The thread has told before it is through.
                while is_there() is not None:  # noqa: ASYNC110 - and tells nobody of that
                    await asyncio.sleep(0.001)
        finally:
            gc.enable()

    with_aside(test)
