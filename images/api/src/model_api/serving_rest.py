"""TensorFlow Serving's REST API for the served model: its paths, its JSON and its words.

https://www.tensorflow.org/tfx/serving/api_rest. What is more than upstream's: half and bfloat16 travel as any float
does. A request without a signature's name means `serving_default`, whatever /predict calls.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from google.protobuf import json_format

from model_api.errors import ApiError, UnavailableError
from model_api.gateway import Call, Examples, write_aside
from model_api.reply import Reply
from model_api.results import TENSOR_BYTES
from model_description import description, dtypes
from model_description.protos import serving_pb2
from serving_codec import json_examples, json_numbers, json_tensors
from serving_codec.json_tensors import Output
from serving_codec.paths import Choice, parse_path
from serving_codec.status import Code, ServingError, invalid_argument

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from model_api.gateway import Gateway
    from model_api.knowledge import Known
    from model_api.results import Result
    from model_description.signature import Signature
    from serving_codec.json_numbers import Numbers
    from serving_codec.paths import Request as Target
    from serving_http.messages import Request

DEFAULT_SIGNATURE = "serving_default"
SIGNATURES = "signature_def"
# What is parsed, and written, in a millisecond or two stays on the event loop.
SMALL_BODY_BYTES = 64 << 10
# What the largest body and the largest answer take beside themselves, about: they take turns.
ASIDE_BYTES = 32 << 20
# Signatures take so many times as long to tell as numbers.
TOLD_FACTOR = 16
# How long a label is taken to mean the version it meant, and how many are remembered: as many as servers may have.
LABEL_SECONDS = 2.0
MAXIMUM_LABELS = 64
# What a server says of a model, a version or a label that it has not.
NO_SERVABLE = "Servable not found for request"
UNAVAILABLE = 503
RETRY = ((b"retry-after", b"1"),)
# What may be because the request was read for another version.
REFUSALS = frozenset({Code.INVALID_ARGUMENT, Code.FAILED_PRECONDITION})
# A choice nobody can make: of a path that is not understood, or not of the served model.
ANYTHING = Choice(number=-1)
CODES = {400: Code.INVALID_ARGUMENT, 404: Code.NOT_FOUND, 503: Code.UNAVAILABLE, 504: Code.DEADLINE_EXCEEDED}


class ServingRest:
    """Routes of /v1/models: status, metadata, predict, classify and regress of the one model."""

    def __init__(self, gateway: Gateway) -> None:
        # For the life of the process.
        self._gateway = gateway
        self._config = gateway.config
        # As labels are asked for: the version each has, and until when that is believed.
        self._labels: dict[str, tuple[int, float]] = {}
        # What a server last said of its signatures, and what that is in REST's words.
        self._told: tuple[bytes, Reply] | None = None

    async def handle(self, request: Request) -> Reply:
        """Answer a request below /v1/models; an error is {"error": upstream's words} with upstream's status.

        While the model cannot be asked, the answer is 503 with Retry-After, and 504 when it takes too long.
        """
        # The query stays part of the matched path, as upstream has it.
        path = f"{request.raw_path}?{request.query}" if request.query else request.raw_path
        choice = ANYTHING
        try:
            target = parse_path(request.method, path)
            if target is None:
                return Reply(400, b"")
            self._expect_served(target)
            choice = target.choice
            return await self._answer(target, request)
        except (ServingError, ApiError) as error:
            return _refusal(error, choice)

    async def _answer(self, target: Target, request: Request) -> Reply:
        match target.action:
            case "status":
                return await self._status(target.choice)
            case "metadata":
                return await self._metadata(target.choice)
        body = request.body
        is_large = len(body) > SMALL_BODY_BYTES
        if target.action == "predict":
            numbers = await self._run_aside(is_large, json_numbers.read, body, json_tensors.KEYS)
            if numbers is not None:
                asked = _Asked(body, numbers.signature_name or DEFAULT_SIGNATURE, is_large, numbers=numbers)
                return await self._predict(asked, target.choice)
        document = await self._run_aside(is_large, json_tensors.parse, body)
        name = json_tensors.signature_name_of(document)
        if target.action == "predict":
            asked = _Asked(body, name or DEFAULT_SIGNATURE, is_large, document=document)
            return await self._predict(asked, target.choice)
        return await self._examples(target.action, target.choice, document, is_large=is_large)

    async def _run_aside(self, is_long: bool, function: Callable[..., Any], *arguments: Any) -> Any:  # noqa: FBT001
        """Call a function; on a thread where it would hold the event loop for long."""
        return await self._gateway.aside.run(ASIDE_BYTES, function, *arguments) if is_long else function(*arguments)

    def _expect_served(self, target: Target) -> None:
        if target.model == self._config.model_name:
            return
        if target.action == "status":
            raise ServingError(Code.NOT_FOUND, f"Could not find any versions of model {target.model}")
        choice = target.choice
        asked = f"Latest({target.model})" if choice.number is None else f"Specific({target.model}, {choice.number})"
        raise ServingError(Code.NOT_FOUND, f"{NO_SERVABLE}: {asked}")

    # ---- status and metadata

    async def _status(self, choice: Choice) -> Reply:
        request = serving_pb2.GetModelStatusRequest()
        request.model_spec.name = self._config.model_name
        # A label in a status path is ignored, as upstream has it.
        if choice.number is not None:
            request.model_spec.version.value = choice.number
        reply = await self._gateway.raw("GetModelStatus", request.SerializeToString())
        listed = [
            {
                "version": str(entry.version),
                "state": serving_pb2.ModelVersionStatus.State.Name(entry.state),
                "status": {
                    "error_code": Code(entry.status.error_code).name,
                    "error_message": entry.status.error_message,
                },
            }
            for entry in serving_pb2.GetModelStatusResponse.FromString(reply).model_version_status
        ]
        return Reply(200, json.dumps({"model_version_status": listed}, indent=1).encode() + b"\n")

    async def _metadata(self, choice: Choice) -> Reply:
        reply = await self._metadata_of(choice)
        # What servers say of a version stays the same: it is written once.
        if self._told is None or self._told[0] != reply:
            size = TOLD_FACTOR * len(reply)
            told = await write_aside(self._gateway.aside, size, _told, self._config.model_name, reply)
            self._told = (reply, told)
        return self._told[1]

    async def _version(self, choice: Choice) -> int:
        """Return the version that a choice means now."""
        reply = await self._metadata_of(choice)
        return serving_pb2.GetModelMetadataResponse.FromString(reply).model_spec.version.value

    async def _metadata_of(self, choice: Choice) -> bytes:
        request = serving_pb2.GetModelMetadataRequest(metadata_field=[SIGNATURES])
        self._choose(request.model_spec, choice)
        return await self._gateway.raw("GetModelMetadata", request.SerializeToString())

    def _choose(self, spec: serving_pb2.ModelSpec, choice: Choice) -> None:
        spec.name = self._config.model_name
        number = self._config.model_version if choice == Choice() else choice.number
        if choice.label is not None:
            spec.version_label = choice.label
        elif number is not None:
            spec.version.value = number

    # ---- predict

    async def _predict(self, asked: _Asked, choice: Choice) -> Reply:
        known = await self._known(choice)
        try:
            return await self._run(asked, choice, known)
        except (ServingError, ApiError) as error:
            if _of_server(error).code not in REFUSALS:
                raise
            # The servers may have gone on to a version that takes something else.
            current = await self._known_afresh(choice, known)
            if current.signatures.get(asked.signature_name) == known.signatures.get(asked.signature_name):
                raise
            return await self._run(asked, choice, current)

    async def _run(self, asked: _Asked, choice: Choice, known: Known) -> Reply:
        signature = _signature_of(known, asked.signature_name)
        given, is_rows = await self._run_aside(asked.is_large, asked.inputs, signature)
        call = Call(signature, given, choice.number, choice.label or "")
        result = await self._gateway.run_as_asked(call)
        # Its words take four times as long as orjson's.
        size = 4 * (result.size + TENSOR_BYTES * len(result.outputs))
        body = await write_aside(self._gateway.aside, size, _written, result, is_rows)
        return Reply(200, body, version=result.version)

    async def _known(self, choice: Choice) -> Known:
        """Return what is known of the version a request asks for; a label's version is asked for every so often."""
        if choice.label is None:
            return await self._gateway.known(choice.number)
        version, until = self._labels.get(choice.label, (0, 0.0))
        if time.monotonic() >= until:
            self._labels.pop(choice.label, None)
            version = await self._version(choice)
            while len(self._labels) >= MAXIMUM_LABELS:
                del self._labels[next(iter(self._labels))]
            self._labels[choice.label] = (version, time.monotonic() + LABEL_SECONDS)
        return await self._gateway.known(version)

    async def _known_afresh(self, choice: Choice, known: Known) -> Known:
        """Return the same of what the servers have now, where that can have changed: a version stays what it is."""
        if choice.number is not None:
            return known
        if choice.label is None:
            return await self._gateway.knowledge.fresh()
        self._labels.pop(choice.label, None)
        return await self._known(choice)

    # ---- classify and regress

    async def _examples(self, method: str, choice: Choice, document: dict[str, Any], *, is_large: bool) -> Reply:
        """Have the server classify, or regress, a body's examples."""
        signature_name = json_tensors.signature_name_of(document)
        is_classify = method == "classify"
        request = serving_pb2.ClassificationRequest() if is_classify else serving_pb2.RegressionRequest()
        self._choose(request.model_spec, choice)
        request.model_spec.signature_name = signature_name
        message = await self._run_aside(is_large, _with_examples, request, document, method)
        name, written = ("Classify", _classified) if is_classify else ("Regress", _regressed)
        # What is no list was refused above.
        asked = Examples(name, signature_name, message, len(document["examples"]))
        body, version = await self._gateway.examples(asked, written)
        return Reply(200, body, version=version)


@dataclass(frozen=True)
class _Asked:
    """A predict body, the signature's name, and what was read of it: its numbers, or its JSON."""

    body: bytes
    signature_name: str
    is_large: bool
    numbers: Numbers | None = None
    document: dict[str, Any] | None = None

    def inputs(self, signature: Signature) -> tuple[dict[str, NDArray[Any]], bool]:
        """Return the tensors for a signature, and whether they are in row form."""
        numbers = {name: _number_of(spec.dtype) for name, spec in signature.inputs.items()}
        if self.numbers is not None:
            found = json_tensors.read_numbers(self.numbers, numbers, halves=True)
            if found is not None:
                return found
        document = self.document or json_tensors.parse(self.body)
        may_hold_booleans = json_tensors.may_hold_booleans(self.body)
        return json_tensors.read_inputs(document, numbers, may_hold_booleans=may_hold_booleans, halves=True)


def _told(name: str, reply: bytes) -> Reply:
    """Return what is told of a version's signatures, as a server said it."""
    response = serving_pb2.GetModelMetadataResponse.FromString(reply)
    signatures = serving_pb2.SignatureDefMap.FromString(response.metadata[SIGNATURES].value)
    # What a model says of itself is no signature for clients.
    signatures.signature_def.pop(description.SIGNATURE, None)
    version = response.model_spec.version.value
    content = {
        "model_spec": {"name": name, "signature_name": "", "version": str(version)},
        "metadata": {
            SIGNATURES: json_format.MessageToDict(
                signatures, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
            )
        },
    }
    return Reply(200, json.dumps(content, indent=1).encode() + b"\n", version=version)


def _with_examples(request: Any, document: dict[str, Any], method: str) -> bytes:
    """Return a request, serialized, with a body's examples."""
    for example in json_examples.read(document, method).tolist():
        request.input.example_list.examples.add().MergeFromString(example)
    message: bytes = request.SerializeToString()
    return message


def _classified(reply: bytes) -> tuple[bytes, int]:
    response = serving_pb2.ClassificationResponse.FromString(reply)
    return _encoded(json_examples.write_classifications(response.result)), response.model_spec.version.value


def _regressed(reply: bytes) -> tuple[bytes, int]:
    response = serving_pb2.RegressionResponse.FromString(reply)
    return _encoded(json_examples.write_regressions(response.result)), response.model_spec.version.value


def _signature_of(known: Known, name: str) -> Signature:
    """Return a version's signature; raise INVALID_ARGUMENT in upstream's words."""
    signature = known.signatures.get(name)
    if signature is None:
        raise invalid_argument(f'Serving signature name: "{name}" not found in signature def')
    if not signature.inputs:
        raise invalid_argument(f"Failed to get input map for signature: {name}")
    return signature


def _number_of(dtype: str) -> int:
    """Return the number of a dtype; one that cannot travel has upstream's name, or is DT_INVALID."""
    if dtype in dtypes.NUMBERS:
        return dtypes.NUMBERS[dtype]
    known = serving_pb2.DataType.DESCRIPTOR.values_by_name.get(dtype)
    return 0 if known is None else known.number


def _written(result: Result, is_rows: bool) -> bytes:  # noqa: FBT001 - as read_inputs returns it
    """Return a result as JSON in the form of its request."""
    outputs = [
        Output(name, dtypes.NUMBERS["string" if value.dtype == object else value.dtype.name], value)
        for name, value in result.outputs.items()
    ]
    write = json_tensors.write_rows if is_rows else json_tensors.write_columns
    return _encoded(write(outputs, halves=True))


# ---- errors


def _of_server(error: ServingError | ApiError) -> ServingError:
    """Return an error as the server put it, where it came from there; any other with the code of its status."""
    if isinstance(error, ServingError):
        return error
    if isinstance(error.__cause__, ServingError):
        return error.__cause__
    return ServingError(CODES.get(error.status, Code.INTERNAL), str(error))


def _refusal(error: ServingError | ApiError, choice: Choice) -> Reply:
    """Return what a caller is told: upstream's words; a model that is away for now is worth another try."""
    told = _of_server(error)
    is_away = told.code is Code.NOT_FOUND and told.message.startswith(NO_SERVABLE) and choice == Choice()
    is_unavailable = isinstance(error, UnavailableError) and told.code is not Code.NOT_FOUND
    status = UNAVAILABLE if is_away or is_unavailable else told.code.http
    if isinstance(error, ApiError) and not isinstance(error.__cause__, ServingError):
        # Ours, and upstream has no code for some: 413, 415.
        status = error.status
    headers = RETRY if status == UNAVAILABLE else ()
    content = json.dumps({"error": told.message}, indent=4, ensure_ascii=False)
    return Reply(status, _encoded(content), headers=headers)


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
