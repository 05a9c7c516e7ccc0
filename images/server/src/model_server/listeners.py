"""REST's port, opened once every model is loaded, drained on the way out; gRPC's is grpc_listener.py's."""

from __future__ import annotations

import logging
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import uvicorn

from model_server import config_messages, cpus, startup
from model_server.rest import App, Settings

if TYPE_CHECKING:
    from model_server.flags import Flags
    from model_server.manager import Manager
    from model_server.predict import Options

LOG = logging.getLogger(__name__)
LISTEN_BACKLOG = 2048
METRICS_PATH = "/monitoring/prometheus/metrics"


class RestListener:
    """REST, and the metrics page, on a thread of its own."""

    def __init__(self, flags: Flags, manager: Manager, options: Options, metrics_path: str | None) -> None:
        """Listen; raise OSError where the port is taken."""
        listener = _listen(flags.rest_api_port)
        threads = flags.rest_api_num_threads or startup.THREADS_PER_CPU * cpus.usable()
        executor = ThreadPoolExecutor(threads, thread_name_prefix="rest")
        settings = Settings(startup.rest_timeout_ms(flags), flags.rest_api_enable_cors_support, metrics_path)
        config = uvicorn.Config(
            App(manager, executor, settings, options),
            http="httptools",
            loop="uvloop",
            ws="none",
            lifespan="off",
            access_log=False,
            log_config=None,
            log_level="warning",
            server_header=False,
            date_header=True,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, args=([listener],), name="rest", daemon=True)
        self._thread.start()
        LOG.info("Exporting HTTP/REST API at:localhost:%d ...", flags.rest_api_port)

    def begin_stop(self, seconds: float) -> None:
        """Take no new connections; those with a request under way have `seconds`."""
        self._server.config.timeout_graceful_shutdown = int(seconds)
        self._server.should_exit = True

    def join(self, seconds: float) -> None:
        """Return when the last request is answered, or the time is over."""
        self._thread.join(seconds)


def metrics_path(path: str) -> str | None:
    """Return where a monitoring config file wants the metrics page; None for nowhere. Raise ServingError."""
    if not path:
        return None
    message = config_messages.read(path, config_messages.MonitoringConfig)
    if not message.prometheus_config.enable:
        return None
    return message.prometheus_config.path or METRICS_PATH


def _listen(port: int) -> socket.socket:
    """Return a socket on every address, IPv6 and IPv4, or IPv4 alone where there is no IPv6; raise OSError."""
    if socket.has_dualstack_ipv6() and Path("/proc/net/if_inet6").exists():
        return socket.create_server(("::", port), family=socket.AF_INET6, backlog=LISTEN_BACKLOG, dualstack_ipv6=True)
    return socket.create_server(("0.0.0.0", port), backlog=LISTEN_BACKLOG)  # noqa: S104 - as upstream
