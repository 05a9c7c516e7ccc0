"""What lives for good is kept out of the collector's sight; memory that is free goes back to the system."""

from __future__ import annotations

import ctypes
import gc
import resource
from pathlib import Path

STATM = Path("/proc/self/statm")
# glibc alone has it (malloc_trim(3)); elsewhere the allocator decides.
_TRIM = getattr(ctypes.CDLL(None), "malloc_trim", None)


def begin_imports() -> None:
    """Collect nothing until `keep_what_is_imported`: modules are no garbage, and looking at them takes time."""
    gc.disable()


def keep_what_is_imported() -> None:
    """Take all that lives now out of the collector's sight, so that a collection looks at requests and models alone."""
    gc.collect()
    gc.freeze()
    gc.enable()


def resident_bytes() -> int:
    """Return this process's resident memory (proc(5), statm); 0 where that cannot be told."""
    try:
        pages = int(STATM.read_text(encoding="ascii").split()[1])
    except OSError:
        return 0
    return pages * resource.getpagesize()


def give_back() -> None:
    """Free what nobody refers to, cycles too, and hand free pages to the system at once."""
    gc.collect()
    if _TRIM is not None:
        _TRIM(0)
