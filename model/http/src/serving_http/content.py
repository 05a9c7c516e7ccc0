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
        await aside.run(2 * limit, inflater.advance, limit + 1)
    return bytes(inflater.content)


class Inflater:
    """A compressed body on its way to what it was: one stream of zlib's, or several of gzip's one after the other."""

    def __init__(self, body: bytes, window: int, limit: int) -> None:
        self.content = bytearray()
        self._rest = body
        self._window = window
        self._limit = limit
        self._inflater = zlib.decompressobj(wbits=window)

    def advance(self, size: int) -> bool:
        """Inflate up to about `size` further bytes; tell whether that was all. Raise ContentError."""
        until = len(self.content) + size
        while len(self.content) < until:
            try:
                self.content += self._inflater.decompress(self._rest, until - len(self.content))
            except zlib.error as error:
                raise ContentError(statuses.BAD_REQUEST, f"the compressed body is broken: {error}") from error
            if len(self.content) > self._limit:
                message = f"expected a body of at most {self._limit} bytes, got more once inflated"
                raise ContentError(statuses.TOO_LARGE, message)
            self._rest = self._inflater.unconsumed_tail
            if self._inflater.eof:
                self._rest = self._inflater.unused_data
                if not self._rest.startswith(b"\x1f\x8b") or self._window <= zlib.MAX_WBITS:
                    return True
                self._inflater = zlib.decompressobj(wbits=self._window)
            elif not self._rest:
                raise ContentError(statuses.BAD_REQUEST, "the compressed body is cut short")
        return False
