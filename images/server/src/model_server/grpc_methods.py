"""The methods of the gRPC port: which are answered at once, which in a turn on a thread, which over time."""

from __future__ import annotations

import asyncio
import functools
import logging
import math
import traceback
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection, reflection_pb2
from tensorflow_serving.apis import model_service_pb2, prediction_service_pb2

from model_server import cpus, grpc_health, startup
from model_server.grpc_calls import Turns, as_bytes
from model_server.grpc_service import (
    SMALL_BYTES,
    ModelService,
    PredictionService,
    inflated,
    inflated_bytes,
    parsed,
)
from model_server.predict import MayTakeLongError
from serving_codec.status import Code, ServingError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from model_server.flags import Flags
    from model_server.grpc_calls import Call, Ledger, Method
    from model_server.grpc_service import Answer, Deadline
    from model_server.manager import Manager
    from model_server.predict import Options
    from serving_codec.pieces import Buffer

LOG = logging.getLogger(__name__)
PREDICTION, MODELS = "tensorflow.serving.PredictionService", "tensorflow.serving.ModelService"
# Health watches, reflection streams and reloads at once, each: they are not calls that end.
MAXIMUM_STREAMS = 128
# Messages of a stream that wait to be read.
MAXIMUM_WAITING = 64
METADATA_THREADS = 2
RELOAD_SECONDS = 0.02


