"""Request bodies that come compressed (RFC 9110, Content-Encoding)."""

from __future__ import annotations

import asyncio
import zlib
from typing import TYPE_CHECKING

from model_api.errors import MediaTypeError, NotJsonError, TooLargeError

if TYPE_CHECKING:
    from model_api.http import Request

# zlib's window: with gzip's header, and with zlib's own, which HTTP calls deflate.
WINDOWS = {b"gzip": 16 + zlib.MAX_WBITS, b"x-gzip": 16 + zlib.MAX_WBITS, b"deflate": zlib.MAX_WBITS}
# What inflates in a millisecond or two stays on the event loop.
SMALL_BYTES = 1 << 20


async def inflated(request: Request, limit: int) -> bytes:
    """Return a request's body as it was before it was compressed with gzip or deflate.

    Raise TooLargeError as soon as it is over `limit` bytes, NotJsonError when it is broken, MediaTypeError for another
    encoding. Memory is bounded by the limit, and the event loop is not held.
    """
    encoding = request.headers.get(b"content-encoding", b"").strip().lower()
    if encoding in {b"", b"identity"}:
        return request.body
    window = WINDOWS.get(encoding)
    if window is None:
        shown = encoding[:60].decode("latin-1")
        raise MediaTypeError(f"Content-Encoding: expected gzip, deflate or none, got {shown}")
    if limit <= SMALL_BYTES:
        return inflate(request.body, window, limit)
    return await asyncio.to_thread(inflate, request.body, window, limit)


def inflate(body: bytes, window: int, limit: int) -> bytes:
    """Return an inflated body; raise TooLargeError over `limit` bytes, NotJsonError when it is broken or cut short."""
    inflater = zlib.decompressobj(wbits=window)
    try:
        content = inflater.decompress(body, limit + 1)
    except zlib.error as error:
        raise NotJsonError(f"the compressed body is broken: {error}") from error
    if len(content) > limit:
        raise TooLargeError(f"expected a body of at most {limit} bytes, got more once inflated")
    if not inflater.eof:
        raise NotJsonError("the compressed body is cut short")
    return content
