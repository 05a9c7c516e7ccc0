"""Arrays of numbers as JSON, written in pieces: between two of them other threads have their turn.

orjson holds the interpreter's lock for as long as it writes: 38 ms for a million numbers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

# What is written in a millisecond or two.
PIECE_ELEMENTS = 1 << 15


def fragment(array: NDArray[Any]) -> Any:
    """Return a C-contiguous array of numbers as orjson takes it; a large one is written by now, as an orjson.Fragment.

    NaN and infinity, which JSON has no words for, are null; a float32 has the digits it needs.
    """
    if 0 in array.shape:
        # Of no numbers at all, but perhaps of millions of lists of none.
        return orjson.Fragment(empty(array.shape, ","))
    return array if array.size <= PIECE_ELEMENTS else orjson.Fragment(b"".join(_pieces(array)))


def joined(lists: Iterable[list[Any]]) -> Any:
    """Return lists, none of them empty, as one that is written by now, as an orjson.Fragment."""
    return orjson.Fragment(b"[%b]" % b",".join([orjson.dumps(piece)[1:-1] for piece in lists]))


def empty(shape: tuple[int, ...], separator: str) -> str:
    """Return lists in lists, of a shape with a zero; of equal parts, and so in no time."""
    text = "[]"
    for size in reversed(shape[: shape.index(0)]):
        text = "[" + (text + separator) * (size - 1) + text + "]"
    return text


def _pieces(array: NDArray[Any]) -> Iterator[bytes]:
    row_elements = array[0].size
    rows = max(1, PIECE_ELEMENTS // row_elements)
    yield b"["
    for start in range(0, len(array), rows):
        if start:
            yield b","
        if row_elements > PIECE_ELEMENTS:
            yield from _pieces(array[start])
        else:
            # Without the brackets of the rows themselves.
            yield orjson.dumps(array[start : start + rows], option=orjson.OPT_SERIALIZE_NUMPY)[1:-1]
    yield b"]"
