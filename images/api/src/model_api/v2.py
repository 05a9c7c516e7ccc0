"""The Open Inference Protocol V2 over HTTP, with the binary tensor data extension.

https://github.com/kserve/open-inference-protocol and, for the extension, docs/protocol/extension_binary_data.md of
https://github.com/triton-inference-server/server. Parameters that are not known here are ignored, as it says.
"""

from __future__ import annotations

import re
import urllib.parse
from dataclasses import dataclass
from importlib import metadata
from typing import TYPE_CHECKING, Any

import orjson

from model_api import inputs, v2_tensors
from model_api.errors import (
    ApiError,
    InputError,
    MethodError,
    ModelError,
    NotFoundError,
    NotJsonError,
    NotReadyError,
    of_serving,
)
from model_api.gateway import Call, read_aside, write_aside
from model_api.reply import Reply
from model_api.results import TENSOR_BYTES
from model_description.protos import serving_pb2
from serving_codec.status import Code, ServingError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from model_api.gateway import Gateway
    from model_api.knowledge import Known
    from model_api.results import Result
    from model_description.signature import Signature, TensorSpec
    from serving_http.messages import Request

DISTRIBUTION = "tensorflow-model-api"
EXTENSIONS = ("binary_tensor_data",)
# What KServe's and Triton's clients call a TensorFlow SavedModel.
PLATFORM = "tensorflow_savedmodel"
HEADER_LENGTH = b"inference-header-content-length"
OCTETS = b"application/octet-stream"
SHOWN_CHARACTERS = 100
# A version is int64 (tensorflow_serving/apis/model.proto).
MAXIMUM_VERSION = 2**63 - 1
VERSION = re.compile(r"[0-9]{1,19}")
LENGTH = re.compile(rb"[0-9]{1,10}")
BAD_REQUEST = 400
REFUSED = frozenset({400, 415, 422})


@dataclass(frozen=True)
class Target:
    """What a path below /v2/models asks for: `action` is "" (metadata), ready or infer."""

    model: str
    version: int | None
    action: str


