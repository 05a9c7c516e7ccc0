"""Memory of unloaded versions, given back at once instead of when the collector and the allocator get to it."""

from __future__ import annotations

import ctypes
import gc

# glibc alone has it (malloc_trim(3)); elsewhere the allocator decides.
_TRIM = getattr(ctypes.CDLL(None), "malloc_trim", None)


def keep_what_is_imported() -> None:
    """Take all that lives now out of the collector's sight, so that a collection looks at models and requests alone."""
    gc.collect()
    gc.freeze()


def give_back() -> None:
    """Free what nobody refers to, graphs in cycles too, and hand free pages to the system, as upstream does."""
    gc.collect()
    if _TRIM is not None:
        _TRIM(0)
