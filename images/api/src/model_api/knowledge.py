"""What is known of each version of the model, learned once from the server that serves it."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from model_api.errors import ModelError, NotReadyError, of_serving
from model_description import description as description_json
from model_description import saved_model, usable
from model_description.description import Description
from model_description.errors import DescriptionError, UnusableError
from model_description.protos import serving_pb2
from serving_codec.status import ServingError

if TYPE_CHECKING:
    from collections.abc import Coroutine, Mapping

    from model_api.config import Config
    from model_api.servers import Servers
    from model_description.signature import Signature, TensorSpec

LOG = logging.getLogger(__name__)
LOOKUP_TIMEOUT_SECONDS = 5.0
# How often the newest version is asked for, and how long one that nobody has met is remembered.
REFRESH_SECONDS = 2.0
FORGET_SECONDS = 60.0
FRESH_SECONDS = 1.0
# When what is known of a version is looked at again, and how long a description counts that others do not give.
AGAIN_SECONDS = 30.0
HOLD_SECONDS = 5.0
# What a model tells of itself, read and written within some milliseconds.
SMALL_BYTES = 16 << 10
SIGNATURES = "signature_def"


@dataclass(frozen=True, eq=False)
class Known:
    """A served version: its signatures, what it says of itself, and how /predict calls it.

    `problem` says why /predict cannot ("" where it can); then there is no `signature`. `source` is what it was read
    from: the server's reply about its signatures, and its description, empty where it has none.
    """

    version: int
    signatures: Mapping[str, Signature]
    description: Description | None
    signature: Signature | None
    problem: str
    task: str
    labels: tuple[str, ...]
    source: tuple[bytes, bytes] = (b"", b"")

    @property
    def size(self) -> int:
        """Return how many bytes it was read from."""
        return sum(map(len, self.source))

    @cached_property
    def served(self) -> Signature:
        """Return the signature /predict calls; raise ModelError where there is none."""
        if self.signature is None:
            raise ModelError(f"version {self.version} cannot be used: {self.problem}")
        return self.signature

    @cached_property
    def scores(self) -> TensorSpec | None:
        """Return the output its task reads, None for raw; raise ModelError where the outputs do not fit the task."""
        try:
            return usable.scores_of(self.served, self.task)
        except UnusableError as error:
            raise ModelError(str(error)) from error

    @cached_property
    def told(self) -> Description:
        """Return what the model says of the signature that is called: nothing of it, where it says nothing."""
        is_about = self.description is not None and self.signature is not None
        if is_about and self.description is not None and self.description.signature == self.served.name:
            return self.description
        return Description()

    def scores_are_logits(self, output: str) -> bool:
        """Tell whether the model says that an output's numbers are logits."""
        described = self.told.outputs.get(output)
        return described is not None and described.scores == "logits"


@dataclass
class _Met:
    """A version's lookup, shared by all who wait for it.

    `generation` is how many servers had been found when it was learned; the times (monotonic) are when it was learned,
    last met, and last seen to describe itself.
    """

    lookup: asyncio.Future[Known]
    generation: int
    learned: float
    seen: float
    described: float