class V2:
    """Routes of /v2: the server and its one model."""

    def __init__(self, gateway: Gateway) -> None:
        # For the life of the process.
        self._gateway = gateway
        self._config = gateway.config

    async def handle(self, request: Request) -> Reply:
        """Answer a request below /v2; an error is {"error": sentence} with a 4xx or 5xx."""
        try:
            return await self._answer(request)
        except ApiError as error:
            return _refusal(error)
        except ServingError as error:
            return _refusal(of_serving(error))

    async def _answer(self, request: Request) -> Reply:
        parts = [urllib.parse.unquote(part) for part in request.raw_path.rstrip("/").split("/")[2:]]
        match parts:
            case []:
                _expect_method(request, "GET")
                return _json({"name": DISTRIBUTION, "version": _version(), "extensions": EXTENSIONS})
            case ["health", "live"]:
                _expect_method(request, "GET")
                return _json({"live": True})
            case ["health", "ready"]:
                _expect_method(request, "GET")
                self._gateway.check_ready()
                return _json({"ready": True})
            case ["models", _, *_]:
                return await self._model(request, _target(parts[1:]))
            case _:
                raise _nothing_there(request)

    async def _model(self, request: Request, target: Target) -> Reply:
        if target.action not in {"", "ready", "infer"}:
            raise _nothing_there(request)
        _expect_method(request, "POST" if target.action == "infer" else "GET")
        if target.model != self._config.model_name:
            raise NotFoundError(
                f"there is no model {target.model[:SHOWN_CHARACTERS]!r}; this is {self._config.model_name!r}"
            )
        match target.action:
            case "infer":
                return await self._infer(request, target)
            case "ready":
                return await self._ready(target)
            case _:
                return await self._metadata(target)

    async def _ready(self, target: Target) -> Reply:
        if target.version is None:
            self._gateway.check_ready()
        known = await self._known(target)
        try:
            _signature_of(known, self._config.signature_name)
        except ModelError as error:
            raise NotReadyError(str(error)) from error
        return _json({"name": target.model, "ready": True}, known.version)

    async def _metadata(self, target: Target) -> Reply:
        known = await self._known(target)
        signature = _signature_of(known, self._config.signature_name)
        content = {
            "name": target.model,
            "versions": await self._versions(),
            "platform": PLATFORM,
            "inputs": [_told(spec) for spec in signature.inputs.values()],
            "outputs": [_told(spec) for spec in signature.outputs.values()],
        }
        return _json(content, known.version)

    async def _versions(self) -> list[str]:
        """Return the versions that can be asked for, the newest first."""
        request = serving_pb2.GetModelStatusRequest()
        request.model_spec.name = self._config.model_name
        reply = await self._gateway.raw("GetModelStatus", request.SerializeToString())
        listed = serving_pb2.GetModelStatusResponse.FromString(reply).model_version_status
        available = [entry.version for entry in listed if entry.state == serving_pb2.ModelVersionStatus.AVAILABLE]
        return [str(version) for version in sorted(available, reverse=True)]

    async def _known(self, target: Target) -> Known:
        """Return what is known of the version asked for; raise NotFoundError where no server has it."""
        try:
            return await self._gateway.known(target.version)
        except ApiError as error:
            cause = error.__cause__
            if target.version is not None and isinstance(cause, ServingError) and cause.code is Code.NOT_FOUND:
                raise NotFoundError(f"there is no version {target.version} of {target.model!r}") from error
            raise

    async def _infer(self, request: Request, target: Target) -> Reply:
        known = await self._known(target)
        signature = _signature_of(known, self._config.signature_name)
        try:
            return await self._inferred(request, target, signature)
        except InputError:
            if target.version is not None:
                raise
            # The servers may have gone on to a version that takes something else.
            current = _signature_of(await self._gateway.knowledge.fresh(), self._config.signature_name)
            if current == signature:
                raise
            return await self._inferred(request, target, current)

    async def _inferred(self, request: Request, target: Target, signature: Signature) -> Reply:
        length = request.headers.get(HEADER_LENGTH)
        identity, wanted, tensors = await read_aside(self._gateway.aside, request.body, _read, length, signature)
        if unsendable := [name for name in wanted if signature.outputs[name].dtype not in v2_tensors.DATATYPES]:
            dtype = signature.outputs[unsendable[0]].dtype
            raise ModelError(f"the output {unsendable[0]!r} is {dtype}, which the protocol has no datatype for")
        # All outputs are asked for without naming them, so that the request may travel with others.
        names = () if set(wanted) == set(signature.outputs) else tuple(wanted)
        result = await self._gateway.run(Call(signature, tensors, target.version, outputs=names))
        size = result.size + TENSOR_BYTES * len(result.outputs)
        return await write_aside(self._gateway.aside, size, _response, target.model, identity, wanted, result)


def _target(parts: Sequence[str]) -> Target:
    match parts:
        case [model, "versions", version, *rest]:
            if VERSION.fullmatch(version) is None or int(version) > MAXIMUM_VERSION:
                raise NotFoundError(f"there is no version {version[:SHOWN_CHARACTERS]!r}: versions are whole numbers")
            return Target(model, int(version), "/".join(rest))
        case _:
            return Target(parts[0], None, "/".join(parts[1:]))


def _expect_method(request: Request, method: str) -> None:
    given = "GET" if request.method == "HEAD" else request.method
    if given != method:
        raise MethodError(f"{request.path[:SHOWN_CHARACTERS]} takes {method}, got {request.method}", method)


def _nothing_there(request: Request) -> NotFoundError:
    return NotFoundError(
        f"there is no {request.path[:SHOWN_CHARACTERS]}; there are /v2, /v2/health/live, /v2/health/ready, and below "
        "/v2/models/NAME[/versions/VERSION] the metadata itself, /ready and /infer"
    )


def _signature_of(known: Known, name: str) -> Signature:
    """Return the signature that is served; one that /predict has no answer for is served here all the same."""
    # The one that is kept with the version is shared by equal versions, whose requests travel together.
    signature = known.signature or known.signatures.get(name)
    if signature is None or not signature.inputs or not signature.outputs:
        raise ModelError(f"version {known.version} cannot be used: {known.problem or f'no signature {name!r}'}")
    return signature


def _told(spec: TensorSpec) -> dict[str, Any]:
    return {"name": spec.name, "datatype": v2_tensors.datatype_of(spec), "shape": v2_tensors.shape_of(spec)}


# ---- requests


