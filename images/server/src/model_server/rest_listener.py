"""REST's port, opened once every model is loaded, drained on the way out; gRPC's is grpc_listener.py's."""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import TYPE_CHECKING

import uvloop

from model_server import config_messages, cpus, startup
from model_server.rest import App, Settings
from serving_http import listener
from serving_http.front import Front
from serving_http.limits import Limits

if TYPE_CHECKING:
    from model_server.flags import Flags
    from model_server.manager import Manager
    from model_server.predict import Options

LOG = logging.getLogger(__name__)
METRICS_PATH = "/monitoring/prometheus/metrics"
# How long kept connections are told to go elsewhere before nothing new is taken.
DRAIN_SECONDS = 1.0


class RestListener:
    """REST, and the metrics page, on a thread of its own."""

    def __init__(self, flags: Flags, manager: Manager, options: Options, metrics_path: str | None) -> None:
        """Listen; raise OSError where the port is taken."""
        self._listening = listener.bind("", flags.rest_api_port)
        self._limits = Limits.of(flags, "rest_api_")
        self._settings = Settings(
            startup.rest_timeout_ms(flags),
            flags.rest_api_enable_cors_support,
            metrics_path,
            flags.rest_api_num_threads or startup.THREADS_PER_CPU * cpus.usable(),
            self._limits,
        )
        self._manager = manager
        self._options = options
        self._is_told_to_stop = threading.Event()
        self._stop_seconds = 0.0
        self._thread = threading.Thread(target=uvloop.run, args=(self._serve(),), name="rest", daemon=True)
        self._thread.start()
        LOG.info("Exporting HTTP/REST API at:localhost:%d ...", flags.rest_api_port)

    def begin_stop(self, seconds: float) -> None:
        """Have clients go elsewhere, then take no new connections; requests under way have `seconds`."""
        self._stop_seconds = seconds
        self._is_told_to_stop.set()

    def join(self, seconds: float) -> None:
        """Return when the last request is answered, or the time is over."""
        self._thread.join(seconds)

    async def _serve(self) -> None:
        front = Front(App(self._manager, self._settings, self._options), self._limits)
        await front.listen(self._listening, listener.BACKLOG)
        await asyncio.get_running_loop().run_in_executor(None, self._is_told_to_stop.wait)
        front.begin_drain()
        await asyncio.sleep(min(DRAIN_SECONDS, self._stop_seconds))
        await front.stop(self._stop_seconds)


def metrics_path(path: str) -> str | None:
    """Return where a monitoring config file wants the metrics page; None for nowhere. Raise ServingError."""
    if not path:
        return None
    message = config_messages.read(path, config_messages.MonitoringConfig)
    if not message.prometheus_config.enable:
        return None
    return message.prometheus_config.path or METRICS_PATH
