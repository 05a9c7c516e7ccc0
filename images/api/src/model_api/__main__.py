"""`model-api`: start, serve, drain, stop."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import os
import signal
import sys
from typing import TYPE_CHECKING, NoReturn

from model_api import config as configuration
from model_api import tls, workers
from model_api.app import App
from model_api.gateway import Gateway
from model_api.room import Room
from model_api.servers import Servers, followed
from serving_http import lasting, listener, memory
from serving_http.front import Front
from serving_http.limits import Limits

if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence

    from model_api.config import Config

LOG = logging.getLogger(__name__)
# Longer than any request may take.
SHUTDOWN_MARGIN_SECONDS = 2
SWITCH_SECONDS = 0.001


async def serve(config: Config, listening: socket.socket) -> None:
    """Serve until told to stop; requests under way are finished. Raise OSError when a certificate cannot be read."""
    to_servers = Servers(config.server, tls.of(config), Room(config.max_held_answer_bytes))
    async with followed(to_servers, config.resolve_seconds) as servers:
        gateway = Gateway(config, servers)
        front = Front(App(gateway), Limits.of(config))
        learning = lasting.task(gateway.knowledge.follow)
        try:
            stops = _stops()
            await front.listen(listening, listener.BACKLOG)
            LOG.info("listening on port %d", listening.getsockname()[1])
            await _drained(await stops.get(), stops, gateway, front, config.drain_seconds)
            await front.stop(config.request_timeout_seconds + SHUTDOWN_MARGIN_SECONDS)
            # The handlers go with the loop: one more signal would end the process with another code than 0.
            for number in workers.STOP_SIGNALS:
                asyncio.get_running_loop().remove_signal_handler(number)
                signal.signal(number, signal.SIG_IGN)
        finally:
            learning.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await learning


def _stops() -> asyncio.Queue[signal.Signals]:
    """Return the signals to stop as they come."""
    queue: asyncio.Queue[signal.Signals] = asyncio.Queue()
    for number in workers.STOP_SIGNALS:
        asyncio.get_running_loop().add_signal_handler(number, queue.put_nowait, number)
    return queue


async def _drained(
    first: signal.Signals, stops: asyncio.Queue[signal.Signals], gateway: Gateway, front: Front, seconds: float
) -> None:
    """Go on serving for a while, no longer ready; a second signal, or a person's Ctrl-C, ends that."""
    gateway.is_draining = True
    front.begin_drain()
    LOG.info("stopping: draining for %g s", seconds)
    if first is not signal.SIGINT:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stops.get(), seconds)


def main(arguments: Sequence[str], *, is_first: bool = False) -> int:
    """Run the gateway until SIGTERM; return 0. The first process of a container (see workers) never serves itself."""
    config = configuration.parse(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    with contextlib.ExitStack() as stack:
        shared = config.workers > 1
        binds = (listener.bind(config.host, config.port, is_shared=shared) for _ in range(config.workers))
        sockets = [stack.enter_context(one) for one in binds]
        if config.workers == 1 and not is_first:
            return _work(config, sockets[0])
        return workers.run(sockets, functools.partial(_work, workers.share_of(config)))


def _work(config: Config, listening: socket.socket) -> int:
    # How long the event loop waits for a thread that computes in Python: a fifth of what is usual.
    sys.setswitchinterval(SWITCH_SECONDS)
    memory.keep_what_is_imported()
    if sys.platform == "win32":
        asyncio.run(serve(config, listening))
    else:
        import uvloop  # noqa: PLC0415 - not there on Windows

        uvloop.run(serve(config, listening))
    return 0


def run() -> NoReturn:
    """Run the command and exit."""
    raise SystemExit(main(sys.argv[1:], is_first=os.getpid() == 1))


if __name__ == "__main__":
    run()
