"""Memory is given back after a rush, also where the rush is still under way when that is first tried."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from serving_http import front, memory
from tests.unit.http.test_front import on_front

if TYPE_CHECKING:
    from tests.unit.http.running import Running

MIB = 1 << 20


class Process:
    """A process's memory: what is in use, and what is free and not given back."""

    def __init__(self) -> None:
        self.used, self.free, self.tries = 100 * MIB, 0, 0
        self.failures = 0

    def resident_bytes(self) -> int:
        """Return both, or fail as often as it is to."""
        if self.failures:
            self.failures -= 1
            raise RuntimeError("can't start new thread")
        return self.used + self.free

    def give_back(self) -> None:
        """Let go of what is free."""
        self.tries += 1
        self.free = 0


@pytest.fixture
def process(monkeypatch: pytest.MonkeyPatch) -> Process:
    """Return a process that a front looks at every so often."""
    made = Process()
    monkeypatch.setattr(memory, "resident_bytes", made.resident_bytes)
    monkeypatch.setattr(memory, "give_back", made.give_back)
    for name, seconds in (("TICK_SECONDS", 0.01), ("GIVE_BACK_SECONDS", 0.02), ("GIVE_BACK_MOST_SECONDS", 0.05)):
        monkeypatch.setattr(front, name, seconds)
    return made


def test_memory_is_given_back_once_a_rush_is_over(process: Process) -> None:
    async def test(run: Running) -> None:
        process.used = 300 * MIB
        await run.until(lambda: process.tries >= 2)
        # What was in use is free only now.
        process.used, process.free = 100 * MIB, 200 * MIB
        await run.until(lambda: process.resident_bytes() == 100 * MIB)

    on_front(test)


def test_what_a_process_needs_is_not_tried_for_for_ever(process: Process) -> None:
    async def test(run: Running) -> None:
        process.used = 300 * MIB
        await run.until(lambda: run.front._resident_bytes == 300 * MIB)
        assert process.tries == front.GIVE_BACK_TRIES

    on_front(test)


def test_a_look_that_fails_is_not_the_last(process: Process) -> None:
    async def test(run: Running) -> None:
        process.failures = 2
        await run.until(lambda: not process.failures)
        process.used = 300 * MIB
        await run.until(lambda: process.tries >= 1)

    on_front(test)