class Knowledge:
    """The versions of one model.

    A request never waits for a lookup unless a version answers that nobody has met before; lookups of one version are
    one. What nobody has met for a while is forgotten.
    """

    def __init__(self, config: Config, servers: Servers) -> None:
        # For the life of the process.
        self._config = config
        self._servers = servers
        # As versions come and go.
        self._versions: dict[int, _Met] = {}
        self._current: Known | None = None
        self._newest: asyncio.Task[Known] | None = None
        self._asked = 0.0
        self.reason = "the model is not known yet"

    @property
    def current(self) -> Known | None:
        """Return the version that was the newest when the servers were last asked, None before that."""
        return self._current

    async def follow(self) -> None:
        """Ask for the newest version every so often until cancelled."""
        while True:
            await self.refresh()
            await asyncio.sleep(REFRESH_SECONDS)

    async def refresh(self) -> None:
        """Ask for the newest version once; what goes wrong is kept as the reason."""
        try:
            await self.newest()
        except Exception as error:  # noqa: BLE001 - told by the probe, and tried again
            self._tell(str(error))
        else:
            self.reason = ""
        self._forget()

    async def newest(self) -> Known:
        """Return what is known of the version the servers serve now; callers side by side share one lookup."""
        if self._newest is None or self._newest.done():
            self._newest = asyncio.create_task(self._ask_newest())
        # A caller that leaves must not cancel what others wait for.
        return await asyncio.shield(self._newest)

    async def served(self) -> Known:
        """Return the current version, asking only while none is known; raise an ApiError when none answers."""
        return self._current or await self.newest()

    async def fresh(self) -> Known:
        """Return the current version as it was a second ago at most: however many ask, the servers are asked seldom."""
        if self._current is not None and time.monotonic() - self._asked < FRESH_SECONDS:
            return self._current
        return await self.newest()

    async def of(self, version: int) -> Known:
        """Return what is known of a version; the first to ask looks it up and all others wait for that."""
        met = self._versions.get(version)
        if met is None or _has_failed(met.lookup):
            met = self._meet(version, self._look_up(version))
        met.seen = time.monotonic()
        # Without a turn of the loop where it is known: this is asked for each reply.
        return met.lookup.result() if met.lookup.done() else await asyncio.shield(met.lookup)

    def _meet(self, version: int, looking_up: Coroutine[Any, Any, Known]) -> _Met:
        lookup = asyncio.create_task(looking_up)
        lookup.add_done_callback(partial(self._drop_failed, version))
        met = self._versions[version] = self._met(lookup)
        return met

    def _drop_failed(self, version: int, lookup: asyncio.Future[Known]) -> None:
        """Keep nothing of a lookup that failed: the next asks again, and versions nobody has are without number."""
        met = self._versions.get(version)
        if _has_failed(lookup) and met is not None and met.lookup is lookup:
            del self._versions[version]

    def _met(self, lookup: asyncio.Future[Known]) -> _Met:
        now = time.monotonic()
        return _Met(lookup, self._servers.found, learned=now, seen=now, described=now)

    async def _ask_newest(self) -> Known:
        # Before the answer: what comes during it is as fresh as it.
        self._asked = time.monotonic()
        version, definitions, source = await self._metadata(self._config.model_version)
        met = self._versions.get(version)
        if met is None or _has_failed(met.lookup):
            self._meet(version, self._learn(version, definitions, source))
        elif met.lookup.done() and self._is_due(met, is_described=description_json.SIGNATURE in definitions):
            # Not before it is learned: who asks meanwhile is told what was known.
            known = await self._learn(version, definitions, source)
            self._versions[version] = self._met(_finished(known))
        self._current = await self.of(version)
        return self._current

    def _is_due(self, met: _Met, *, is_described: bool) -> bool:
        """Tell whether a version must be learned anew, for its number may mean something else by now.

        It may after servers have come, and after a while: one that was removed and installed again counts from 1. A
        server may also be the first to describe a version that an earlier chart published; those that do not, and still
        answer in turn with it, do not take that back.
        """
        known, now = met.lookup.result(), time.monotonic()
        if is_described:
            met.described = now
        # A roll of server pods: those of before and of now answer in turn, and what is known must not go to and fro.
        elif known.description is not None:
            return now - met.described > HOLD_SECONDS
        is_news = is_described and known.description is None
        return is_news or met.generation != self._servers.found or now - met.learned > AGAIN_SECONDS

    async def _look_up(self, version: int) -> Known:
        _, definitions, source = await self._metadata(version)
        return await self._learn(version, definitions, source)

    async def _metadata(self, version: int | None) -> tuple[int, Mapping[str, Any], bytes]:
        """Return a version's number, its signatures, and the reply that tells them."""
        request = serving_pb2.GetModelMetadataRequest(metadata_field=[SIGNATURES])
        request.model_spec.name = self._config.model_name
        if version is not None:
            request.model_spec.version.value = version
        try:
            reply = await self._servers.call("GetModelMetadata", request.SerializeToString(), LOOKUP_TIMEOUT_SECONDS)
        except ServingError as error:
            raise of_serving(error) from error
        response = serving_pb2.GetModelMetadataResponse.FromString(reply)
        definitions = serving_pb2.SignatureDefMap.FromString(response.metadata[SIGNATURES].value).signature_def
        return response.model_spec.version.value, definitions, reply

    async def _learn(self, version: int, definitions: Mapping[str, Any], reply: bytes) -> Known:
        is_described = description_json.SIGNATURE in definitions
        source = (reply, await self._description(version) if is_described else b"")
        before = self._read_from(version, source)
        if before is not None:
            return before
        asked = (version, definitions, source, self._config)
        # Megabytes of labels, of an example or of signatures take long to read.
        is_large = sum(map(len, source)) > SMALL_BYTES
        known = self._joinable(await asyncio.to_thread(_read, *asked) if is_large else _read(*asked))
        if self._is_known(known):
            return known
        if known.problem:
            LOG.error("model %s version %s cannot be used: %s", self._config.model_name, version, known.problem)
        else:
            inputs = ", ".join(f"{name} {spec}" for name, spec in known.served.inputs.items())
            LOG.info("model %s version %s: task %s, takes %s", self._config.model_name, version, known.task, inputs)
        return known

    def _read_from(self, version: int, source: tuple[bytes, bytes]) -> Known | None:
        """Return what is known of a version, where that was read from the same: what was made of it stays right."""
        met = self._versions.get(version)
        if met is None or not met.lookup.done() or _has_failed(met.lookup):
            return None
        known = met.lookup.result()
        return known if known.source == source else None

    def _joinable(self, known: Known) -> Known:
        """Have versions with equal signatures share one, so that their requests still travel together."""
        done = (met.lookup for met in self._versions.values() if met.lookup.done())
        for other in [lookup.result() for lookup in done if not _has_failed(lookup)]:
            if other.signature is not None and other.signature == known.signature:
                return replace(known, signature=other.signature)
        return known

    def _is_known(self, known: Known) -> bool:
        """Tell whether a version was learned before and is what it was: then there is nothing to tell."""
        current = self._current
        return current is not None and (current.version, current.description, current.problem) == (
            known.version,
            known.description,
            known.problem,
        )

    async def _description(self, version: int) -> bytes:
        """Return what a version says of itself; the newest may be another one by now."""
        request = serving_pb2.PredictRequest()
        request.model_spec.name = self._config.model_name
        request.model_spec.signature_name = description_json.SIGNATURE
        request.model_spec.version.value = version
        tensor = request.inputs[description_json.REQUEST]
        tensor.dtype = serving_pb2.DT_STRING
        # A row of nothing: the signature answers as often as its input is long (docs/architecture.md, "A model").
        tensor.tensor_shape.dim.add(size=1)
        tensor.string_val.append(b"")
        try:
            reply = await self._servers.call("Describe", request.SerializeToString(), LOOKUP_TIMEOUT_SECONDS)
        except ServingError as error:
            raise of_serving(error) from error
        answer = serving_pb2.PredictResponse.FromString(reply).outputs[description_json.ANSWER].string_val
        return bytes(answer[0]) if answer else b""

    def _forget(self) -> None:
        now = time.monotonic()
        # A copy: versions go while it is looked through.
        for version, met in list(self._versions.items()):
            is_current = self._current is not None and version == self._current.version
            if not is_current and now - met.seen > FORGET_SECONDS:
                del self._versions[version]

    def _tell(self, reason: str) -> None:
        if reason != self.reason:
            LOG.warning("the model's servers do not tell what they serve: %s", reason)
            self.reason = reason

    def check_ready(self) -> None:
        """Raise NotReadyError with the reason unless the current version can be predicted with."""
        if self._current is None:
            raise NotReadyError(self.reason)
        if self._current.problem:
            raise NotReadyError(f"version {self._current.version} cannot be used: {self._current.problem}")
        if self._config.require_description and self._current.description is None:
            raise NotReadyError(
                f"version {self._current.version} does not describe itself, as every model does that training "
                "publishes: the servers still have one of an earlier chart"
            )


