"""`model-api`: start, serve, drain, stop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import sys
from typing import TYPE_CHECKING, NoReturn

import uvicorn

from model_api import config as configuration
from model_api import tls
from model_api.app import App
from model_api.gateway import Gateway
from model_api.servers import Servers, followed

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import FrameType

    from model_api.config import Config

LOG = logging.getLogger(__name__)
# Longer than any request may take.
SHUTDOWN_MARGIN_SECONDS = 2
# Connections that may wait to be accepted.
BACKLOG = 2048


class Server(uvicorn.Server):
    """uvicorn that, told to stop, first says it is not ready and goes on serving for a while."""

    def __init__(self, options: uvicorn.Config, gateway: Gateway, drain_seconds: float) -> None:
        super().__init__(options)
        self._gateway = gateway
        self._drain_seconds = drain_seconds

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to drain at the first signal; stop without waiting at the second.

        uvicorn's own handler raises the signal again at the end, and the process would not end with 0.
        """
        del sig, frame
        if self._gateway.is_draining:
            self.force_exit = self.should_exit
            self.should_exit = True
            return
        self._gateway.is_draining = True
        loop = asyncio.get_running_loop()
        loop.call_soon_threadsafe(loop.call_later, self._drain_seconds, self._stop)

    def _stop(self) -> None:
        self.should_exit = True


async def serve(config: Config) -> None:
    """Serve until told to stop; requests under way are finished. Raise OSError when a certificate cannot be read."""
    async with followed(Servers(config.server, tls.of(config)), config.resolve_seconds) as servers:
        gateway = Gateway(config, servers)
        options = uvicorn.Config(
            App(gateway),
            http="httptools",
            loop="none",
            ws="none",
            lifespan="off",
            access_log=False,
            log_level="info",
            server_header=False,
            date_header=False,
            timeout_graceful_shutdown=int(config.request_timeout_seconds) + SHUTDOWN_MARGIN_SECONDS,
        )
        learning = asyncio.create_task(gateway.knowledge.follow())
        try:
            with _listening(config.host, config.port) as listener:
                await Server(options, gateway, config.drain_seconds).serve([listener])
        finally:
            learning.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await learning


def _listening(host: str, port: int) -> socket.socket:
    """Return a listening socket; without a host, or on "::", on every address of both families where there are both."""
    if host in {"", "::"} and socket.has_dualstack_ipv6():
        try:
            return socket.create_server(("::", port), family=socket.AF_INET6, backlog=BACKLOG, dualstack_ipv6=True)
        except OSError as error:
            # IPv6 is compiled in and switched off.
            LOG.info("no IPv6 here (%s): listening on IPv4", error.strerror)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=BACKLOG)


def main(arguments: Sequence[str]) -> int:
    """Run the gateway until SIGTERM; return 0."""
    config = configuration.parse(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    if sys.platform == "win32":
        asyncio.run(serve(config))
    else:
        import uvloop  # noqa: PLC0415 - not there on Windows

        uvloop.run(serve(config))
    return 0


def run() -> NoReturn:
    """Run the command and exit."""
    raise SystemExit(main(sys.argv[1:]))


if __name__ == "__main__":
    run()
