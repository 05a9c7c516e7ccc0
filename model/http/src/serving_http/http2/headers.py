"""Header blocks (RFC 7541), decoded by hpack; equal blocks are decoded once, while the connection's table stays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

from hpack import Decoder, HPACKError
from hpack.exceptions import OversizedHeaderListError

from serving_http.http2.frames import COMPRESSION_ERROR, ENHANCE_YOUR_CALM, ConnectionFault

if TYPE_CHECKING:
    from collections.abc import Callable

# Of a connection, of which there may be thousands: calls of one kind differ in their timeout alone.
REMEMBERED, REMEMBERED_BYTES = 256, 64 << 10
# What a field counts for beside its bytes (RFC 7541, 4.1).
OVERHEAD_BYTES = 32
Fields = list[tuple[bytes, bytes]]
Read = TypeVar("Read")


def size_of(fields: Fields) -> int:
    """Return the bytes that fields count for."""
    return sum(len(name) + len(value) + OVERHEAD_BYTES for name, value in fields)


class Headers(Generic[Read]):
    """The decoder of one connection, and what `read` has made of each block: it must depend on the fields alone."""

    def __init__(self, most_bytes: int, read: Callable[[Fields], Read]) -> None:
        """Refuse blocks whose fields take more than so many bytes (RFC 9113, 10.5.1)."""
        # For the life of the connection.
        self._decoder = Decoder(most_bytes)
        self._read = read
        # While the table stays.
        self._known: dict[bytes, Read] = {}
        self._known_bytes = 0

    def decode(self, block: bytes) -> Read:
        """Return what is made of a block's fields; raise ConnectionFault for a block that is none, or too large."""
        known = self._known.get(block)
        if known is not None:
            return known
        entries = self._decoder.header_table.dynamic_entries
        before = (len(entries), entries[0] if entries else None)
        fields = self._fields(block)
        after = (len(entries), entries[0] if entries else None)
        if after[0] != before[0] or after[1] is not before[1]:
            # Blocks that name entries by number mean others now; this one would add its own once more.
            self._forget()
            return self._read(fields)
        made = self._read(fields)
        self._remember(block, made, len(block) + size_of(fields))
        return made

    def _remember(self, block: bytes, made: Read, size: int) -> None:
        if size > REMEMBERED_BYTES:
            return
        if len(self._known) >= REMEMBERED or self._known_bytes + size > REMEMBERED_BYTES:
            self._forget()
        self._known[block] = made
        self._known_bytes += size

    def _forget(self) -> None:
        self._known.clear()
        self._known_bytes = 0

    def _fields(self, block: bytes) -> Fields:
        try:
            return [(bytes(name), bytes(value)) for name, value in self._decoder.decode(block, raw=True)]
        except OversizedHeaderListError as error:
            raise ConnectionFault(ENHANCE_YOUR_CALM, str(error)) from error
        except (HPACKError, ValueError, IndexError) as error:
            raise ConnectionFault(COMPRESSION_ERROR, f"headers cannot be decoded: {error}") from error
