"""The server pods behind one name: a kept gRPC connection to each, and the least busy one for the next call."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio

from model_api import messages
from model_api.errors import InputError, TooSlowError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable

    from model_api.tls import Tls

LOG = logging.getLogger(__name__)
PREDICT = "/tensorflow.serving.PredictionService/Predict"
METADATA = "/tensorflow.serving.PredictionService/GetModelMetadata"
# A batch may be larger than gRPC's 4 MB; keep-alive finds a pod that vanished without a word.
OPTIONS = (
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    # Every connection its own: pods must not share one through gRPC's global pool.
    ("grpc.use_local_subchannel_pool", 1),
)
ATTEMPTS = 2
# A pod that refused a call is passed over for this long while there are others.
REST_SECONDS = 1.0


@dataclass(eq=False)
class Server:
    """One address: its connection, the calls under way on it, and until when it is passed over."""

    address: str
    channel: grpc.aio.Channel
    predict: Callable[..., Any]
    metadata: Callable[..., Any]
    outstanding: int = 0
    rests_until: float = field(default=0.0)


class Servers:
    """All server pods; `refresh` follows the name as pods come and go."""

    def __init__(self, target: str, tls: Tls | None = None) -> None:
        # For the life of the process.
        self._tls = tls
        host, _, port = target.rpartition(":")
        self._host = host
        self._port = int(port)
        # As pods come and go.
        self._servers: dict[str, Server] = {}

    @property
    def count(self) -> int:
        """Return how many addresses are known."""
        return len(self._servers)

    async def follow(self, seconds: float) -> None:
        """Look the name up every so many seconds until cancelled."""
        while True:
            await self.refresh()
            await asyncio.sleep(seconds)

    async def refresh(self) -> None:
        """Look the name up once: connect to new addresses, let go of those that are gone."""
        addresses = await self._resolve()
        if addresses is None:
            return
        for address in addresses - set(self._servers):
            LOG.info("server %s found", address)
            self._servers[address] = _connect(address, self._tls)
        for address in set(self._servers) - addresses:
            LOG.info("server %s is gone", address)
            server = self._servers.pop(address)
            # Calls under way may finish.
            asyncio.get_running_loop().create_task(server.channel.close(grace=30))

    async def close(self) -> None:
        """Close every connection."""
        for server in self._servers.values():
            await server.channel.close(grace=None)
        self._servers.clear()

    async def predict(self, request: bytes, timeout: float) -> Any:  # noqa: ASYNC109 - becomes the call's deadline
        """Return the PredictResponse of the least busy server; another one is tried when it is away.

        Raise UnavailableError, TooSlowError, or InputError when the model refuses the numbers.
        """
        return messages.PredictResponse.FromString(await self._call("predict", request, timeout))

    async def get_metadata(self, request: bytes, timeout: float) -> Any:  # noqa: ASYNC109
        """Return the GetModelMetadataResponse of one server; raise as `predict` does."""
        return messages.GetModelMetadataResponse.FromString(await self._call("metadata", request, timeout))

    async def _call(self, method: str, request: bytes, timeout: float) -> bytes:  # noqa: ASYNC109
        deadline = time.monotonic() + timeout
        for attempt in range(ATTEMPTS):
            server = self._least_busy()
            server.outstanding += 1
            try:
                reply: bytes = await getattr(server, method)(request, timeout=max(0.001, deadline - time.monotonic()))
            except grpc.aio.AioRpcError as error:
                if error.code() is grpc.StatusCode.UNAVAILABLE:
                    server.rests_until = time.monotonic() + REST_SECONDS
                    if attempt + 1 < ATTEMPTS and time.monotonic() < deadline:
                        continue
                raise _translated(error) from error
            else:
                return reply
            finally:
                server.outstanding -= 1
        raise UnavailableError("no server answers")

    def _least_busy(self) -> Server:
        if not self._servers:
            raise UnavailableError("no server is ready yet")
        now = time.monotonic()
        return min(self._servers.values(), key=lambda server: (server.rests_until > now, server.outstanding))

    async def _resolve(self) -> set[str] | None:
        """Return the addresses of the name; None keeps those known while the name service does not answer."""
        loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
        except socket.gaierror as error:
            # A headless Service without ready pods has no name at all.
            return set() if error.errno in {socket.EAI_NONAME, socket.EAI_NODATA} else None
        except OSError:
            return None
        return {_target(family, address) for family, _, _, _, address in found}


def _target(family: int, address: Any) -> str:
    if family == socket.AF_INET6:
        return f"ipv6:[{address[0]}]:{address[1]}"
    return f"ipv4:{address[0]}:{address[1]}"


def _connect(address: str, tls: Tls | None) -> Server:
    if tls is None:
        channel = grpc.aio.insecure_channel(address, options=OPTIONS)
    else:
        options = (*OPTIONS, ("grpc.ssl_target_name_override", tls.server_name))
        channel = grpc.aio.secure_channel(address, tls.credentials, options=options)
    return Server(address, channel, channel.unary_unary(PREDICT), channel.unary_unary(METADATA))


def _translated(error: grpc.aio.AioRpcError) -> Exception:
    """Return the error a caller is told of; one table for every gRPC status."""
    details = (error.details() or "").splitlines()[0] if error.details() else error.code().name
    match error.code():
        case grpc.StatusCode.DEADLINE_EXCEEDED:
            return TooSlowError("the model did not answer in time")
        case grpc.StatusCode.INVALID_ARGUMENT:
            return InputError(f"the model refused the request: {details[:300]}")
        case grpc.StatusCode.UNAVAILABLE:
            return UnavailableError("no server answers")
        case grpc.StatusCode.NOT_FOUND | grpc.StatusCode.FAILED_PRECONDITION | grpc.StatusCode.RESOURCE_EXHAUSTED:
            return UnavailableError(f"the model cannot be asked now: {details[:300]}")
        case _:
            LOG.error("server answered %s: %s", error.code().name, details)
            return UnavailableError("the server failed")


@contextlib.asynccontextmanager
async def followed(servers: Servers, seconds: float) -> Any:
    """Follow the name while the block runs, then close every connection."""
    await servers.refresh()
    task = asyncio.create_task(servers.follow(seconds))
    try:
        yield servers
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await servers.close()
