"""A block of headers, put together of the frames in which it comes (RFC 9113, 4.3)."""

from __future__ import annotations

from serving_http.http2 import frames
from serving_http.http2.frames import ConnectionFault, expect

PRIORITY_BYTES = 5
MORE_THAN_A_BLOCK = frames.PADDED | frames.PRIORITY


def fragment(flags: int, number: int, content: bytes) -> bytes:
    """Return what a frame of headers has of their block; raise ConnectionFault for a malformed frame."""
    if not flags & MORE_THAN_A_BLOCK:
        return content
    block = frames.unpadded(content, flags)
    if flags & frames.PRIORITY:
        expect(len(block) >= PRIORITY_BYTES, frames.FRAME_SIZE_ERROR, "HEADERS")
        frames.expect_no_cycle(number, block)
        block = block[PRIORITY_BYTES:]
    return block


class Block:
    """A block that goes on in further frames: of which stream, with which flags it began, and what has come."""

    __slots__ = ("_largest_bytes", "content", "flags", "number")

    def __init__(self, flags: int, number: int, first: bytes, largest_bytes: int) -> None:
        self.number = number
        self.flags = flags
        self.content = bytearray(first)
        self._largest_bytes = largest_bytes

    def take(self, kind: int, flags: int, number: int, content: bytes) -> bool:
        """Take the next frame; tell whether the block is whole.

        Raise ConnectionFault for a frame that does not go on with it, or makes it too large.
        """
        if kind != frames.CONTINUATION or number != self.number:
            raise ConnectionFault(frames.PROTOCOL_ERROR, "a block of headers has not ended")
        self.content += content
        if len(self.content) > self._largest_bytes:
            raise ConnectionFault(frames.ENHANCE_YOUR_CALM, "headers that are too large")
        return bool(flags & frames.END_HEADERS)
