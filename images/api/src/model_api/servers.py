"""The server pods behind one name: a kept gRPC connection to each, and the least busy one for the next call."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import math
import socket
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from model_api.channel import Channel
from model_api.room import Room
from serving_codec.status import Code, ServingError
from serving_http import lasting

if TYPE_CHECKING:
    from collections.abc import Sequence

    from model_api.tls import Tls

LOG = logging.getLogger(__name__)
# The calls a gateway passes on, and the service each belongs to (tensorflow_serving/apis).
SERVICES = {
    "Predict": "PredictionService",
    "Classify": "PredictionService",
    "Regress": "PredictionService",
    "GetModelMetadata": "PredictionService",
    "GetModelStatus": "ModelService",
}
# What is told of the model; it needs no room that answers take, and is not asked for when they leave none.
TELLING = frozenset({"GetModelMetadata", "GetModelStatus", "Describe"})
TOLD_BYTES = 32 << 20
METHODS = {name: f"/tensorflow.serving.{service}/{name}".encode() for name, service in SERVICES.items()}
# A model describes itself by a signature of its own.
METHODS["Describe"] = METHODS["Predict"]
ATTEMPTS = 3
# Calls under way on a connection that is let go have so long.
GRACE_SECONDS = 30.0
# A pod that refused a call is passed over for this long while there are others.
PASSED_OVER_SECONDS = 1.0
# A pod whose address is gone is stopping, and answers for a while yet: longer than the chart's preStop sleep.
LEAVING_SECONDS = 30.0
# What another pod may answer otherwise: this one is away, or has not (or no longer) the model that is asked for.
ELSEWHERE = frozenset({Code.UNAVAILABLE, Code.NOT_FOUND})
# How long an answer may take, as a multiple of what is usual and at least, before another server is asked as well.
PATIENCE_FACTOR = 8.0
LEAST_PATIENCE_SECONDS = 1.0
# A server that let a call wait longer is asked again after so long, by a call that others answer if it must.
SILENT_SECONDS = 5.0


@dataclass(eq=False)
class Server:
    """One address: its connection, the calls under way on it, and when it is passed over or left out.

    `usual_seconds` is what its answers took of late. `silent_since` is when a call last waited far
    longer than that; minus infinity once it has answered again.
    """

    address: str
    channel: Channel
    outstanding: int = 0
    asked: int = 0
    passed_over_until: float = 0.0
    leaves_at: float = math.inf
    usual_seconds: float = 0.0
    silent_since: float = -math.inf

    @property
    def is_connected(self) -> bool:
        """Tell whether the connection is there."""
        return self.channel.is_connected


class Servers:
    """All server pods; `refresh` follows the name as pods come and go."""

    def __init__(self, targets: Sequence[str], tls: Tls | None, room: Room) -> None:
        # For the life of the process.
        self._tls = tls
        self.room = room
        self._told = Room(TOLD_BYTES)
        self._names = [_host_and_port(target) for target in targets]
        # As pods come and go.
        self._servers: dict[str, Server] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self._asked = 0
        # Addresses that were ever found.
        self.found = 0

    @property
    def count(self) -> int:
        """Return how many addresses the name has."""
        return sum(server.leaves_at == math.inf for server in self._servers.values())

    @property
    def are_connected(self) -> bool:
        """Tell whether at least one server has a connection."""
        return any(server.is_connected for server in self._servers.values())

    async def follow(self, seconds: float) -> None:
        """Look the name up every so many seconds until cancelled."""
        while True:
            await self.refresh()
            await asyncio.sleep(seconds)

    async def refresh(self) -> None:
        """Look the name up once: connect to new addresses, let those that are gone leave."""
        addresses = await self._resolve()
        if addresses is None:
            return
        now = time.monotonic()
        for address in addresses:
            known = self._servers.get(address)
            if known is None:
                LOG.info("server %s found", address)
                self.found += 1
                self._servers[address] = _connect(address, self._tls)
            else:
                known.leaves_at = math.inf
        for address in set(self._servers) - addresses:
            server = self._servers[address]
            if server.leaves_at == math.inf:
                LOG.info("server %s is leaving", address)
                server.leaves_at = now + LEAVING_SECONDS
            elif now >= server.leaves_at:
                self._let_go(server)

    def _let_go(self, server: Server) -> None:
        """Close a connection whose calls under way may finish."""
        LOG.info("server %s is gone", server.address)
        del self._servers[server.address]
        task = asyncio.get_running_loop().create_task(server.channel.close(GRACE_SECONDS))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def close(self) -> None:
        """Close every connection."""
        for server in self._servers.values():
            await server.channel.close(0)
        self._servers.clear()

    async def call(self, method: str, request: bytes, timeout: float) -> bytes:  # noqa: ASYNC109 - the call's deadline
        """Return a server's reply to one of METHODS, serialized; others are tried where one cannot answer.

        Raise ServingError with the status and the words of the last one asked.
        """
        deadline = time.monotonic() + timeout
        # The usual small release, without what choosing costs; nobody else could be asked anyhow.
        if len(self._servers) == 1:
            (server,) = self._servers.values()
            return await self._attempt(server, method, request, deadline)
        return await self._call_any(method, request, deadline)

    async def _call_any(self, method: str, request: bytes, deadline: float) -> bytes:
        """Ask one server, and a further one where it refuses, is away, or lets the call wait far longer than usual.

        The first answer counts. So a pod that hangs costs its callers that wait once, not their whole time each.
        """
        tried: set[str] = set()
        attempts: dict[asyncio.Task[bytes], Server] = {}
        refusal: ServingError | None = None
        try:
            while True:
                if len(tried) < min(ATTEMPTS, len(self._servers)) or not (tried or attempts):
                    server = self._least_busy(tried)
                    tried.add(server.address)
                    attempt = asyncio.ensure_future(self._attempt(server, method, request, deadline))
                    attempts[attempt] = server
                patience = self._patience(server, tried, deadline)
                done, _ = await asyncio.wait(attempts, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
                for attempt in done:
                    del attempts[attempt]
                    error = attempt.exception()
                    if error is None:
                        return attempt.result()
                    if not isinstance(error, ServingError) or error.code not in ELSEWHERE:
                        raise error
                    refusal = error
                # Too long for this pod, so far: the call stays with it, its answer may still be the first.
                if not done:
                    server.silent_since = time.monotonic()
                is_over = len(tried) >= min(ATTEMPTS, len(self._servers)) or time.monotonic() >= deadline
                if refusal is not None and not attempts and is_over:
                    raise refusal
        finally:
            for attempt in attempts:
                attempt.cancel()

    def _patience(self, server: Server, tried: set[str], deadline: float) -> float | None:
        """Return how long a server is waited for before another is asked too; None where there is no other."""
        if len(tried) >= min(ATTEMPTS, len(self._servers)):
            return None
        usual = max(LEAST_PATIENCE_SECONDS, PATIENCE_FACTOR * server.usual_seconds)
        # Half of what is left, or the second pod would have no time to answer in.
        return max(0.0, min(usual, (deadline - time.monotonic()) / 2))

    async def _attempt(self, server: Server, method: str, request: bytes, deadline: float) -> bytes:
        started = time.monotonic()
        server.outstanding += 1
        server.asked = self._asked = self._asked + 1
        try:
            room = self._told if method in TELLING else self.room
            reply = await server.channel.call(METHODS[method], request, max(0.001, deadline - started), room)
        except ServingError as error:
            if error.code is Code.UNAVAILABLE:
                server.passed_over_until = time.monotonic() + PASSED_OVER_SECONDS
            # A refusal is an answer; a deadline that passed says nothing of the pod.
            elif error.code is not Code.DEADLINE_EXCEEDED:
                server.silent_since = -math.inf
            raise
        else:
            server.silent_since = -math.inf
            took = time.monotonic() - started
            # Up at once, down slowly: a pod that has become slow must not be asked twice for each call.
            server.usual_seconds += (took - server.usual_seconds) * (0.5 if took > server.usual_seconds else 0.05)
            return reply
        finally:
            server.outstanding -= 1

    def _least_busy(self, tried: set[str]) -> Server:
        """Return the server for the next call: one that stays and answers, has least to do, was asked longest ago."""
        servers = [server for address, server in self._servers.items() if address not in tried]
        if not servers:
            raise ServingError(Code.UNAVAILABLE, "no server is ready yet")
        now = time.monotonic()
        return min(
            servers,
            key=lambda server: (
                server.leaves_at != math.inf,
                server.passed_over_until > now,
                # One that is silent is asked again when all the others have been, now and then.
                now - server.silent_since < SILENT_SECONDS,
                server.outstanding,
                server.asked,
            ),
        )

    async def _resolve(self) -> set[str] | None:
        """Return the addresses of the names; None keeps those known while the name service does not answer."""
        found = [await _addresses(host, port) for host, port in self._names]
        known = [addresses for addresses in found if addresses is not None]
        # All or nothing: the pods of a name that cannot be looked up now are not gone.
        return set().union(*known) if len(known) == len(found) else None


async def _addresses(host: str, port: int) -> set[str] | None:
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        # A headless Service without ready pods has no name at all.
        return set() if error.errno in {socket.EAI_NONAME, socket.EAI_NODATA} else None
    except OSError:
        return None
    return {_target(family, address) for family, _, _, _, address in found}


def _host_and_port(target: str) -> tuple[str, int]:
    host, _, port = target.rpartition(":")
    return host.removeprefix("[").removesuffix("]"), int(port)


def _target(family: int, address: Any) -> str:
    return f"[{address[0]}]:{address[1]}" if family == socket.AF_INET6 else f"{address[0]}:{address[1]}"


def _connect(address: str, tls: Tls | None) -> Server:
    return Server(address, Channel(*_host_and_port(address), tls))


@contextlib.asynccontextmanager
async def followed(servers: Servers, seconds: float) -> Any:
    """Follow the name while the block runs, then close every connection."""
    await servers.refresh()
    task = lasting.task(functools.partial(servers.follow, seconds))
    try:
        yield servers
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await servers.close()
