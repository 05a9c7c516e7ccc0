"""What is large is put together a piece at a time: between two of them other threads have their turn.

To join some 100 MB at once holds the interpreter's lock for 100 ms, most of which is taking new pages of memory.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

# Copied in some hundred microseconds, new pages of memory included.
PIECE_BYTES = 1 << 18

Buffer = bytes | bytearray


def joined(parts: Iterable[bytes | memoryview]) -> Buffer:
    """Return parts as one; each is let go once it is copied."""
    left = deque(parts)
    size = sum(map(len, left))
    if size <= PIECE_BYTES:
        return b"".join(left)
    whole, start = bytearray(size), 0
    while left:
        part = left.popleft()
        for at in range(0, len(part), PIECE_BYTES):
            piece = part[at : at + PIECE_BYTES]
            whole[start : start + len(piece)] = piece
            start += len(piece)
    return whole
