"""One reply, as the protocols give it."""

from __future__ import annotations

from typing import NamedTuple


class Reply(NamedTuple):
    """An answer; `version` is that of the model that gave it, where one did."""

    status: int
    body: bytes
    content_type: bytes = b"application/json"
    headers: tuple[tuple[bytes, bytes], ...] = ()
    version: int | None = None
