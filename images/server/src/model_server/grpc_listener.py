"""gRPC's port: one event loop on a thread of its own, where a call that waits costs no thread.

Calls whose answer is known to be quick are answered on the loop, all others on a bounded number of threads.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import math
import socket
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import uvloop
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection, reflection_pb2
from tensorflow_serving.apis import model_service_pb2, prediction_service_pb2

from model_server import config_messages, cpus, grpc_health, startup
from model_server.grpc_calls import Ledger, Limits, Turns
from model_server.grpc_server import Server
from model_server.grpc_service import (
    SMALL_BYTES,
    Deadline,
    MayTakeLongError,
    ModelService,
    PredictionService,
    inflated,
    inflated_bytes,
    parsed,
)
from serving_codec.status import Code, ServingError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine

    from model_server.flags import Flags
    from model_server.grpc_service import Answer
    from model_server.manager import Manager
    from model_server.predict import Options

    Handler = Callable[[Any, Any], Coroutine[Any, Any, bytes]]

LOG = logging.getLogger(__name__)
PREDICTION, MODELS = "tensorflow.serving.PredictionService", "tensorflow.serving.ModelService"
# Longer messages are cut, as gRPC carries them in a header, and clients take 8 KiB of those: bytes, each of which may
# become three.
MAXIMUM_MESSAGE_BYTES = 1024
# What headers may take, and where a connection is closed for them (gRPC's own defaults: 8 and 16 KiB).
METADATA_BYTES, ABSOLUTE_METADATA_BYTES = 8 << 10, 16 << 10
# A client that went without a word is found by pings; one that has nothing to ask is told to connect again.
KEEPALIVE_MS, KEEPALIVE_TIMEOUT_MS, IDLE_MS = 60_000, 20_000, 3_600_000
# Clients may ping so often: what kubelets, proxies and clients set to 10 s need.
CLIENT_PING_MS = 5_000
FRAME_BYTES = 1 << 20
MAXIMUM_CONNECTIONS = 16_384
# Health watches, reflection streams and reloads at once, each: they are not calls that end.
MAXIMUM_STREAMS = 128
METADATA_THREADS = 2
RELOAD_SECONDS = 0.02


class GrpcListener:
    """PredictionService, ModelService, reflection and, if asked for, grpc.health.v1 on TCP and a UNIX socket."""

    def __init__(self, flags: Flags, manager: Manager, options: Options) -> None:
        """Listen; raise ServingError where that cannot be."""
        self._flags = flags
        self._health = grpc_health.Health(manager)
        self._services = _Services(flags, manager, options, self._health)
        self._loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="grpc", daemon=True)
        self._thread.start()
        self._server: Server = self._on_loop(self._start()).result()
        LOG.info("Running gRPC ModelServer at %s ...", _addresses(flags)[0])

    def stop(self, seconds: float) -> None:
        """Take no new calls, give those under way their time, and return when they are done."""
        self._health.drain()
        self._on_loop(self._server.stop(seconds)).result()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    def _on_loop(self, work: Coroutine[Any, Any, Any]) -> Future[Any]:
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    async def _start(self) -> Server:
        flags = self._flags
        server = Server(channel_arguments(flags))
        for name, handlers in self._services.handlers().items():
            server.add_registered_method_handlers(name, handlers)
        credentials = _credentials(flags.ssl_config_file) if flags.ssl_config_file else None
        for address in _addresses(flags):
            _bind(server, address, credentials)
        await server.start()
        self._services.begin()
        return server


class _Services:
    """The methods, as gRPC's event loop calls them: each receives its message itself, and so decides when to stop."""

    def __init__(self, flags: Flags, manager: Manager, options: Options, health: grpc_health.Health) -> None:
        # For the life of the listener.
        self._ledger = Ledger(_limits(flags))
        self._turns = Turns(flags.grpc_max_threads or startup.THREADS_PER_CPU * cpus.usable(), "grpc-run")
        # What probes ask must not wait for inferences, nor for a disk that a reload looks at.
        self._aside = Turns(METADATA_THREADS, "grpc-metadata")
        self._reloads = ThreadPoolExecutor(1, thread_name_prefix="grpc-reload")
        self._prediction = PredictionService(manager, options)
        self._models = ModelService(manager, flags.reload_config_root)
        self._has_health = flags.enable_grpc_healthcheck_service
        self._health = health
        self._streams = {"reload": 0, "watch": 0, "reflection": 0}
        self._sweep: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Begin to end calls that are late; on the loop."""
        self._sweep = asyncio.get_running_loop().create_task(self._ledger.sweep())

    def handlers(self) -> dict[str, dict[str, Any]]:
        """Return gRPC's handlers, by service and method."""
        prediction, models, turns, aside = self._prediction, self._models, self._turns, self._aside
        unary = {
            PREDICTION: {
                "Predict": self._unary(prediction.predict, turns, prediction.predict_at_once),
                "Classify": self._unary(prediction.classify, turns),
                "Regress": self._unary(prediction.regress, turns),
                "MultiInference": self._unary(prediction.multi_inference, turns),
                "GetModelMetadata": self._unary(prediction.metadata, aside),
            },
            MODELS: {
                "GetModelStatus": self._unary(models.status, aside, models.status),
                "HandleReloadConfigRequest": self._guarded(self._reload),
            },
        }
        streams: dict[str, dict[str, Any]] = {reflection.SERVICE_NAME: {"ServerReflectionInfo": self._reflection()}}
        if self._has_health:
            unary[grpc_health.SERVICE] = {
                "Check": self._unary(self._check, aside, self._check),
                "List": self._unary(self._list, aside, self._list),
            }
            streams[grpc_health.SERVICE] = {"Watch": grpc.stream_stream_rpc_method_handler(self._watch)}
        found: dict[str, dict[str, Any]] = {
            service: {name: grpc.stream_unary_rpc_method_handler(handler) for name, handler in methods.items()}
            for service, methods in unary.items()
        }
        for service, methods in streams.items():
            found.setdefault(service, {}).update(methods)
        return found

    def _unary(self, answer: Answer, turns: Turns, at_once: Answer | None = None) -> Handler:
        """Return the handler of a method that has an answer: small messages at once where that can be, or in a turn."""
        ledger, largest = self._ledger, self._ledger.limits.message_bytes

        async def handle(_requests: object, context: Any) -> bytes:
            try:
                ledger.enter(context)
                message = await ledger.message(context)
                deadline = _deadline(context)
                size = inflated_bytes(message, largest)
                if at_once is not None and size is None and len(message) <= SMALL_BYTES:
                    try:
                        return at_once(message, deadline)
                    except MayTakeLongError:
                        pass
                held = len(message) + (size or 0)
                ledger.hold(held)
                work = functools.partial(answer, message, deadline)
                if size is not None:
                    work = functools.partial(_inflated_first, answer, message, size, deadline)
                del message
                return await turns.run(work, functools.partial(ledger.release, held))
            except Exception as error:  # noqa: BLE001 - told by _refuse
                return await _refuse(context, error)

        return handle

    @staticmethod
    def _guarded(call: Callable[[Any], Awaitable[bytes]]) -> Handler:
        """Return a handler that ends a call with its error's code and words."""

        async def handle(_requests: object, context: Any) -> bytes:
            try:
                return await call(context)
            except Exception as error:  # noqa: BLE001 - told by _refuse
                return await _refuse(context, error)

        return handle

    # ---- reload

    async def _reload(self, context: Any) -> bytes:
        """Replace the models; the wait ends with its caller, and nobody waits for it but the caller."""
        self._ledger.enter(context)
        message = await self._small(context)
        self._enter_stream("reload", context)
        loop = asyncio.get_running_loop()
        reload = await loop.run_in_executor(self._reloads, self._models.begin_reload, message)
        # Without a thread: the models' states are guarded by a condition of threads.
        while not reload.is_over():  # noqa: ASYNC110
            await asyncio.sleep(RELOAD_SECONDS)
        return reload.reply()

    # ---- health

    def _check(self, message: bytes, _deadline: Deadline) -> bytes:
        reply: bytes = self._health.check(parsed(health_pb2.HealthCheckRequest, message).service).SerializeToString()
        return reply

    def _list(self, _message: bytes, _deadline: Deadline) -> bytes:
        reply: bytes = self._health.listed().SerializeToString()
        return reply

    async def _watch(self, _requests: object, context: Any) -> None:
        try:
            self._enter_stream("watch", context)
            message = await self._small(context)
            service = parsed(health_pb2.HealthCheckRequest, message).service
            async for status in self._health.watch(service):
                await context.write(status.SerializeToString())
        except ServingError as error:
            await _abort(context, error)

    # ---- reflection

    def _reflection(self) -> Any:
        files = [prediction_service_pb2, model_service_pb2, *([health_pb2] if self._has_health else [])]
        served = [service.full_name for file in files for service in file.DESCRIPTOR.services_by_name.values()]
        servicer = reflection.aio.ReflectionServicer([*served, reflection.SERVICE_NAME])

        async def reflect(_requests: object, context: Any) -> None:
            async def requests() -> AsyncIterator[Any]:
                while (message := await self._next(context)) is not None:
                    yield parsed(reflection_pb2.ServerReflectionRequest, message)

            try:
                self._enter_stream("reflection", context)
                async for reply in servicer.ServerReflectionInfo(requests(), context):
                    await context.write(reply.SerializeToString())
            except ServingError as error:
                await _abort(context, error)

        return grpc.stream_stream_rpc_method_handler(reflect)

    async def _next(self, context: Any) -> bytes | None:
        """Return a stream's next message, None after the last; raise DEADLINE_EXCEEDED when it takes too long."""
        try:
            async with asyncio.timeout(self._ledger.limits.message_seconds):
                message = await context.read()
        except TimeoutError:
            raise ServingError(Code.DEADLINE_EXCEEDED, "The stream's next message has not come") from None
        return None if message is grpc.aio.EOF else _checked_small(message)

    async def _small(self, context: Any) -> bytes:
        return _checked_small(await self._ledger.message(context))

    def _enter_stream(self, kind: str, context: Any) -> None:
        if self._streams[kind] >= MAXIMUM_STREAMS:
            raise ServingError(Code.RESOURCE_EXHAUSTED, f"{MAXIMUM_STREAMS} calls of this kind are under way")
        self._streams[kind] += 1

        def leave(_context: object) -> None:
            self._streams[kind] -= 1

        context.add_done_callback(leave)


