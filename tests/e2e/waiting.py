"""Wait for a condition instead of sleeping."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from ci.waiting import first_true

if TYPE_CHECKING:
    from collections.abc import Callable

Result = TypeVar("Result")
POLL_SECONDS = 0.5


def wait_for(condition: Callable[[], Result | None], what: str, timeout_seconds: float) -> Result:
    """Return the condition's first true result; raise TimeoutError naming `what` and the last result."""
    is_true, result = first_true(condition, timeout_seconds, POLL_SECONDS)
    if not is_true or not result:
        raise TimeoutError(f"{what}: not within {timeout_seconds:.0f} s (last seen: {result!r})")
    return result
