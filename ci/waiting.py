"""Wait for a condition: the one loop that polls, for the tooling and for the tests."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

Result = TypeVar("Result")


def first_true(
    condition: Callable[[], Result | None], seconds: float, poll_seconds: float
) -> tuple[bool, Result | None]:
    """Return whether a condition came true within seconds, and its last result; it is asked once at least."""
    deadline = time.monotonic() + seconds
    while True:
        result = condition()
        if result:
            return True, result
        if time.monotonic() > deadline:
            return False, result
        time.sleep(poll_seconds)
