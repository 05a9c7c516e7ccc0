"""Somebody who asks while others attack: what it notices, and what the attacked process takes."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Self

from tests.processes import PEAK, forget_peak, memory_mib

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    # Asks once; returns what went wrong, "" for nothing.
    Ask = Callable[[], str]

PROBE_SECONDS = 0.02


class Watch:
    """What others notice while the block runs: the longest time of a good request, and the process's memory."""

    def __init__(self, pid: int, asking: AbstractContextManager[Ask]) -> None:
        """Ask what `asking` yields, which is kept while the block runs."""
        self._pid = pid
        self._asking = asking
        self._stop = threading.Event()
        self.slowest_seconds = 0.0
        self.failures: list[str] = []
        self.before_mib = 0.0

    def __enter__(self) -> Self:
        """Begin to ask, every so often, once the first answer has come."""
        ask = self._asking.__enter__()
        assert not (problem := ask()), problem
        forget_peak(self._pid)
        self.before_mib = memory_mib(self._pid)
        self._thread = threading.Thread(target=self._keep_asking, args=(ask,))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Ask no more."""
        self._stop.set()
        self._thread.join()
        self._asking.__exit__(None, None, None)

    def _keep_asking(self, ask: Ask) -> None:
        while not self._stop.wait(PROBE_SECONDS):
            start = time.monotonic()
            if problem := ask():
                self.failures.append(problem)
                return
            self.slowest_seconds = max(self.slowest_seconds, time.monotonic() - start)

    @property
    def grown_mib(self) -> float:
        """Return by how much the memory was larger at its peak."""
        return memory_mib(self._pid, PEAK) - self.before_mib
