"""A connection to one server that is kept, and made again when it is lost."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from typing import TYPE_CHECKING

from model_api import http2
from serving_codec.status import Code, ServingError
from serving_http import lasting

if TYPE_CHECKING:
    from model_api.room import Room
    from model_api.tls import Tls

CONNECT_SECONDS = 5.0
# Between tries: the first pause, and the longest.
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.1, 1.0


class Channel:
    """The way to one server. A call waits while a connection is being made, and fails at once while there is none."""

    def __init__(self, host: str, port: int, tls: Tls | None) -> None:
        # For the life of the channel.
        self._host, self._port, self._tls = host, port, tls
        self._keeping = lasting.task(self._keep)
        # As the server comes and goes.
        self._connection: http2.Connection | None = None
        # Those that take no more calls, and are not done yet, as well.
        self._connections: set[http2.Connection] = set()
        self._tried = asyncio.Event()
        self._reason = ""

    @property
    def is_connected(self) -> bool:
        """Tell whether calls can be made."""
        return self._connection is not None and self._connection.is_open

    async def call(self, path: bytes, request: bytes, seconds: float, room: Room) -> bytes:
        """Return the reply to a unary call, for which there is room; raise ServingError in the server's words."""
        if not self.is_connected:
            loop = asyncio.get_running_loop()
            started = loop.time()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._tried.wait(), seconds)
            seconds = max(0.001, seconds - (loop.time() - started))
        if self._connection is None or not self._connection.is_open:
            raise ServingError(Code.UNAVAILABLE, self._reason or "no connection within the time of the call")
        return await self._connection.call(path, request, seconds, room)

    async def close(self, grace_seconds: float) -> None:
        """Take no new calls; those under way have their time."""
        self._keeping.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._keeping
        for connection in self._connections:
            connection.close_when_done()
        await asyncio.gather(*(connection.closed(grace_seconds) for connection in self._connections))

    async def _keep(self) -> None:
        pause = FIRST_PAUSE_SECONDS
        while True:
            try:
                async with asyncio.timeout(CONNECT_SECONDS):
                    self._connection = await self._connected()
            # ValueError: of a name that is none, which OpenSSL is the first to look at.
            except (OSError, TimeoutError, ValueError) as error:
                self._reason = f"cannot connect to {self._host}:{self._port}: {str(error) or 'no answer in time'}"
                self._tried.set()
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
                continue
            self._connections.add(self._connection)
            self._connection.gone.add_done_callback(functools.partial(self._forget, self._connection))
            self._tried.set()
            pause = FIRST_PAUSE_SECONDS
            self._reason = await self._connection.lost
            self._tried.clear()

    def _forget(self, connection: http2.Connection, _gone: asyncio.Future[None]) -> None:
        self._connections.discard(connection)

    async def _connected(self) -> http2.Connection:
        if self._tls is None:
            name = f"{self._host}:{self._port}"
            return await http2.connected(self._host, self._port, name)
        # Read anew for each connection: certificates are renewed while the process runs.
        name = self._tls.server_name
        return await http2.connected(self._host, self._port, name, (self._tls.context(), name))
