"""What a peer may take of an HTTP/2 connection."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Streams at once, bytes of a block of headers and of a frame of data, and how long a peer may take over what."""

    streams: int
    header_bytes: int
    frame_bytes: int
    idle_seconds: float
    first_bytes_seconds: float
    ping_seconds: float
    pong_seconds: float
    write_seconds: float