def _has_failed(lookup: asyncio.Future[Known]) -> bool:
    return lookup.done() and (lookup.cancelled() or lookup.exception() is not None)


def _finished(known: Known) -> asyncio.Future[Known]:
    future: asyncio.Future[Known] = asyncio.get_running_loop().create_future()
    future.set_result(known)
    return future


def _read(version: int, definitions: Mapping[str, Any], source: tuple[bytes, bytes], config: Config) -> Known:
    """Return what is known of a version; what values say of the model comes before what it says itself."""
    description, problem = None, ""
    if description_json.SIGNATURE in definitions:
        try:
            description = description_json.parse(source[1])
        except DescriptionError as error:
            # Kept, and not raised: the other protocols can still use its signatures.
            problem = f"its description cannot be read: {error}"
    signatures = saved_model.signatures_of(definitions)
    signature: Signature | None = None
    # A description is of one signature; of another that values name it says nothing.
    told = description if description is not None and description.signature == config.signature_name else Description()
    task, labels = config.model_task or told.task, config.model_labels or told.labels
    try:
        signature = usable.check(signatures, config.signature_name, description)
        scores = usable.scores_of(signature, task)
        if scores is not None and labels:
            usable.check_labels(scores, task, len(labels))
    except UnusableError as error:
        problem = problem or str(error)
    if problem:
        signature = None
    return Known(version, signatures, description, signature, problem, task, labels, source)
