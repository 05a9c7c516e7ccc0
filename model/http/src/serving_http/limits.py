"""How much of everything a client may take."""

from __future__ import annotations

from dataclasses import dataclass, fields


@dataclass(frozen=True)
class Limits:
    """Bounds on what comes from outside, for one connection and for all of them; see the package's README."""

    # Of one request. nginx takes 32 KiB of headers, Node.js 16, uvicorn 64.
    max_header_bytes: int = 64 << 10
    max_headers: int = 100
    max_body_bytes: int = 4 << 20
    header_timeout_seconds: float = 15.0
    body_timeout_seconds: float = 60.0
    # Of one connection. Longer than the 60 s for which proxies and load balancers keep theirs.
    idle_timeout_seconds: float = 75.0
    write_timeout_seconds: float = 60.0
    # Of all.
    max_connections: int = 16_384
    max_requests: int = 1024
    max_held_body_bytes: int = 64 << 20

    @classmethod
    def of(cls, settings: object, prefix: str = "") -> Limits:
        """Return the limits that a program's settings have under the same names, with a prefix perhaps."""
        return cls(**{field.name: getattr(settings, prefix + field.name) for field in fields(cls)})
