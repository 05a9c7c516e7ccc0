"""Pods that go while something changes: how long each had, and how long it took."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, NamedTuple, Self

from tests.e2e.waiting import POLL_SECONDS, wait_for

if TYPE_CHECKING:
    from types import TracebackType

    from tests.e2e.release import Release

# Of its grace period a pod that stops in order leaves so much unused, at least.
LEAST_LEFT = 0.2


class Departure(NamedTuple):
    """A pod that is gone: the seconds it had, and those it took."""

    pod: str
    grace_seconds: float
    took_seconds: float


class Departures:
    """Every pod of server and api that goes while the block runs."""

    def __init__(self, release: Release) -> None:
        # For the life of the block.
        self._release = release
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="departures")
        # As pods go, looked for by the thread and once more at the end.
        self._lock = threading.Lock()
        self._leaving: dict[str, tuple[float, float]] = {}
        self.gone: list[Departure] = []

    def __enter__(self) -> Self:
        """Begin to watch."""
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        """Wait for those that are on their way, unless something failed, and end."""
        if kind is None:
            self._look()
            wait_for(lambda: not self._leaving, "every pod that was told to go is gone", 90)
        self._is_over.set()
        self._thread.join()

    def assert_in_time(self, least: int = 1) -> None:
        """Raise AssertionError unless so many pods went, all of them well within their grace period."""
        assert len(self.gone) >= least, f"expected {least} pods to go, saw {self.gone}"
        late = [one for one in self.gone if one.took_seconds > (1 - LEAST_LEFT) * one.grace_seconds]
        assert not late, f"pods that took most of their grace period or more: {late}"

    def _watch(self) -> None:
        while not self._is_over.wait(POLL_SECONDS):
            self._look()

    def _look(self) -> None:
        with self._lock:
            self._look_alone()

    def _look_alone(self) -> None:
        found = {
            pod.metadata.name: pod.metadata
            for component in ("server", "api")
            for pod in self._release.pods(component, even_terminating=True)
        }
        now = time.time()
        for name in set(self._leaving) - set(found):
            since, seconds = self._leaving.pop(name)
            self.gone.append(Departure(name, seconds, now - since))
        for name, told in found.items():
            seconds = told.deletion_grace_period_seconds
            if told.deletion_timestamp is not None and seconds and name not in self._leaving:
                # The deletion's time is that of its end, in whole seconds.
                self._leaving[name] = (told.deletion_timestamp.timestamp() - seconds, seconds)