@dataclass(frozen=True)
class Lanes:
    """Turns on threads; those for large messages are others, so that dozens of them keep no small one waiting.

    Large are those that are sent, and those that are answered, as far as that is known.
    """

    small: Turns
    large: Turns

    @classmethod
    def of(cls, threads: int, name: str) -> Lanes:
        """Return lanes of so many threads, and half as many for large messages."""
        return cls(Turns(threads, name), Turns(max(1, threads // 2), f"{name}-large"))


class Unary:
    """A method with one answer: small messages at once where that can be, others in a turn."""

    is_streaming = False

    def __init__(self, ledger: Ledger, lanes: Lanes, answer: Answer, at_once: Answer | None = None) -> None:
        # For the life of the listener.
        self._ledger = ledger
        self._lanes = lanes
        self._answer = answer
        self._at_once = at_once

    def serve(self, call: Call, message: bytes) -> None:
        """See Method."""
        answer, is_large = self._answer, len(message) > SMALL_BYTES
        try:
            size = inflated_bytes(message, call.encoding, self._ledger.limits.message_bytes)
            is_large = is_large or size is not None
            if self._at_once is not None and not is_large:
                try:
                    call.answer(self._at_once(message, call.deadline))
                except MayTakeLongError as error:
                    is_large = error.is_large
                    if error.rest is not None:
                        answer = functools.partial(_rest, error.rest)
                else:
                    return
            if size is not None:
                self._ledger.hold(call, size)
        except Exception as error:  # noqa: BLE001 - told by _told
            call.refuse(_told(error))
            return
        call.give(math.inf)
        call.task = asyncio.get_running_loop().create_task(
            self._in_turn(call, answer, (message, size), is_large=is_large)
        )

    def end(self, call: Call) -> None:
        """See Method."""

    async def _in_turn(self, call: Call, answer: Answer, sent: tuple[bytes, int | None], *, is_large: bool) -> None:
        message, size = sent
        del sent
        work = functools.partial(answer, message, call.deadline)
        if size is not None:
            work = functools.partial(_inflated_first, answer, message, size, call.deadline)
        turns = self._lanes.large if is_large else self._lanes.small
        del message
        try:
            reply = await turns.run(work, functools.partial(self._ledger.release, call))
        except Exception as error:  # noqa: BLE001 - told by _told
            call.task = None
            call.refuse(_told(error))
        else:
            call.task = None
            call.answer(reply)


class OverTime:
    """A method that answers by a coroutine, with one message or several; only so many of its calls are taken."""

    def __init__(self, ledger: Ledger, run: Callable[[Call, Messages], Awaitable[None]], *, is_streaming: bool) -> None:
        # For the life of the listener.
        self.is_streaming = is_streaming
        self._ledger = ledger
        self._run = run
        # As calls come and go.
        self._messages: dict[Call, Messages] = {}

    def serve(self, call: Call, message: bytes) -> None:
        """See Method."""
        self._ledger.release(call)
        try:
            messages = self._messages.get(call) or self._begin(call)
            messages.put(_small(message, call.encoding))
        except ServingError as error:
            call.refuse(error)

    def end(self, call: Call) -> None:
        """See Method."""
        try:
            messages = self._messages.get(call) or self._begin(call)
            messages.put(None)
        except ServingError as error:
            call.refuse(error)

    def _begin(self, call: Call) -> Messages:
        if len(self._messages) >= MAXIMUM_STREAMS:
            raise ServingError(Code.RESOURCE_EXHAUSTED, f"{MAXIMUM_STREAMS} calls of this kind are under way")
        messages = self._messages[call] = Messages(self._ledger.limits.message_seconds)
        call.on_over = self._end
        call.give(math.inf)
        call.task = asyncio.get_running_loop().create_task(self._guarded(call, messages))
        return messages

    def _end(self, call: Call) -> None:
        del self._messages[call]

    async def _guarded(self, call: Call, messages: Messages) -> None:
        try:
            await self._run(call, messages)
        except Exception as error:  # noqa: BLE001 - told by _told
            call.task = None
            call.refuse(_told(error))
        else:
            call.task = None
            call.finish()


class Messages:
    """The messages of a call that goes on, as they come."""

    def __init__(self, seconds: float) -> None:
        # For the life of the call.
        self._seconds = seconds
        # As they come; None is the end.
        self._waiting: asyncio.Queue[bytes | None] = asyncio.Queue(MAXIMUM_WAITING)

    def put(self, message: bytes | None) -> None:
        """Take one; raise RESOURCE_EXHAUSTED when too many wait."""
        try:
            self._waiting.put_nowait(message)
        except asyncio.QueueFull:
            raise ServingError(Code.RESOURCE_EXHAUSTED, f"{MAXIMUM_WAITING} messages wait to be answered") from None

    async def next(self) -> bytes | None:
        """Return the next, None after the last; raise DEADLINE_EXCEEDED when it takes too long."""
        try:
            async with asyncio.timeout(self._seconds):
                return await self._waiting.get()
        except TimeoutError:
            raise ServingError(Code.DEADLINE_EXCEEDED, "The stream's next message has not come") from None

    async def only(self) -> bytes:
        """Return the first; raise INTERNAL where there is none."""
        message = await self.next()
        if message is None:
            raise ServingError(Code.INTERNAL, "The call ended without a message")
        return message


class Methods:
    """Every method of the port."""

    def __init__(
        self, flags: Flags, manager: Manager, options: Options, health: grpc_health.Health, ledger: Ledger
    ) -> None:
        # For the life of the listener.
        self._ledger = ledger
        self._lanes = Lanes.of(flags.grpc_max_threads or startup.THREADS_PER_CPU * cpus.usable(), "grpc-run")
        # What probes ask must not wait for inferences, nor for a disk that a reload looks at.
        self._aside = Lanes.of(METADATA_THREADS, "grpc-metadata")
        self._reloads = ThreadPoolExecutor(1, thread_name_prefix="grpc-reload")
        self._prediction = PredictionService(manager, options)
        self._models = ModelService(manager, flags.reload_config_root)
        self._has_health = flags.enable_grpc_healthcheck_service
        self._health = health

    def by_path(self) -> dict[bytes, Method]:
        """Return the methods by the path that names them: /service/method."""
        prediction, models, lanes, aside = self._prediction, self._models, self._lanes, self._aside
        services: dict[str, dict[str, Method]] = {
            PREDICTION: {
                "Predict": self._unary(prediction.predict, lanes, prediction.predict_at_once),
                "Classify": self._unary(prediction.classify, lanes),
                "Regress": self._unary(prediction.regress, lanes),
                "MultiInference": self._unary(prediction.multi_inference, lanes),
                "GetModelMetadata": self._unary(prediction.metadata, aside),
            },
            MODELS: {
                "GetModelStatus": self._unary(models.status, aside, models.status),
                "HandleReloadConfigRequest": OverTime(self._ledger, self._reload, is_streaming=False),
            },
            reflection.SERVICE_NAME: {"ServerReflectionInfo": self._reflection()},
        }
        if self._has_health:
            services[grpc_health.SERVICE] = {
                "Check": self._unary(self._check, aside, self._check),
                "List": self._unary(self._list, aside, self._list),
                "Watch": OverTime(self._ledger, self._watch, is_streaming=False),
            }
        return {
            f"/{service}/{name}".encode(): method
            for service, methods in services.items()
            for name, method in methods.items()
        }

    def _unary(self, answer: Answer, lanes: Lanes, at_once: Answer | None = None) -> Unary:
        return Unary(self._ledger, lanes, answer, at_once)

    # ---- reload

    async def _reload(self, call: Call, messages: Messages) -> None:
        """Replace the models; the wait ends with its caller, and nobody waits for it but the caller."""
        message = await messages.only()
        loop = asyncio.get_running_loop()
        reload = await loop.run_in_executor(self._reloads, self._models.begin_reload, message)
        # Without a thread: the models' states are guarded by a condition of threads.
        while not reload.is_over():  # noqa: ASYNC110
            await asyncio.sleep(RELOAD_SECONDS)
        call.send(reload.reply())

    # ---- health

    def _check(self, message: bytes, _deadline: Deadline) -> bytes:
        return as_bytes(self._health.check(parsed(health_pb2.HealthCheckRequest, message).service))

    def _list(self, _message: bytes, _deadline: Deadline) -> bytes:
        return as_bytes(self._health.listed())

    async def _watch(self, call: Call, messages: Messages) -> None:
        service = parsed(health_pb2.HealthCheckRequest, await messages.only()).service
        async for status in self._health.watch(service):
            call.send(as_bytes(status))

    # ---- reflection

    def _reflection(self) -> OverTime:
        files = [prediction_service_pb2, model_service_pb2, *([health_pb2] if self._has_health else [])]
        served = [service.full_name for file in files for service in file.DESCRIPTOR.services_by_name.values()]
        servicer = reflection.aio.ReflectionServicer([*served, reflection.SERVICE_NAME])

        async def reflect(call: Call, messages: Messages) -> None:
            async def requests() -> AsyncIterator[Any]:
                while (message := await messages.next()) is not None:
                    yield parsed(reflection_pb2.ServerReflectionRequest, message)

            async for reply in servicer.ServerReflectionInfo(requests(), None):
                call.send(as_bytes(reply))

        return OverTime(self._ledger, reflect, is_streaming=True)


def _rest(rest: Callable[[], Buffer], _message: bytes, _deadline: Deadline) -> Buffer:
    return rest()


def _inflated_first(answer: Answer, message: bytes, most: int, deadline: Deadline) -> Buffer:
    return answer(inflated(message, most), deadline)


def _small(message: bytes, encoding: bytes) -> bytes:
    """Return a message that is read on the loop, inflated; raise RESOURCE_EXHAUSTED for a large one."""
    size = inflated_bytes(message, encoding, SMALL_BYTES)
    content = message if size is None else inflated(message, size)
    if len(content) > SMALL_BYTES:
        raise ServingError(Code.RESOURCE_EXHAUSTED, f"A message of {len(content)} bytes is too large for this method")
    return content


def _told(error: Exception) -> ServingError:
    """Return an error as a client is told it; what the failed call held is let go."""
    told = error
    if not isinstance(told, ServingError):
        LOG.error("a call failed", exc_info=error)
        told = ServingError(Code.INTERNAL, str(error))
    # Whoever waits for an error is in its traceback, and has it: tensors would stay until a collection.
    traceback.clear_frames(error.__traceback__)
    return told
