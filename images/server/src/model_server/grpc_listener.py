"""gRPC's port: one event loop on a thread of its own, where a call that waits costs no thread.

Calls whose answer is known to be quick are answered on the loop, all others on a bounded number of threads.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uvloop

from model_server import grpc_health, grpc_options
from model_server.grpc_calls import HEAD, Call, Ledger, status
from model_server.grpc_methods import Methods
from model_server.grpc_tls import Certificates
from serving_codec.status import Code, ServingError
from serving_http import lasting, listener
from serving_http.http2.connection import Connection
from serving_http.http2.frames import literal
from serving_http.http2.streams import NOBODY

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Coroutine, Mapping
    from concurrent.futures import Future

    from model_server.flags import Flags
    from model_server.grpc_calls import Method
    from model_server.manager import Manager
    from model_server.predict import Options
    from serving_http.http2.request import Request
    from serving_http.http2.streams import Stream, Taker

LOG = logging.getLogger(__name__)
SWEEP_SECONDS = 1.0
# So many connections are looked at before others have their turn.
SWEPT_AT_ONCE = 1000
# What is not gRPC is told so by HTTP's own statuses (PROTOCOL-HTTP2.md).
CONTENT_TYPE = b"application/grpc"
NOT_POST, NOT_GRPC = literal(b":status", b"405"), literal(b":status", b"415")
ENCODINGS = frozenset({b"identity", b"gzip", b"deflate"})


class GrpcListener:
    """PredictionService, ModelService, reflection and, if asked for, grpc.health.v1 on TCP and a UNIX socket."""

    def __init__(self, flags: Flags, manager: Manager, options: Options) -> None:
        """Listen; raise ServingError where that cannot be."""
        self._health = grpc_health.Health(manager)
        certificates = Certificates(flags.ssl_config_file) if flags.ssl_config_file else None
        sockets = _sockets(flags)
        self._port = port = Port(flags, {})
        port.methods = Methods(flags, manager, options, self._health, port.ledger).by_path()
        self._loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="grpc", daemon=True)
        self._thread.start()
        context = certificates.context if certificates else None
        self._on_loop(port.listen(sockets, context)).result()
        LOG.info(
            "Running gRPC ModelServer at %s ...", f"0.0.0.0:{flags.port}" if flags.port else flags.grpc_socket_path
        )

    def stop(self, seconds: float) -> None:
        """Take no new calls, give those under way their time, and return when they are done."""
        self._health.drain()
        self._on_loop(self._port.stop(seconds)).result()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    def _on_loop(self, work: Coroutine[Any, Any, Any]) -> Future[Any]:
        return asyncio.run_coroutine_threadsafe(work, self._loop)


class Port:
    """The connections, and the methods that their streams call; a Service of serving_http.http2.connection."""

    def __init__(self, flags: Flags, methods: Mapping[bytes, Method]) -> None:
        # For the life of the listener.
        self.methods = methods
        self._options = grpc_options.of(flags)
        self.ledger = Ledger(self._options.calls)
        self._most = listener.allow_connections(self._options.connections)
        # As connections come and go.
        self._servers: list[asyncio.Server] = []
        self._connections: dict[Connection, float] = {}
        self._sweeping: list[asyncio.Task[None]] = []
        self._is_over = asyncio.Event()

    async def listen(self, sockets: list[socket.socket], context: ssl.SSLContext | None) -> None:
        """Take connections, under TLS where there is a context."""
        loop = asyncio.get_running_loop()
        for listening in sockets:
            make = loop.create_unix_server if listening.family == socket.AF_UNIX else loop.create_server
            server = await make(self._connection, sock=listening, ssl=context, backlog=listener.BACKLOG)
            self._servers.append(server)
        self._sweeping = [lasting.task(self.ledger.sweep), lasting.task(self._sweep)]

    async def stop(self, seconds: float) -> None:
        """Take no new connections, tell those there are to go elsewhere, and end them when the time is over."""
        for server in self._servers:
            server.close()
        self._is_over.clear()
        for connection in list(self._connections):
            connection.drain()
        if self._connections:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._is_over.wait(), seconds)
        for connection in list(self._connections):
            connection.abort()
        for task in self._sweeping:
            task.cancel()

    def _connection(self) -> Connection:
        return Connection(self, self._options.connection)

    # ---- connections

    def opened(self, connection: Connection) -> bool:
        """See Service."""
        if len(self._connections) >= self._most:
            return False
        self._connections[connection] = asyncio.get_running_loop().time()
        return True

    def closed(self, connection: Connection) -> None:
        """See Service."""
        del self._connections[connection]
        if not self._connections:
            self._is_over.set()

    async def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            self._is_over.clear()
            unread_bytes = 0
            for number, (connection, opened) in enumerate(list(self._connections.items())):
                if number % SWEPT_AT_ONCE == SWEPT_AT_ONCE - 1:
                    await asyncio.sleep(0)
                # Meanwhile it may have gone.
                if connection not in self._connections:
                    continue
                now = loop.time()
                connection.sweep(now)
                if now - opened > self._options.age_seconds:
                    connection.drain()
                unread_bytes += connection.unread_bytes
            if unread_bytes > self._options.calls.budget_bytes:
                self._end_unread()

    def _end_unread(self) -> None:
        """End connections whose peers do not read what they have asked for, those with most of it first.

        Not to read costs a client nothing, and one that takes a byte now and then is never late.
        """
        unread = {connection: connection.unread_bytes for connection in self._connections}
        left = sum(unread.values())
        for connection in sorted(unread, key=unread.__getitem__, reverse=True):
            if left <= self._options.calls.budget_bytes:
                return
            left -= unread[connection]
            connection.abort()

    # ---- calls

    def begin(self, stream: Stream, request: Request) -> Taker:
        """See Service."""
        if request.method != b"POST":
            stream.finish(NOT_POST)
            return NOBODY
        if not request.fields.get(b"content-type", b"").startswith(CONTENT_TYPE):
            stream.finish(NOT_GRPC)
            return NOBODY
        try:
            return Call(stream, request, self._method(request), self.ledger)
        except ServingError as error:
            stream.finish(HEAD + status(error))
            return NOBODY

    def _method(self, request: Request) -> Method:
        method = self.methods.get(request.path)
        if method is None:
            raise ServingError(Code.UNIMPLEMENTED, "Method not found!")
        if request.size > self._options.metadata_bytes:
            raise ServingError(
                Code.RESOURCE_EXHAUSTED,
                f"received metadata size exceeds limit: {request.size} vs. {self._options.metadata_bytes}",
            )
        encoding = request.fields.get(b"grpc-encoding", b"identity")
        if encoding not in ENCODINGS:
            raise ServingError(Code.UNIMPLEMENTED, "grpc-encoding: expected identity, gzip or deflate")
        return method


def _sockets(flags: Flags) -> list[socket.socket]:
    """Return what is listened on: the port, on both families where there are two, and the UNIX socket."""
    wanted: list[tuple[str, Callable[[], socket.socket]]] = []
    if flags.port:
        wanted.append((f"0.0.0.0:{flags.port}", lambda: listener.bind("", flags.port)))
    if flags.grpc_socket_path:
        wanted.append((f"unix:{flags.grpc_socket_path}", lambda: _unix(flags.grpc_socket_path)))
    sockets = []
    for address, bind in wanted:
        try:
            sockets.append(bind())
        except OSError as error:
            raise ServingError(Code.UNKNOWN, f"Error: Failed to start gRPC server on {address}: {error}") from error
    return sockets


def _unix(path: str) -> socket.socket:
    # One that a killed process has left is in nobody's use.
    with contextlib.suppress(FileNotFoundError):
        if Path(path).is_socket():
            Path(path).unlink()
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(path)
    return listening
