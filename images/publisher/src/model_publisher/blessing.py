"""The blessing: the release's own server loads the candidate and answers its example as training computed it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import grpc
import numpy as np

from model_description import dtypes, saved_model
from model_description import signature as signatures
from model_description.protos import serving_pb2
from model_publisher.errors import NotGoodEnoughError, PublisherError
from model_store.telling import tell
from serving_codec import json_tensors, tensors
from serving_codec.status import ServingError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from model_description.description import Description

POLL_SECONDS = 0.2
CALL_SECONDS = 5.0
LONGEST_REASON = 600
# Answers are compared as numpy.isclose does: |found - expected| <= absolute + relative x |expected|. What is exact by
# nature is compared exactly.
_TOLERANCES = {"float16": (1e-2, 1e-2), "bfloat16": (1e-2, 1e-2), "float32": (1e-5, 1e-4), "float64": (1e-5, 1e-4)}
# States of a version after which it is not loaded any more (get_model_status.proto).
_END = 50
_AVAILABLE = 30
_OPTIONS = [
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    # A server that starts is found within a second; left alone, gRPC waits longer after each refusal, up to minutes.
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.min_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    # The server is in this pod: no proxy of the environment has anything to do with it.
    ("grpc.enable_http_proxy", 0),
]


@dataclass(frozen=True)
class Blessing:
    """The server beside, how long it may take, and how far its answer may be off (None: by type)."""

    server: str
    model_name: str
    timeout_seconds: float
    absolute_tolerance: float | None = None
    relative_tolerance: float | None = None
    clock: Callable[[], float] = time.monotonic
    pause: Callable[[float], object] = time.sleep

    def give(self, description: Description, show: Callable[[], object]) -> None:
        """Return when the server has loaded the candidate and answered its example; raise NotGoodEnoughError.

        `show` has the server find the candidate. It is called once the server listens: one that cannot load the first
        model it finds would end before that, and nobody would learn why.
        """
        start = self.clock()
        deadline = start + self.timeout_seconds
        with grpc.insecure_channel(self.server, _OPTIONS) as channel:
            self._wait_until_it_listens(channel, deadline)
            show()
            self._wait_until_loaded(channel, deadline)
            loaded = self.clock()
            known = self._signature(channel, description.signature, deadline)
            if description.example is None:
                tell(f"blessed: loaded in {loaded - start:.1f} s; there is no example to ask it")
                return
            answer = self._ask(channel, known, description, deadline)
            self._compare(known, description.example.outputs, answer)
        tell(f"blessed: loaded in {loaded - start:.1f} s, answered its example in {self.clock() - loaded:.2f} s")

    def _wait_until_it_listens(self, channel: grpc.Channel, deadline: float) -> None:
        while True:
            try:
                self._states(channel)
            except grpc.RpcError as error:
                # An answer is an answer: it knows no model yet.
                if error.code() not in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}:
                    return
                self._pause(deadline, _told(error))
            else:
                return

    def _wait_until_loaded(self, channel: grpc.Channel, deadline: float) -> None:
        while True:
            try:
                states = self._states(channel)
            except grpc.RpcError as error:
                reason = _told(error)
            else:
                if any(state.state == _AVAILABLE for state in states):
                    return
                for state in states:
                    if state.state == _END and state.status.error_code:
                        told = _short(state.status.error_message)
                        raise NotGoodEnoughError(f"the server cannot load the model: {told}: nothing was published")
                reason = "it is still loading" if states else "it has not found the model yet"
            self._pause(deadline, reason)

    def _states(self, channel: grpc.Channel) -> Any:
        """Return the states of the model's versions; raise RpcError where there is no answer, or no model."""
        ask: Any = channel.unary_unary("/tensorflow.serving.ModelService/GetModelStatus")
        request = serving_pb2.GetModelStatusRequest()
        request.model_spec.name = self.model_name
        reply = ask(request.SerializeToString(), timeout=CALL_SECONDS)
        return serving_pb2.GetModelStatusResponse.FromString(reply).model_version_status

    def _pause(self, deadline: float, reason: str) -> None:
        if self.clock() >= deadline:
            raise NotGoodEnoughError(
                f"the server did not load the model in {self.timeout_seconds:g} s (training.blessing.timeoutSeconds): "
                f"{reason}; its log is in the container server of this pod: nothing was published"
            )
        self.pause(POLL_SECONDS)

    def _signature(self, channel: grpc.Channel, name: str, deadline: float) -> signatures.Signature:
        ask: Any = channel.unary_unary("/tensorflow.serving.PredictionService/GetModelMetadata")
        request = serving_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
        request.model_spec.name = self.model_name
        try:
            reply = serving_pb2.GetModelMetadataResponse.FromString(
                ask(request.SerializeToString(), timeout=self._left(deadline))
            )
        except grpc.RpcError as error:
            raise NotGoodEnoughError(
                f"the server does not tell the model's signatures: {_told(error)}: nothing was published"
            ) from error
        found = serving_pb2.SignatureDefMap.FromString(reply.metadata["signature_def"].value)
        return saved_model.signatures_of(found.signature_def)[name]

    def _ask(
        self, channel: grpc.Channel, known: signatures.Signature, description: Description, deadline: float
    ) -> dict[str, NDArray[Any]]:
        call: Any = channel.unary_unary("/tensorflow.serving.PredictionService/Predict")
        request = serving_pb2.PredictRequest()
        request.model_spec.name = self.model_name
        request.model_spec.signature_name = known.name
        assert description.example is not None  # noqa: S101 - who calls has looked
        _fill(request, known, description.example.inputs)
        try:
            reply = serving_pb2.PredictResponse.FromString(
                call(request.SerializeToString(), timeout=self._left(deadline))
            )
        except grpc.RpcError as error:
            late = error.code() == grpc.StatusCode.DEADLINE_EXCEEDED
            what = "in time (training.blessing.timeoutSeconds)" if late else f": {_told(error)}"
            raise NotGoodEnoughError(
                f"the server does not answer the model's example{' ' * late}{what}: nothing was published"
            ) from error
        return {name: tensors.to_numpy(proto) for name, proto in reply.outputs.items()}

    def _compare(
        self, known: signatures.Signature, told: Mapping[str, Any], answer: Mapping[str, NDArray[Any]]
    ) -> None:
        for name, expected in _read(told, known.outputs, rows=1 if known.has_rows else 0).items():
            dtype = known.outputs[name].dtype
            # Of a batch that has to be larger, the first row is as good as any.
            found = answer[name][:1] if known.has_rows and answer[name].ndim else answer[name]
            if found.shape == expected.shape and self._is_close(found, expected, dtype):
                continue
            raise NotGoodEnoughError(
                f"the server answers the model's example with {name} {_values(found)}, training computed "
                f"{_values(expected)}{_difference(found, expected)}: nothing was published"
            )

    def _is_close(self, found: NDArray[Any], expected: NDArray[Any], dtype: str) -> bool:
        if dtype not in _TOLERANCES:
            return bool(np.array_equal(found, expected))
        absolute, relative = _TOLERANCES[dtype]
        absolute = absolute if self.absolute_tolerance is None else self.absolute_tolerance
        relative = relative if self.relative_tolerance is None else self.relative_tolerance
        return bool(np.allclose(found.astype(np.float64), expected.astype(np.float64), atol=absolute, rtol=relative))

    def _left(self, deadline: float) -> float:
        return max(deadline - self.clock(), 0.001)


