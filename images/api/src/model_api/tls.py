"""TLS to the server: whose certificates to trust, the name in them, and one of its own to show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import grpc

if TYPE_CHECKING:
    from pathlib import Path

    from model_api.config import Config


@dataclass(frozen=True)
class Tls:
    """Credentials of a channel, and the name the server's certificate must have whatever its address is."""

    credentials: grpc.ChannelCredentials
    server_name: str


def of(config: Config) -> Tls | None:
    """Return how to connect to the server, None without TLS; raise OSError when a file cannot be read."""
    if config.server_ca is None:
        return None
    credentials = grpc.ssl_channel_credentials(
        root_certificates=config.server_ca.read_bytes(),
        private_key=_read(config.server_client_key),
        certificate_chain=_read(config.server_client_certificate),
    )
    return Tls(credentials, config.server_name or config.server[0].rpartition(":")[0])


def _read(path: Path | None) -> bytes | None:
    return path.read_bytes() if path is not None else None
