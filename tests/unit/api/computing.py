"""A gateway whose model is a numpy function."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from model_api import config
from model_api.errors import NotReadyError, UnavailableError
from model_api.knowledge import Known
from model_api.results import Result
from model_description.protos import serving_pb2
from model_description.signature import Signature, TensorSpec
from serving_codec.status import Code, ServingError
from serving_http.aside import Aside
from serving_http.messages import Request

if TYPE_CHECKING:
    from collections.abc import Callable

    from model_api.gateway import Call, Examples, Tensors, Written

NAME = "the model"


def signature_of(inputs: dict[str, TensorSpec], outputs: dict[str, TensorSpec], **more: Any) -> Signature:
    """Return the default signature with these tensors."""
    return Signature("serving_default", inputs, outputs, **more)


def same(dtype: str, shape: tuple[int | None, ...] | None = (None, 2)) -> Signature:
    """Return the signature of a model that answers `y` with its input `x`."""
    return signature_of({"x": TensorSpec("x", dtype, shape)}, {"y": TensorSpec("y", dtype, shape)})


def known_of(version: int, signature: Signature) -> Known:
    """Return what is known of a version with one signature."""
    return Known(version, {signature.name: signature}, None, signature, "", "raw", ())


class Computing:
    """What the protocols use of a Gateway; `versions` are signatures by number, the highest is the current one.

    It keeps the calls it got, and the names of the methods that were asked for. `error` is raised instead of an answer.
    """

    def __init__(
        self, compute: Callable[[Tensors], Tensors], *signatures: Signature, flags: tuple[str, ...] = ()
    ) -> None:
        self.config = config.parse([f"--model-name={NAME}", *flags])
        self.compute = compute
        self.versions = {number: known_of(number, signature) for number, signature in enumerate(signatures, 1)}
        self.current = max(self.versions)
        self.knowledge = SimpleNamespace(fresh=self._fresh)
        self.labels: dict[str, int] = {}
        self.calls: list[Call] = []
        self.asked: list[str] = []
        self.replies: dict[str, Any] = {}
        self.error: Exception | None = None
        self.is_ready = True
        self.aside = Aside(2, 1 << 20)

    async def known(self, version: int | None = None) -> Known:
        """Return what is known; raise as the real one does."""
        number = self.current if version is None else version
        if number not in self.versions:
            cause = ServingError(Code.NOT_FOUND, f"Servable not found for request: Specific({NAME}, {number})")
            raise UnavailableError("the model cannot be asked now") from cause
        return self.versions[number]

    async def _fresh(self) -> Known:
        self.current = max(self.versions)
        return self.versions[self.current]

    def check_ready(self) -> None:
        """Raise NotReadyError as it is told to."""
        if not self.is_ready:
            raise NotReadyError("no server is connected")

    async def run_as_asked(self, call: Call) -> Result:
        """Return what the function computes; the current version answers where none is asked for."""
        self.calls.append(call)
        if self.error is not None:
            raise self.error
        outputs = self.compute(call.inputs)
        return Result(outputs, call.version or self.labels.get(call.label, max(self.versions)), 1)

    run = run_as_asked

    async def examples(self, asked: Examples, write: Callable[[bytes], Written]) -> Written:
        """Return what a function makes of a serialized reply."""
        return write(await self.raw(asked.method, asked.message))

    async def raw(self, method: str, request: bytes) -> bytes:
        """Return a serialized reply."""
        self.asked.append(method)
        if self.error is not None:
            raise self.error
        if method == "GetModelStatus":
            states = serving_pb2.ModelVersionStatus
            return serving_pb2.GetModelStatusResponse(
                model_version_status=[states(version=number, state=states.AVAILABLE) for number in self.versions]
            ).SerializeToString()
        if method == "GetModelMetadata":
            return self._metadata(serving_pb2.GetModelMetadataRequest.FromString(request).model_spec)
        return bytes(self.replies[method].SerializeToString())

    def _metadata(self, spec: serving_pb2.ModelSpec) -> bytes:
        label = spec.version_label
        if label and label not in self.labels:
            raise ServingError(Code.INVALID_ARGUMENT, f"Unrecognized servable version label: {label}")
        response = serving_pb2.GetModelMetadataResponse()
        response.model_spec.version.value = self.labels[label] if label else max(self.versions)
        signatures = serving_pb2.SignatureDefMap()
        for name in ("serving_default", "model_description"):
            signatures.signature_def[name].method_name = "tensorflow/serving/predict"
        response.metadata["signature_def"].Pack(signatures)
        return bytes(response.SerializeToString())


def request(
    path: str, body: bytes | None = None, headers: dict[bytes, bytes] | None = None, query: str = ""
) -> Request:
    """Return a GET, or a POST of a body."""
    return Request("GET" if body is None else "POST", path, path, query, headers or {}, body or b"")
