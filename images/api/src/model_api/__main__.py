"""`model-api`: start, serve, drain, stop."""

from __future__ import annotations

import asyncio
import logging
import os
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

# Longer than any request may take.
SHUTDOWN_MARGIN_SECONDS = 2


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
            App(config, gateway),
            host=config.host,
            port=config.port,
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
        await Server(options, gateway, config.drain_seconds).serve()


def main(arguments: Sequence[str]) -> int:
    """Run the gateway until SIGTERM; return 0."""
    config = configuration.parse(arguments, os.environ)
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