def _inflated_first(answer: Answer, message: bytes, most: int, deadline: Deadline) -> bytes:
    return answer(inflated(message, most), deadline)


def _checked_small(message: bytes) -> bytes:
    """Return a message that is read on the loop, inflated; raise RESOURCE_EXHAUSTED for a large one."""
    size = inflated_bytes(message, SMALL_BYTES)
    content = message if size is None else inflated(message, size)
    if len(content) > SMALL_BYTES:
        raise ServingError(Code.RESOURCE_EXHAUSTED, f"A message of {len(content)} bytes is too large for this method")
    return content


def _deadline(context: Any) -> Deadline:
    remaining = context.time_remaining()
    return Deadline(math.inf if remaining is None else time.monotonic() + remaining)


async def _refuse(context: Any, error: Exception) -> bytes:
    """End a call with its error's code and words; raise what is gRPC's own."""
    if isinstance(error, grpc.aio.AbortError | grpc.aio.BaseError):
        raise error
    if not isinstance(error, ServingError):
        LOG.error("a call failed", exc_info=error)
        error = ServingError(Code.INTERNAL, str(error))
    await _abort(context, error)
    raise AssertionError("abort raises")


async def _abort(context: Any, error: ServingError) -> None:
    """End a call with an error's code and words, which may hold whatever a client has sent."""
    content = error.message.encode("utf-8", "replace")
    if len(content) > MAXIMUM_MESSAGE_BYTES:
        content = content[:MAXIMUM_MESSAGE_BYTES] + b"...TRUNCATED"
    await context.abort(grpc.StatusCode[error.code.name], content.decode("utf-8", "ignore"))