def _fill(request: Any, known: signatures.Signature, row: Mapping[str, Any]) -> None:
    rows = (known.fixed_rows or 1) if known.has_rows else 0
    for name, values in _read(row, known.inputs, rows).items():
        tensors.fill(request.inputs[name], values, known.inputs[name].dtype)


def _read(row: Mapping[str, Any], specs: Mapping[str, signatures.TensorSpec], rows: int) -> dict[str, NDArray[Any]]:
    """Return a row's values as arrays of so many equal rows, as they are for none; raise PublisherError."""
    numbers = {name: dtypes.NUMBERS[specs[name].dtype] for name in row}
    document = {"inputs": {name: [value] * rows if rows else value for name, value in row.items()}}
    try:
        return json_tensors.read_inputs(document, numbers, halves=True)[0]
    except ServingError as error:
        raise PublisherError(f"the example in the result file does not fit the model: {error}") from error


def _values(values: NDArray[Any]) -> str:
    return np.array2string(values, precision=6, threshold=8).replace("\n", "")


def _difference(found: NDArray[Any], expected: NDArray[Any]) -> str:
    if found.shape != expected.shape:
        return f", of shape {found.shape} and not {expected.shape}"
    if found.dtype.kind not in "fiu" and "float" not in found.dtype.name:
        return ""
    largest = np.max(np.abs(found.astype(np.float64) - expected.astype(np.float64)))
    return f", up to {largest:.3g} apart"


def _told(error: grpc.RpcError) -> str:
    return _short(error.details() or str(error.code()))


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= LONGEST_REASON else f"{line[: LONGEST_REASON - 3]}..."
