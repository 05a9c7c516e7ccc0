"""A model's outputs as REST's JSON, as json_tensors writes them; large ones a piece at a time.

Memory is a small multiple of the text, and others have their turn between two pieces, whatever is in them:
many numbers, lists of nothing, short texts or one long one.
"""

from __future__ import annotations

import base64
import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from serving_codec import json_tensors
from serving_codec.json_tensors import PIECE_ELEMENTS, Output
from serving_codec.pieces import joined

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from serving_codec.pieces import Buffer

# A text takes as long as so many times fewer numbers.
BYTES_FOR_A_NUMBER = 16
# A multiple of 3, so that pieces of base64 are base64.
TEXT_BYTES = 3 << 15
# Bytes of UTF-8 that do not begin a character: 0b10xxxxxx; at most three follow one that does.
CONTINUATION, CONTINUATIONS = range(0x80, 0xC0), 3


def written(outputs: Sequence[Output], *, is_rows: bool, halves: bool = False) -> Buffer:
    """Return what json_tensors.write_rows or write_columns does, in UTF-8; bytes that are none stay as they are."""
    if sum([weight(output.value) for output in outputs]) <= PIECE_ELEMENTS:
        write = json_tensors.write_rows if is_rows else json_tensors.write_columns
        return _encoded(write(outputs, halves=halves))
    if is_rows:
        json_tensors.check_rows(outputs)
    json_tensors.check_writable(outputs, halves=halves)
    outputs = [Output(output.alias, output.dtype, np.asarray(output.value)) for output in outputs]
    pieces = _rows(outputs) if is_rows else _columns(outputs)
    return joined(map(_encoded, pieces))


def weight(value: Any) -> int:
    """Return how many numbers take as long to write as an array does, with its lists of nothing and long texts."""
    value = np.asarray(value)
    # Of lists of nothing, as many as there are.
    size: int = value.size or _count(value.shape)
    if value.dtype != object or size > PIECE_ELEMENTS:
        return size
    return size + sum(map(len, value.ravel().tolist())) // BYTES_FOR_A_NUMBER


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _rows(outputs: Sequence[Output]) -> Iterator[str]:
    yield json_tensors.ROWS_HEAD + "["
    if len(outputs) == 1:
        yield from _items(outputs[0])
    else:
        for number, some in enumerate(_some_rows(outputs)):
            if number:
                yield ", "
            if len(some[0].value) > 1 or sum([weight(output.value) for output in some]) <= PIECE_ELEMENTS:
                yield json_tensors.rows_text(some)
            else:
                yield from _row(some)
    yield json_tensors.ROWS_TAIL


def _row(outputs: Sequence[Output]) -> Iterator[str]:
    """Yield a row, which is all there is of these outputs."""
    for number, output in enumerate(outputs):
        yield ("{" if not number else ", ") + json.dumps(output.alias) + ": "
        yield from _pieces(_of(output, output.value.reshape(output.value.shape[1:])))
    yield "}"


def _columns(outputs: Sequence[Output]) -> Iterator[str]:
    if len(outputs) == 1:
        yield json_tensors.COLUMN_HEAD
        yield from _pieces(outputs[0])
        yield json_tensors.COLUMN_TAIL
        return
    for number, output in enumerate(outputs):
        yield json_tensors.COLUMNS_BETWEEN if number else json_tensors.COLUMNS_HEAD
        yield json.dumps(output.alias) + ": "
        yield from _pieces(output)
    yield json_tensors.COLUMNS_TAIL


def _pieces(output: Output) -> Iterator[str]:
    if weight(output.value) <= PIECE_ELEMENTS:
        yield json_tensors.whole_text(output)
    elif output.value.ndim == 0:
        yield from _text(output.value.item(), as_base64=output.alias.endswith("_bytes"))
    else:
        yield "["
        yield from _items(output)
        yield "]"


def _items(output: Output) -> Iterator[str]:
    """Yield what is between the brackets of an output's outermost list."""
    for number, (some,) in enumerate(_some_rows([output])):
        if number:
            yield ", "
        if len(some.value) > 1 or weight(some.value) <= PIECE_ELEMENTS:
            yield json_tensors.whole_text(some)[1:-1]
        else:
            yield from _pieces(_of(output, some.value.reshape(some.value.shape[1:])))


def _some_rows(outputs: Sequence[Output]) -> Iterator[list[Output]]:
    """Yield the outputs cut into as many rows as make a piece: one where a piece would be too large, for its texts."""
    count = len(outputs[0].value)
    # By their number alone: how long texts are is known when they are looked at.
    row = sum([max(1, _count(output.value.shape[1:])) for output in outputs])
    size = max(1, PIECE_ELEMENTS // row)
    for start in range(0, count, size):
        some = [_of(output, output.value[start : start + size]) for output in outputs]
        rows = len(some[0].value)
        if rows > 1 and sum([weight(output.value) for output in some]) > 2 * PIECE_ELEMENTS:
            yield from ([_of(output, output.value[i : i + 1]) for output in some] for i in range(rows))
        else:
            yield some


def _count(shape: tuple[int, ...]) -> int:
    return math.prod(shape[: shape.index(0)] if 0 in shape else shape)


def _of(output: Output, value: NDArray[Any]) -> Output:
    return Output(output.alias, output.dtype, value)


def _text(value: Any, *, as_base64: bool) -> Iterator[str]:
    """Yield one long text, or base64 of it."""
    raw = value if isinstance(value, bytes) else str(value).encode()
    if as_base64:
        yield '{"b64": "'
        for start in range(0, len(raw), TEXT_BYTES):
            yield base64.b64encode(raw[start : start + TEXT_BYTES]).decode()
        yield '"}'
        return
    yield '"'
    start = 0
    while start < len(raw):
        end = _boundary(raw, start + TEXT_BYTES)
        yield json.dumps(raw[start:end].decode("utf-8", "surrogateescape"), ensure_ascii=False)[1:-1]
        start = end
    yield '"'


def _boundary(raw: bytes, end: int) -> int:
    """Return where a piece may end: before the character that goes over its end, if one does."""
    for at in range(end, end - CONTINUATIONS - 1, -1):
        if at >= len(raw) or raw[at] not in CONTINUATION:
            return at
    return end
