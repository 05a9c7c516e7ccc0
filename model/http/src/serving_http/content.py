"""Request bodies as they were before they were compressed (RFC 9110, 8.4)."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

from serving_http import statuses

if TYPE_CHECKING:
    from serving_http.aside import Aside
    from serving_http.messages import Request

# zlib's windows: with gzip's header, and with zlib's own, which HTTP calls deflate.
WINDOWS = {b"gzip": 16 + zlib.MAX_WBITS, b"x-gzip": 16 + zlib.MAX_WBITS, b"deflate": zlib.MAX_WBITS}
IDENTITY = frozenset({b"", b"identity"})
UNSUPPORTED_MEDIA_TYPE = 415
# What inflates within a millisecond stays on the event loop.
QUICK_BYTES = 128 << 10
PIECE_BYTES = 16 << 10
# What each stream of gzip's begins with (RFC 1952, 2.3.1). One takes the time of so many bytes, however little is in
# it. As many are taken as tools that compress in blocks of 64 KiB make of 256 MiB.
GZIP = b"\x1f\x8b"
MEMBER_BYTES = 4 << 10
MAXIMUM_MEMBERS = 4096


class ContentError(Exception):
    """A body that cannot be had as it was; `status` is HTTP's."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


async def decoded(request: Request, limit: int, aside: Aside) -> bytes:
    """Return a request's body without its Content-Encoding, which may be gzip or deflate.

    Raise ContentError as soon as it is over `limit` bytes (413), when it is broken or cut short (400), and for another
    encoding (415). Memory is bounded by the limit, and the event loop is not held.
    """
    encoding = request.headers.get(b"content-encoding", b"").strip().lower()
    if encoding in IDENTITY:
        return request.body
    window = WINDOWS.get(encoding)
    if window is None:
        shown = encoding[:60].decode("latin-1")
        raise ContentError(UNSUPPORTED_MEDIA_TYPE, f"Content-Encoding: expected gzip, deflate or none, got {shown}")
    inflater = Inflater(request.body, window, limit)
    if not inflater.advance(QUICK_BYTES):
        await aside.run(2 * limit, inflater.finish)
    return bytes(inflater.content)


class Inflater:
    """A compressed body on its way to what it was: one stream of zlib's, or several of gzip's one after the other.

    Its time is linear in the bytes of both: zlib is given a piece at a time, as it hands back a copy of what it leaves.
    """

    def __init__(self, body: bytes, window: int, limit: int) -> None:
        # For the life of the request.
        self._body = memoryview(body)
        self._window = window
        self._limit = limit
        # As it is inflated.
        self.content = bytearray()
        self._at = 0
        self._members = 1
        self._inflater = zlib.decompressobj(wbits=window)

    def finish(self) -> None:
        """Inflate all that is left; raise ContentError."""
        while not self.advance(self._limit):
            pass

    def advance(self, size: int) -> bool:
        """Take or make about `size` further bytes; tell whether that was all. Raise ContentError."""
        while size > 0:
            piece = self._body[self._at : self._at + PIECE_BYTES]
            try:
                made = self._inflater.decompress(piece, size)
            except zlib.error as error:
                raise ContentError(statuses.BAD_REQUEST, f"the compressed body is broken: {error}") from error
            self.content += made
            if len(self.content) > self._limit:
                message = f"expected a body of at most {self._limit} bytes, got more once inflated"
                raise ContentError(statuses.TOO_LARGE, message)
            taken = len(piece) - len(self._inflater.unused_data or self._inflater.unconsumed_tail)
            self._at += taken
            size -= taken + len(made)
            if self._inflater.eof:
                if self._is_last():
                    return True
                size -= MEMBER_BYTES
            elif not piece and not made:
                raise ContentError(statuses.BAD_REQUEST, "the compressed body is cut short")
        return False

    def _is_last(self) -> bool:
        """Tell whether the stream that has ended is the last; begin with the next where there is one."""
        if self._window <= zlib.MAX_WBITS or self._body[self._at : self._at + len(GZIP)] != GZIP:
            return True
        self._members += 1
        if self._members > MAXIMUM_MEMBERS:
            raise ContentError(statuses.BAD_REQUEST, f"expected at most {MAXIMUM_MEMBERS} gzip streams in a body")
        self._inflater = zlib.decompressobj(wbits=self._window)
        return False