def _limits(flags: Flags) -> Limits:
    """Return the limits the flags say; a message's size is what gRPC's own argument says where there is one."""
    message_bytes: int = dict(channel_arguments(flags))["grpc.max_receive_message_length"]
    return Limits(
        flags.grpc_max_concurrent_calls,
        flags.grpc_message_timeout_seconds,
        message_bytes if message_bytes >= 0 else 2**31 - 1,
        flags.grpc_message_budget_bytes,
    )


def channel_arguments(flags: Flags) -> list[tuple[str, Any]]:
    """Return gRPC options: our limits, then `k=v,k=v` from the flag, which win."""
    options: dict[str, Any] = {
        "grpc.max_receive_message_length": flags.grpc_max_message_bytes,
        "grpc.max_send_message_length": -1,
        "grpc.max_metadata_size": METADATA_BYTES,
        "grpc.absolute_max_metadata_size": ABSOLUTE_METADATA_BYTES,
        # A batch of pictures in one frame, not in dozens of 16 KiB, each of which wakes two threads: 1.4 times the
        # calls of 50 KB. It is also what a call may send before anybody reads it.
        "grpc.http2.max_frame_size": FRAME_BYTES,
        "grpc.http2.lookahead_bytes": FRAME_BYTES,
        # A client with more to ask waits by itself.
        "grpc.max_concurrent_streams": flags.grpc_max_concurrent_calls,
        "grpc.max_allowed_incoming_connections": MAXIMUM_CONNECTIONS,
        "grpc.keepalive_time_ms": KEEPALIVE_MS,
        "grpc.keepalive_timeout_ms": KEEPALIVE_TIMEOUT_MS,
        "grpc.max_connection_idle_ms": IDLE_MS,
        "grpc.http2.min_ping_interval_without_data_ms": CLIENT_PING_MS,
        "grpc.keepalive_permit_without_calls": 1,
        # See inflated_bytes.
        "grpc.per_message_decompression": 0,
        # Two servers on one port would share its calls.
        "grpc.so_reuseport": 0,
    }
    for pair in filter(None, flags.grpc_channel_arguments.split(",")):
        key, _, value = pair.partition("=")
        options[key] = int(value) if value.lstrip("-").isdecimal() else value
    return list(options.items())


