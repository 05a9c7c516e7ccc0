"""How much work a protobuf message makes for its parser, told from its bytes before it is parsed.

A parser in C holds the interpreter's lock for as long as it takes: 16 MiB of fields of two bytes each are a second in
which nobody else is answered. What is looked at here is the wire format alone (protobuf.dev, "Encoding"); it is written
in Python, which lets others have their turn.
"""

from __future__ import annotations

import functools
from typing import Any

# What parsing takes, in tenths of a microsecond: most fields; a message in a field; an entry of a map, whose key is
# looked up.
FIELD, MESSAGE, MAP_ENTRY = 1, 2, 16
# A tenth of a second, or more for fields that hold something: as strings or messages of 16 bytes do.
LEAST_WORK = 1_000_000
BYTES_PER_WORK = 16
# Wire types: 0 varint, 1 eight bytes, 2 a length and so many, 3 and 4 a group's begin and end, 5 four bytes.
_LENGTH = 2
_SIZES = {1: 8, 3: 0, 4: 0, 5: 4}
_LAST, _SHIFT = 0x80, 7

_Schema = dict[int, tuple[int, Any]]


def allowed(size: int) -> int:
    """Return the work that a message of so many bytes may make."""
    return max(LEAST_WORK, size // BYTES_PER_WORK)


def is_more_work(message: bytes, descriptor: Any, most: int) -> bool:
    """Tell whether a message of a descriptor's type makes more work than `most`.

    Looks no further than needed. Bytes that are no such message make the work up to where they stop being one.
    """
    position, work = 0, 0
    # The messages that a field is in, the innermost last: where each ends, and what its fields are.
    stack = [(len(message), _schema(descriptor))]
    try:
        while stack and work <= most:
            end, schema = stack[-1]
            if position >= end:
                stack.pop()
                continue
            tag, position = _varint(message, position)
            kind = tag & 7
            if kind == _LENGTH:
                size, position = _varint(message, position)
                cost, inner = schema.get(tag >> 3, (FIELD, None))
                work += cost
                if inner is not None:
                    stack.append((position + size, _schema(inner)))
                else:
                    position += size
                continue
            work += FIELD
            if kind == 0:
                _, position = _varint(message, position)
            else:
                position += _SIZES[kind]
    except (IndexError, KeyError):
        # Cut off, or no wire type: the parser stops here, too.
        pass
    return work > most


def _varint(message: bytes, position: int) -> tuple[int, int]:
    """Return a number and the position after it; raise IndexError at the end."""
    byte = message[position]
    position += 1
    if byte < _LAST:
        return byte, position
    value, shift = byte & 0x7F, _SHIFT
    while True:
        byte = message[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < _LAST:
            return value, position
        shift += _SHIFT
        if shift > 9 * _SHIFT:
            raise IndexError("a number of more than ten bytes")


@functools.cache
def _schema(descriptor: Any) -> _Schema:
    """Return, by number, what a field that holds a message costs, and its type."""
    return {
        field.number: (MAP_ENTRY if field.message_type.GetOptions().map_entry else MESSAGE, field.message_type)
        for field in descriptor.fields
        if field.message_type is not None
    }
