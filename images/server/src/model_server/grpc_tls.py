"""TLS on the gRPC port, from an SSLConfig file; one that has changed is read again for the next connection."""

from __future__ import annotations

import contextlib
import logging
import os
import ssl
from pathlib import Path
from typing import TYPE_CHECKING

from model_server import config_messages
from serving_codec.status import Code, ServingError

if TYPE_CHECKING:
    from collections.abc import Iterator

LOG = logging.getLogger(__name__)


class Certificates:
    """The server's side of TLS; `context` is for asyncio, and stays the same object."""

    def __init__(self, path: str) -> None:
        """Read the file; raise ServingError where it has no key or certificate, or they are none."""
        # For the life of the listener.
        self._path = path
        # As the file changes.
        self._stamp = _stamp(path)
        self._current = _context(path)
        self.context = self._current
        self.context.sni_callback = self._choose

    def _choose(self, connection: ssl.SSLObject | ssl.SSLSocket, _name: str | None, _context: ssl.SSLContext) -> None:
        """Give a new connection the certificates that the file holds now (asked for each, with a name or without)."""
        self._read_again()
        connection.context = self._current

    def _read_again(self) -> None:
        try:
            stamp = _stamp(self._path)
            if stamp == self._stamp:
                return
            self._stamp = stamp
            self._current = _context(self._path)
            LOG.info("ssl_config_file %s was read again", self._path)
        except (OSError, ServingError) as error:
            # Half written, perhaps; what was read before is as good as it was.
            LOG.warning("ssl_config_file %s cannot be read again: %s", self._path, error)


def _stamp(path: str) -> tuple[int, int, int]:
    found = Path(path).stat()
    return found.st_mtime_ns, found.st_size, found.st_ino


def _context(path: str) -> ssl.SSLContext:
    message = config_messages.read(path, config_messages.SSLConfig)
    if not message.server_key or not message.server_cert:
        raise ServingError(
            Code.INVALID_ARGUMENT, f"ssl_config_file {path}: server_key and server_cert must hold PEM text"
        )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["h2"])
    try:
        with _in_memory(message.server_cert) as certificate, _in_memory(message.server_key) as key:
            context.load_cert_chain(certificate, key)
        if message.custom_ca:
            context.load_verify_locations(cadata=message.custom_ca)
        if message.client_verify:
            if not message.custom_ca:
                context.load_default_certs(ssl.Purpose.CLIENT_AUTH)
            context.verify_mode = ssl.CERT_REQUIRED
    except (ssl.SSLError, ValueError) as error:
        raise ServingError(
            Code.INVALID_ARGUMENT, f"ssl_config_file {path}: its PEM text cannot be used: {error}"
        ) from error
    return context


@contextlib.contextmanager
def _in_memory(text: str) -> Iterator[str]:
    """Yield the path of a text that is on no disk: Python reads keys from files alone."""
    descriptor = os.memfd_create("pem", os.MFD_CLOEXEC)
    try:
        os.write(descriptor, text.encode())
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)
