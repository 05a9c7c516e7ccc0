"""TLS to the server: whose certificates to trust, the name in them, and one of its own to show."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from model_api.config import Config


@dataclass(frozen=True)
class Tls:
    """The files of a connection, and the name the server's certificate must have whatever its address is."""

    authority: Path
    certificate: Path | None
    key: Path | None
    server_name: str

    def context(self) -> ssl.SSLContext:
        """Return how to connect, from the files as they are now; raise OSError when one cannot be read."""
        context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=str(self.authority))
        if self.certificate is not None:
            context.load_cert_chain(self.certificate, self.key)
        context.set_alpn_protocols(["h2"])
        return context


def of(config: Config) -> Tls | None:
    """Return how to connect to the server, None without TLS; raise OSError when a file cannot be read."""
    if config.server_ca is None:
        return None
    name = config.server_name or config.server[0].rpartition(":")[0]
    tls = Tls(config.server_ca, config.server_client_certificate, config.server_client_key, name)
    tls.context()
    return tls
