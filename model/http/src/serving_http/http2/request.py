"""The head of a request, made of its fields (RFC 9113, 8.2 and 8.3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from serving_http.http2.frames import NO_ERROR, PROTOCOL_ERROR
from serving_http.http2.headers import size_of

if TYPE_CHECKING:
    from serving_http.http2.headers import Fields

PSEUDO = {b":method", b":scheme", b":path", b":authority"}
OF_THE_CONNECTION = {b"connection", b"proxy-connection", b"keep-alive", b"transfer-encoding", b"upgrade"}
# Of a length in 64 bits.
LENGTH_DIGITS = 18


@dataclass(frozen=True)
class Request:
    """A request's head, or trailers: pseudo-headers, and fields by lower-case names; of a name given twice, the last.

    `size` is the bytes it counts for; `fault` is the error code of a malformed one.
    """

    method: bytes
    path: bytes
    fields: dict[bytes, bytes]
    size: int
    fault: int = NO_ERROR


def read(fields: Fields) -> Request:
    """Return the head that a block's fields are."""
    pseudo: dict[bytes, bytes] = {}
    named: dict[bytes, bytes] = {}
    is_sound = True
    for name, value in fields:
        if name.startswith(b":"):
            is_sound &= not named and name in PSEUDO and name not in pseudo
            pseudo[name] = value
        else:
            is_sound &= bool(name) and name == name.lower() and name not in OF_THE_CONNECTION
            named[name] = value
    method, path = pseudo.get(b":method", b""), pseudo.get(b":path", b"")
    length = named.get(b"content-length", b"0")
    is_sound &= bool(method and path and pseudo.get(b":scheme"))
    is_sound &= named.get(b"te", b"trailers") == b"trailers"
    is_sound &= length.isdigit() and len(length) <= LENGTH_DIGITS
    return Request(method, path, named, size_of(fields), NO_ERROR if is_sound else PROTOCOL_ERROR)
