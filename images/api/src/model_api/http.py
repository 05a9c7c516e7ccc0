"""One request and one reply, as the protocols see them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Request:
    """A complete request: `path` is decoded, `raw_path` is not; names of `headers` are in lower case."""

    method: str
    path: str
    raw_path: str
    query: str
    headers: Mapping[bytes, bytes]
    body: bytes


@dataclass(frozen=True)
class Reply:
    """An answer; `version` is that of the model that gave it, where one did."""

    status: int
    body: bytes
    content_type: bytes = b"application/json"
    headers: tuple[tuple[bytes, bytes], ...] = ()
    version: int | None = None
