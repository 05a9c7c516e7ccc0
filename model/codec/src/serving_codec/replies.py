"""A large PredictResponse, read without its whole numbers going through protobuf's parser.

It reads them one by one with the interpreter's lock in hand, and takes four to eight times their bytes: 30 MB of small
numbers were 1.3 s in which nobody else was answered, and 214 MB. numpy reads them here, a piece at a time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from model_description.protos import serving_pb2

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

# Wire types, and the tags of what is looked at (predict.proto, tensor.proto).
_VARINT, _LENGTH = 0, 2
_SIZES = {1: 8, 5: 4}
_OUTPUT, _KEY, _VALUE, _DTYPE = 0x0A, 0x0A, 0x12, 0x08
# The packed field, by the dtype whose values are in it.
_FIELDS: dict[int, int] = {
    serving_pb2.DT_INT32: 7,
    serving_pb2.DT_INT16: 7,
    serving_pb2.DT_INT8: 7,
    serving_pb2.DT_UINT8: 7,
    serving_pb2.DT_UINT16: 7,
    serving_pb2.DT_INT64: 10,
    serving_pb2.DT_BOOL: 11,
    serving_pb2.DT_HALF: 13,
    serving_pb2.DT_BFLOAT16: 13,
    serving_pb2.DT_UINT32: 16,
    serving_pb2.DT_UINT64: 17,
}
# Read at once, in some milliseconds.
_PIECE_BYTES = 1 << 17
_LAST, _BITS, _LONGEST = 0x80, 7, 10


def read(reply: bytes) -> tuple[Any, dict[str, memoryview]]:
    """Return a PredictResponse, and by name the whole numbers that are left out of it, as `numbers` reads them.

    What is not laid out as servers do it is left in. Raise what the parser raises.
    """
    try:
        rest, packed = _split(memoryview(reply))
    except (IndexError, KeyError, UnicodeDecodeError):
        rest, packed = reply, {}
    return serving_pb2.PredictResponse.FromString(rest), packed


def numbers(packed: memoryview, most: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return the numbers of a packed field as a dtype, which they wrap into; of more than `most` one more than that."""
    content = np.frombuffer(packed, np.uint8)
    pieces = range(0, len(content), _PIECE_BYTES)
    count = sum(int(np.count_nonzero(content[start : start + _PIECE_BYTES] < _LAST)) for start in pieces)
    found = np.empty(min(count, most + 1), dtype)
    start = read_ = 0
    while start < len(content) and read_ < len(found):
        piece = content[start : start + _PIECE_BYTES]
        ends = np.flatnonzero(piece < _LAST)
        if not len(ends):
            break
        values = _decoded(piece[: ends[-1] + 1], ends)[: len(found) - read_]
        found[read_ : read_ + len(values)] = values.astype(dtype)
        read_ += len(values)
        start += int(ends[-1]) + 1
    return found


def _decoded(content: NDArray[np.uint8], ends: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the numbers that end at these places; a negative one has ten bytes."""
    if len(ends) == len(content):
        return content.astype(np.int64)
    starts = np.concatenate([[0], ends[:-1] + 1])
    lengths = ends - starts + 1
    values = np.zeros(len(ends), np.uint64)
    for index in range(min(_LONGEST, int(lengths.max()))):
        has = np.flatnonzero(lengths > index)
        groups = (content[starts[has] + index] & (_LAST - 1)).astype(np.uint64)
        values[has] |= groups << np.uint64(_BITS * index)
    return values.view(np.int64)


# ---- the wire


def _split(reply: memoryview) -> tuple[bytes, dict[str, memoryview]]:
    rest, packed = bytearray(), {}
    for tag, start, content, end in _fields(reply, 0, len(reply)):
        found = _of_output(reply, content, end) if tag == _OUTPUT else None
        if found is None:
            rest += reply[start:end]
            continue
        name, tensor, values = found
        if name in packed:
            raise KeyError(name)
        packed[name] = values
        entry = serving_pb2.PredictResponse()
        entry.outputs[name].MergeFromString(bytes(tensor))
        rest += entry.SerializeToString()
    return bytes(rest), packed


def _of_output(reply: memoryview, start: int, end: int) -> tuple[str, bytearray, memoryview] | None:
    """Return an output's name, its tensor without its whole numbers, and those; None where it has none to leave out."""
    name, tensor = None, None
    for tag, _, content, stop in _fields(reply, start, end):
        if tag == _KEY:
            name = str(reply[content:stop], "utf-8")
        elif tag == _VALUE:
            tensor = (content, stop)
    found = _without_numbers(reply, *tensor) if tensor is not None else None
    return None if name is None or found is None else (name, *found)


def _without_numbers(reply: memoryview, start: int, end: int) -> tuple[bytearray, memoryview] | None:
    field, rest, values = None, bytearray(), None
    for tag, begin, content, stop in _fields(reply, start, end):
        if field is None:
            # Servers write it first; of other dtypes nothing more is looked at: there may be a million texts.
            if tag != _DTYPE or reply[content] not in _FIELDS:
                return None
            field = _FIELDS[reply[content]]
        if tag == field << 3 | _LENGTH:
            if values is not None:
                return None
            values = reply[content:stop]
        elif tag >> 3 == field:
            return None
        else:
            rest += reply[begin:stop]
    return None if values is None else (rest, values)


def _fields(message: memoryview, start: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """Yield tag, start, start of the content and end of each field; raise IndexError or KeyError for what is none."""
    while start < end:
        tag, content = _varint(message, start)
        kind = tag & 7
        if kind == _LENGTH:
            size, content = _varint(message, content)
            stop = content + size
        elif kind == _VARINT:
            _, stop = _varint(message, content)
        else:
            stop = content + _SIZES[kind]
        if stop > end:
            raise IndexError("a field that is cut off")
        yield tag, start, content, stop
        start = stop


def _varint(message: memoryview, position: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, _BITS * _LONGEST, _BITS):
        byte = message[position]
        position += 1
        value |= (byte & (_LAST - 1)) << shift
        if byte < _LAST:
            return value, position
    raise IndexError("a number of more than ten bytes")
