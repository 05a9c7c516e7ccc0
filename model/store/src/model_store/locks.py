"""Locks of processes: files that are held until a process lets go of them, or ends."""

from __future__ import annotations

import contextlib
import fcntl
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class GoneError(OSError):
    """A lock that was removed before it was held: what was held is not the file of its name."""


@contextlib.contextmanager
def held(path: Path, *, is_made: bool = False, is_kept: bool = False, waits: bool = True) -> Iterator[None]:
    """Hold the lock of a file, which is made when it `is_made`.

    One that is removed by whoever holds it may be gone once it is held: raise GoneError then, or try again for one that
    `is_kept`, where only people remove it. Raise BlockingIOError when it does not wait and somebody else holds it.
    """
    flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | (os.O_CREAT if is_made else 0)
    while True:
        descriptor = os.open(path, flags, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if waits else fcntl.LOCK_NB))
            if _is_file_of(descriptor, path):
                yield
                return
            if not is_kept:
                raise GoneError(f"{path} was removed")
        finally:
            os.close(descriptor)


def _is_file_of(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(path.lstat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False