def _addresses(flags: Flags) -> list[str]:
    """Return where to listen: on both families where there are two, and on the socket; the port first."""
    host = "[::]" if socket.has_dualstack_ipv6() and Path("/proc/net/if_inet6").exists() else "0.0.0.0"  # noqa: S104
    addresses = [f"{host}:{flags.port}"] if flags.port else []
    return addresses + ([f"unix:{flags.grpc_socket_path}"] if flags.grpc_socket_path else [])


def _bind(server: Server, address: str, credentials: grpc.ServerCredentials | None) -> None:
    try:
        if credentials is None:
            server.add_insecure_port(address)
        else:
            server.add_secure_port(address, credentials)
    except RuntimeError as error:
        raise ServingError(Code.UNKNOWN, f"Error: Failed to start gRPC server on {address}: {error}") from error


def _credentials(path: str) -> grpc.ServerCredentials:
    """Return the TLS credentials of an SSLConfig file, which holds PEM text; raise ServingError without key or cert."""
    message = config_messages.read(path, config_messages.SSLConfig)
    if not message.server_key or not message.server_cert:
        raise ServingError(
            Code.INVALID_ARGUMENT, f"ssl_config_file {path}: server_key and server_cert must hold PEM text"
        )
    return grpc.ssl_server_credentials(
        [(message.server_key.encode(), message.server_cert.encode())],
        root_certificates=message.custom_ca.encode() or None,
        require_client_auth=message.client_verify,
    )
