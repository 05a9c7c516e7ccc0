"""Wait for a condition instead of sleeping."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

Result = TypeVar("Result")
POLL_SECONDS = 0.5


def wait_for(condition: Callable[[], Result | None], what: str, timeout_seconds: float) -> Result:
    """Return the condition's first true result; raise TimeoutError naming `what` and the last result."""
    deadline = time.monotonic() + timeout_seconds
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {timeout_seconds:.0f} s (last seen: {result!r})")
        time.sleep(POLL_SECONDS)