def _read(
    body: bytes, length: bytes | None, signature: Signature
) -> tuple[str | None, dict[str, bool], dict[str, NDArray[Any]]]:
    """Return a request's id, the outputs it wants, each with whether it travels in binary, and its tensors by name."""
    header, blob = _split(body, length)
    document = inputs.load(header)
    if not isinstance(document, dict):
        raise NotJsonError(f"expected a JSON object with 'inputs', got {inputs.kind_of(document)}")
    return (
        _identity(document),
        _wanted(document, signature),
        v2_tensors.read_inputs(document.get("inputs"), signature, blob),
    )


def _split(body: bytes, length: bytes | None) -> tuple[bytes, memoryview]:
    """Return the JSON of a body and the binary data behind it, where the header tells that there is some."""
    if length is None:
        return body, memoryview(b"")
    if LENGTH.fullmatch(length) is None or int(length) > len(body):
        shown = length[:SHOWN_CHARACTERS].decode("latin-1")
        raise InputError(
            f"Inference-Header-Content-Length: expected a number up to the body's {len(body)}, got {shown}"
        )
    size = int(length)
    return body[:size], memoryview(body)[size:]


def _identity(document: Mapping[str, Any]) -> str | None:
    identity = document.get("id")
    if identity is not None and not isinstance(identity, str):
        raise InputError(f"id: expected a text, got {inputs.kind_of(identity)}")
    return identity


def _wanted(document: Mapping[str, Any], signature: Signature) -> dict[str, bool]:
    """Return the outputs asked for, all where none is named, each with whether it travels in binary."""
    is_binary = _flag(v2_tensors.parameters_of(document, "the request"), "binary_data_output", "parameters") or False
    given = document.get("outputs")
    if given is None or given == []:
        return dict.fromkeys(signature.outputs, is_binary)
    if not isinstance(given, list):
        raise InputError(f"outputs: expected a list, got {inputs.kind_of(given)}")
    wanted: dict[str, bool] = {}
    for index, entry in enumerate(given):
        where = f"outputs[{index}]"
        name = entry.get("name") if isinstance(entry, dict) else entry
        if not isinstance(entry, dict) or not isinstance(name, str) or name not in signature.outputs:
            listed = ", ".join(repr(alias) for alias in signature.outputs)
            raise InputError(f"{where}.name: expected one of {listed}, got {inputs.kind_of(name)}")
        if name in wanted:
            raise InputError(f"{where}: expected each output once, got {name!r} again")
        parameters = v2_tensors.parameters_of(entry, where)
        if parameters.get("classification") not in (None, 0):
            raise InputError(f"{where}.parameters.classification is not supported: ask for the scores, or use /predict")
        own = _flag(parameters, "binary_data", f"{where}.parameters")
        wanted[name] = is_binary if own is None else own
    return wanted


def _flag(parameters: Mapping[str, Any], name: str, where: str) -> bool | None:
    value = parameters.get(name)
    if value is not None and not isinstance(value, bool):
        raise InputError(f"{where}.{name}: expected true or false, got {inputs.kind_of(value)}")
    return value


# ---- replies


def _response(model: str, identity: str | None, wanted: Mapping[str, bool], result: Result) -> Reply:
    missing = set(wanted) - set(result.outputs)
    if missing:
        raise ModelError(f"version {result.version} returned no {min(missing)!r}")
    written = [
        v2_tensors.write_output(name, result.outputs[name], is_binary=is_binary) for name, is_binary in wanted.items()
    ]
    content: dict[str, Any] = {"model_name": model, "model_version": str(result.version)}
    if identity is not None:
        content["id"] = identity
    content["outputs"] = [output.entry for output in written]
    header = orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY)
    binary = [output.content for output in written if output.content is not None]
    if not binary:
        return Reply(200, header, version=result.version)
    length = ((HEADER_LENGTH, str(len(header)).encode()),)
    return Reply(200, b"".join((header, *binary)), OCTETS, length, result.version)


def _json(content: dict[str, Any], version: int | None = None) -> Reply:
    return Reply(200, orjson.dumps(content), version=version)


def _refusal(error: ApiError) -> Reply:
    headers = dict(error.headers)
    if isinstance(error, MethodError):
        headers["allow"] = error.allowed
    # The protocol has one status for all that is wrong with a request.
    status = BAD_REQUEST if error.status in REFUSED else error.status
    listed = tuple((name.encode(), value.encode()) for name, value in headers.items())
    return Reply(status, orjson.dumps({"error": str(error)}), headers=listed)


def _version() -> str:
    try:
        return metadata.version(DISTRIBUTION)
    except metadata.PackageNotFoundError:
        # Run from its sources.
        return "0"
