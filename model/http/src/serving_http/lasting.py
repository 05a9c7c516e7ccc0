"""Work beside the requests, which goes on for as long as the event loop does."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

LOG = logging.getLogger(__name__)
RESTART_SECONDS = 1.0


def task(work: Callable[[], Coroutine[Any, Any, None]]) -> asyncio.Task[None]:
    """Begin work that only cancelling ends: what fails in it is logged, and it begins again a moment later.

    A task that ends unseen, for want of a thread perhaps, leaves a process that looks whole and follows nothing.
    """
    return asyncio.get_running_loop().create_task(_last(work))


async def _last(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    while True:
        try:
            return await work()
        except Exception:
            LOG.exception("this failed, and begins again in %g s", RESTART_SECONDS)
        await asyncio.sleep(RESTART_SECONDS)
