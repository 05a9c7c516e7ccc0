"""One model behind every protocol: how it is asked, and what is told of it."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from model_api import inputs, json_answers, results
from model_api.batcher import Answered, Batcher, Share
from model_api.errors import InputError, ModelError, NotReadyError, of_serving, release
from model_api.knowledge import SMALL_BYTES, Knowledge
from model_api.results import TENSOR_BYTES, TEXT_BYTES, Result
from model_api.room import NeverFitsError, NoRoomError
from model_description.protos import serving_pb2
from serving_codec import tensors
from serving_codec.status import ServingError
from serving_http.aside import Aside

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from model_api.config import Config
    from model_api.inputs import Group, Inputs
    from model_api.knowledge import Known
    from model_api.servers import Servers
    from model_description.signature import Signature

    Tensors = Mapping[str, NDArray[Any]]

Read = TypeVar("Read")
Asked = TypeVar("Asked")
Written = TypeVar("Written")

# Python runs one of them at a time; the second inflates, which needs no interpreter.
ASIDE_THREADS = 2
# What is read within a millisecond stays on the event loop; what is read takes up to so many times its size.
SMALL_BODY_BYTES = 64 << 10
READING_FACTOR = 24
# The same of what is written; JSON takes so many times an output's bytes.
SMALL_OUTPUT_BYTES, WRITING_FACTOR = 64 << 10, 8


@dataclass(frozen=True)
class Call:
    """Complete tensors for a signature, by name and in its dtypes; a version or a label where one is asked for.

    `outputs` names those that are wanted, all where it is empty.
    """

    signature: Signature
    inputs: Tensors
    version: int | None = None
    label: str = ""
    outputs: tuple[str, ...] = ()

    @property
    def texts(self) -> int:
        """Return how many texts there are in it: each is written by itself."""
        return sum([tensor.size for tensor in self.inputs.values() if tensor.dtype == object])

    @property
    def rows(self) -> int:
        """Return how many rows are asked about, 1 where there are none to count."""
        return max([len(tensor) if tensor.ndim else 1 for tensor in self.inputs.values()]) or 1


@dataclass(frozen=True)
class Examples:
    """A serialized request to Classify or Regress about so many examples, one at least."""

    method: str
    signature_name: str
    message: bytes
    rows: int

    @property
    def kind(self) -> str:
        """Return what those have in common whose answers are of a size."""
        return f"{self.method} {self.signature_name}"


class Gateway:
    """What all protocols share: the model's versions, the way to its servers, and readiness."""

    def __init__(self, config: Config, servers: Servers) -> None:
        # For the life of the process.
        self.config = config
        self._servers = servers
        self.knowledge = Knowledge(config, servers)
        self.aside = Aside(ASIDE_THREADS, config.max_held_body_bytes)
        self._batcher = Batcher(
            self._ask, lambda: servers.count, self._most_rows, config.queue_size, config.queue_bytes
        )
        # As answers come that are large: what a row of one takes, by the signature's name, or the kind of examples.
        self._row_bytes: dict[str, int] = {}
        # As versions come: what was made of the last one.
        self._made: dict[Callable[[Known, Config], Any], tuple[Known, Any]] = {}
        # As connections come and go.
        self._connected = 0.0
        self.is_draining = False

    # ---- what is known

    async def known(self, version: int | None = None) -> Known:
        """Return what is known of a version, of the current one where none is named; raise an ApiError."""
        return await (self.knowledge.served() if version is None else self.knowledge.of(version))

    def check_ready(self) -> None:
        """Return when the model is known and a server is connected; raise NotReadyError with the reason otherwise.

        A gateway that has lost its servers stays ready for as long as a request may take, and while their name has no
        address at all: no other gateway could answer then, and callers are told to come back instead of finding nobody.
        """
        if self.is_draining:
            raise NotReadyError("shutting down")
        now = time.monotonic()
        if self._servers.are_connected or (self._connected and not self._servers.count):
            self._connected = now
        elif not self._connected or now - self._connected > self.config.request_timeout_seconds:
            raise NotReadyError("no server is connected")
        self.knowledge.check_ready()

    # ---- /predict

    async def predict(self, body: bytes, top: int = 0) -> tuple[bytes, int]:
        """Return the answer to a `/predict` body, and the version that gave it; raise an ApiError otherwise."""

        async def ask(known: Known) -> tuple[bytes, int]:
            given = await self._read(body, known.served, self.config.max_inputs_per_request)
            return await self.answer(known, given, top)

        return await self.for_current(ask)

    async def for_current(self, ask: Callable[[Known], Awaitable[Asked]]) -> Asked:
        """Return what is asked of the current version; once more where that is another by now, which refused it."""
        known = await self.knowledge.served()
        try:
            return await ask(known)
        except InputError:
            # The servers may have gone on to a version that takes something else.
            current = await self.knowledge.fresh()
            if current.signature == known.signature:
                raise
            return await ask(current)

    async def _read(self, body: bytes, signature: Signature, most: int) -> Inputs:
        return await read_aside(self.aside, body, inputs.read, signature, most)

    async def answer(self, known: Known, given: Inputs, top: int = 0) -> tuple[bytes, int]:
        """Return what /predict answers to inputs of a version's signature, in JSON, and the version that answered."""
        if top and known.task != "classification":
            raise InputError(f"top is for the task classification; this model's is {known.task}")
        shares = await self._each([self._rows(known, group) for group in given.groups])
        answering = [
            known if share.version == known.version else await self.knowledge.of(share.version) for share in shares
        ]
        parts = list(zip(shares, answering, strict=True))
        listed = json_answers.classes_bytes(parts, top)
        most = self.config.max_held_answer_bytes
        if top and listed > most:
            raise InputError(
                f"top: {given.count} answers of so many classes would be larger than {most} bytes "
                "(max_held_answer_bytes): ask about less at once"
            )
        size = listed + sum([share.size for share in shares])
        return await write_aside(self.aside, size, json_answers.written, given, parts, top), shares[-1].version

    async def _each(self, calls: Sequence[Any]) -> list[Any]:
        if len(calls) == 1:
            return [await calls[0]]
        tasks = [asyncio.ensure_future(call) for call in calls]
        try:
            return list(await asyncio.gather(*tasks))
        finally:
            for task in tasks:
                task.cancel()

    async def _rows(self, known: Known, group: Group) -> Share:
        """Return the outputs of a group of rows, each with a row for each of them."""
        signature, count = known.served, len(group.positions)
        if signature.joins_rows:
            return await self._batcher.submit(signature, group.tensors, count, self.config.request_timeout_seconds)
        if not signature.has_rows:
            result = await self.run(Call(signature, group.tensors))
            rows = {name: value[np.newaxis] for name, value in result.outputs.items()}
            return Share(Answered(rows, result.version, 1, result.size), 0, 1)
        size = next(iter(signature.inputs.values())).first_axis or 1
        size = 1 if size < 0 else size
        step = size if signature.fixed_rows else 1
        calls = [self._fixed(signature, group.tensors, start, size, step) for start in range(0, count, step)]
        parts = await self._each(calls)
        outputs = {name: [row for part, _, _ in parts for row in part[name]] for name in parts[0][0]}
        rows = {name: _stacked(listed[:count]) for name, listed in outputs.items()}
        return Share(Answered(rows, parts[-1][1], count, sum(size for _, _, size in parts)), 0, count)

    async def _fixed(
        self, signature: Signature, given: Tensors, start: int, size: int, step: int
    ) -> tuple[dict[str, list[NDArray[Any]]], int, int]:
        """Ask about `step` rows alone, made up to the `size` every call must have; return each output's rows."""
        chosen = {name: rows[start : start + step] for name, rows in given.items()}
        count = len(next(iter(chosen.values())))
        padded = {
            name: np.concatenate([rows, np.repeat(rows[-1:], size - count, axis=0)]) if count < size else rows
            for name, rows in chosen.items()
        }
        result = await self.run(Call(signature, padded))
        outputs = {}
        for name, value in result.outputs.items():
            has_rows = value.ndim > 0 and value.shape[0] == size
            # An output without a row axis is the whole answer of a row that was asked about alone.
            outputs[name] = list(value[:count]) if has_rows else [value] * count
        return outputs, result.version, result.size

    # ---- every protocol

    async def run(self, call: Call) -> Result:
        """Return what the model returns for complete tensors; joined with others where that changes nothing.

        Raise an ApiError: UnavailableError, TooSlowError, InputError when the model refuses, ModelError when it fails.
        """
        try:
            return await self.run_as_asked(call)
        except ServingError as error:
            raise of_serving(error) from error

    async def run_as_asked(self, call: Call) -> Result:
        """Do what `run` does, but raise a server's ServingError in its own words."""
        is_plain = call.version is None and not call.label and not call.outputs
        if is_plain and call.signature.joins_rows:
            # A number alone has no rows: what the model makes of it is between it and its caller.
            rows = {len(tensor) if tensor.ndim else 0 for tensor in call.inputs.values()}
            count = next(iter(rows))
            if len(rows) == 1 and 0 < count <= self.config.batch_size:
                seconds = self.config.request_timeout_seconds
                share = await self._batcher.submit(call.signature, call.inputs, count, seconds)
                return Result(share.outputs, share.version, share.size)
        return await self._predict(call, self.config.request_timeout_seconds)

    async def examples(self, asked: Examples, write: Callable[[bytes], Written]) -> Written:
        """Return what a function makes of a server's reply about examples; there is room for it as for any answer."""
        deadline = time.monotonic() + self.config.request_timeout_seconds
        expected = asked.rows * self._row_bytes.get(asked.kind, 0)
        try:
            return await self._examples(asked, write, expected, deadline)
        except NoRoomError as error:
            release(error)
        return await self._examples(asked, write, self._servers.room.most_bytes, deadline)

    async def _examples(
        self, asked: Examples, write: Callable[[bytes], Written], size: int, deadline: float
    ) -> Written:
        room = self._servers.room
        try:
            async with room.expecting(size, deadline - time.monotonic()):
                reply = await self._servers.call(asked.method, asked.message, max(0.001, deadline - time.monotonic()))
                room.take(len(reply), len(reply))
        except NeverFitsError:
            self._row_bytes[asked.kind] = room.most_bytes // asked.rows + 1
            raise
        try:
            if len(reply) > SMALL_OUTPUT_BYTES or asked.kind in self._row_bytes:
                self._row_bytes[asked.kind] = len(reply) // asked.rows
            return await write_aside(self.aside, len(reply), write, reply)
        finally:
            room.give(len(reply))

    async def raw(self, method: str, request: bytes, timeout: float | None = None) -> bytes:  # noqa: ASYNC109
        """Return a server's serialized reply to any of servers.METHODS; raise ServingError in its own words."""
        return await self._servers.call(method, request, timeout or self.config.request_timeout_seconds)

    async def _ask(self, signature: Signature, given: Tensors, seconds: float) -> tuple[Tensors, int, int]:
        """Ask about rows that may be several callers'; the answer must have as many."""
        count = len(next(iter(given.values())))
        try:
            result = await self._predict(Call(signature, given), seconds)
        except ServingError as error:
            raise of_serving(error) from error
        for name in signature.outputs:
            shape = result.outputs[name].shape if name in result.outputs else ()
            if not shape or shape[0] != count:
                raise ModelError(f"the model returned {name} of shape {shape} for {count} rows")
        return result.outputs, result.version, result.size + count * len(result.outputs) * TENSOR_BYTES

    async def _predict(self, call: Call, seconds: float) -> Result:
        """Ask a server, once there is room for the answer; once more, alone, where others left too little after all."""
        deadline = time.monotonic() + seconds
        given = call.texts * TEXT_BYTES + len(call.inputs) * TENSOR_BYTES
        message = await write_aside(self.aside, given, self._request, call)
        room = self._servers.room
        expected = call.rows * self._row_bytes.get(call.signature.name, 0)
        try:
            return await self._attempt(call, message, expected, deadline)
        except NoRoomError as error:
            # It has what was answered, which would be held while all the room is waited for below.
            release(error)
        return await self._attempt(call, message, room.most_bytes, deadline)

    async def _attempt(self, call: Call, message: bytes, size: int, deadline: float) -> Result:
        """Ask a server once there is room for an answer of about so many bytes."""
        room = self._servers.room
        try:
            async with room.expecting(size, deadline - time.monotonic()):
                reply = await self._servers.call("Predict", message, max(0.001, deadline - time.monotonic()))
                size = len(reply) + len(call.signature.outputs) * TENSOR_BYTES
                return self._kept(call, await write_aside(self.aside, size, results.read, reply, room.most_bytes))
        except NeverFitsError:
            # The parts that are asked for next take their turns.
            self._row_bytes[call.signature.name] = max(size, room.most_bytes) // call.rows + 1
            raise

    def _request(self, call: Call) -> bytes:
        request = serving_pb2.PredictRequest(output_filter=call.outputs)
        spec = request.model_spec
        spec.name = self.config.model_name
        spec.signature_name = call.signature.name
        version = call.version if call.version is not None or call.label else self.config.model_version
        if call.label:
            spec.version_label = call.label
        elif version is not None:
            spec.version.value = version
        for name, tensor in call.inputs.items():
            tensors.fill(request.inputs[name], tensor, call.signature.inputs[name].dtype)
        return request.SerializeToString()

    def _kept(self, call: Call, result: Result) -> Result:
        """Return a result; it is counted, if it is large, for as long as it is used."""
        name, size = call.signature.name, result.size
        if size > SMALL_OUTPUT_BYTES:
            self._servers.room.keep(results.held(result))
        if size > SMALL_OUTPUT_BYTES or name in self._row_bytes:
            self._row_bytes[name] = size // call.rows
        return result

    def _most_rows(self, signature: Signature) -> int:
        """Return how many rows may be asked about at once: no more than half of the room takes the answers of."""
        row_bytes = self._row_bytes.get(signature.name)
        if not row_bytes:
            return self.config.batch_size
        return max(1, min(self.config.batch_size, self._servers.room.most_bytes // 2 // row_bytes))

    async def about(self, function: Callable[[Known, Config], Written]) -> tuple[Known, Written]:
        """Return the current version and what a function makes of it: once, however often it is asked for."""
        known = await self.knowledge.served()
        made = self._made.get(function)
        if made is None or made[0] is not known:
            # As much as is told of it is written: its labels, or an example of a million numbers.
            size = known.size * SMALL_OUTPUT_BYTES // SMALL_BYTES
            made = self._made[function] = (known, await write_aside(self.aside, size, function, known, self.config))
        return known, made[1]


async def read_aside(aside: Aside, body: bytes, function: Callable[..., Read], *arguments: Any) -> Read:
    """Return what a function makes of a body; on a thread where that would hold the event loop for long."""
    if len(body) <= SMALL_BODY_BYTES:
        return function(body, *arguments)
    return await aside.run(READING_FACTOR * len(body), function, body, *arguments)


async def write_aside(aside: Aside, size: int, function: Callable[..., Written], *arguments: Any) -> Written:
    """Return what a function makes of outputs of so many bytes; on a thread where that would hold the event loop."""
    if size <= SMALL_OUTPUT_BYTES:
        return function(*arguments)
    return await aside.run(WRITING_FACTOR * size, function, *arguments)


def _stacked(rows: list[NDArray[Any]]) -> NDArray[Any]:
    """Return rows (row, ...) as one array; as objects where their shapes differ."""
    if len({row.shape for row in rows}) == 1:
        return np.stack(rows)
    raise ModelError("the model answered the rows of one request in different shapes: send them one by one")
