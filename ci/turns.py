"""Turns: what only one process of a machine may do at a time."""

from __future__ import annotations

import contextlib
import fcntl
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextlib.contextmanager
def turn(lock: Path, waiting: contextlib.AbstractContextManager[object] | None = None) -> Iterator[None]:
    """Hold a lock file within; wait, within `waiting`, while another process or thread holds it.

    The lock of a process that was killed is free. The file stays: who removed it would let two in.
    """
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            with waiting or contextlib.nullcontext():
                fcntl.flock(held, fcntl.LOCK_EX)
        yield
