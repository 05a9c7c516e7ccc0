"""Turns: one at a time, told to who waits, and free when their holder is killed."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

from ci.turns import turn

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HOLDER = """
import sys, pathlib
from ci.turns import turn
with turn(pathlib.Path(sys.argv[1])):
    print("within", flush=True)
    sys.stdin.read()
"""


def test_who_waits_is_told_and_gets_the_turn_of_a_process_that_is_killed(tmp_path: Path) -> None:
    lock = tmp_path / "new" / "cluster.lock"
    events: list[str] = []
    is_waiting = threading.Event()

    @contextlib.contextmanager
    def told() -> Iterator[None]:
        is_waiting.set()
        events.append("waits")
        yield
        events.append("waits no more")

    def take() -> None:
        with turn(lock, told()):
            events.append("within")

    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, lock], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"within\n"
        waiter = threading.Thread(target=take)
        waiter.start()
        assert is_waiting.wait(timeout=30)
        assert events == ["waits"]
        holder.kill()
        waiter.join(timeout=30)
    assert events == ["waits", "waits no more", "within"]


def test_free_turn_is_taken_without_a_word(tmp_path: Path) -> None:
    told: list[str] = []
    for _ in range(2):
        waiting = contextlib.ExitStack()
        waiting.callback(told.append, "waited")
        with turn(tmp_path / "lock", waiting):
            assert (tmp_path / "lock").exists()
    assert told == []
