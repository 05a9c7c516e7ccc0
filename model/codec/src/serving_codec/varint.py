"""Numbers in groups of seven bits, the lowest first: protobuf's, and HPACK's beyond its prefix (RFC 7541, 5.1)."""

from __future__ import annotations


def varint(value: int) -> bytes:
    """Return a number, 0 or more, in groups of seven bits; all but the last have the eighth bit set."""
    if value < 0x80:  # noqa: PLR2004 - one group
        return bytes((value,))
    groups = bytearray()
    while value > 0x7F:  # noqa: PLR2004 - seven bits to a group
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    groups.append(value)
    return bytes(groups)
