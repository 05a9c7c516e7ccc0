"""Predict: a signature found, its inputs checked, the graph run. What REST and gRPC share."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tensorflow.core.framework import types_pb2

from model_server import metrics
from serving_codec import tensors
from serving_codec.json_tensors import Output
from serving_codec.status import Code, ServingError, invalid_argument

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from model_server.manager import Version
    from model_server.saved_model import Runner
    from serving_codec.pieces import Buffer

    Run = Callable[[Mapping[str, NDArray[Any]], Sequence[str]], list[NDArray[Any]]]

DEFAULT_SIGNATURE = "serving_default"
# A deadline further away bounds nothing: TensorFlow counts milliseconds in 64 bits, timers in fewer.
LONGEST_TIMEOUT_SECONDS = 86_400 * 30
# A TF1 signature may name a variable: its dtype's number is 100 more (types.proto, DT_FLOAT_REF).
REFERENCE = 100
# Methods Predict may call when signatures are held to their name (upstream's servables/tensorflow/predict_util.cc).
METHODS = (
    "tensorflow/serving/predict",
    "tensorflow/serving/classify",
    "tensorflow/serving/regress",
)


class MayTakeLongError(Exception):
    """A call that is not known to be answered within milliseconds; it belongs on a thread.

    One that has run already, and only has to be answered, has a `rest`; one whose answer is or may be large keeps
    others of its kind waiting, and no small ones.
    """

    def __init__(self, rest: Callable[[], Buffer] | None = None, *, is_large: bool = False) -> None:
        super().__init__()
        self.rest = rest
        self.is_large = is_large


@dataclass(frozen=True)
class Options:
    """How requests are answered: signatures held to their method name or not, and gRPC's way to write tensors."""

    check_method: bool = False
    as_tensor_content: bool = False


class Plan:
    """How a signature is called with all its inputs for all its outputs, looked up once instead of 12 us for each call.

    `inputs` are alias, tensor and dtype; `tensors` and `dtypes`, which may be a reference's, have the same by alias.
    `fetches` and `outputs`, alias and dtype, are in order of their aliases.
    """

    __slots__ = ("dtypes", "fetches", "inputs", "outputs", "tensors")

    def __init__(self, signature: Any) -> None:
        self.inputs = [(alias, info.name, info.dtype % REFERENCE) for alias, info in signature.inputs.items()]
        self.tensors = {alias: info.name for alias, info in signature.inputs.items()}
        self.dtypes = {alias: info.dtype for alias, info in signature.inputs.items()}
        named = sorted(signature.outputs.items())
        self.fetches = [info.name for _, info in named]
        self.outputs = [(alias, info.dtype) for alias, info in named]

    @classmethod
    def of(cls, version: Version, signature_name: str, *, check_method: bool) -> Plan:
        """Return the plan of a version's signature, kept with the version; raise ServingError as signature_of does."""
        plan: Plan | None = version.plans.get(signature_name)
        if plan is None:
            plan = cls(signature_of(version.runner, signature_name, check_method=check_method))
            version.plans[signature_name] = plan
        return plan

    def run(self, feeds: Mapping[str, NDArray[Any]], run: Run) -> list[Output]:
        """Return all outputs for values by tensor."""
        values = run(feeds, self.fetches)
        return [Output(alias, dtype, value) for (alias, dtype), value in zip(self.outputs, values, strict=True)]

    def feeds(self, given: Mapping[str, Any]) -> dict[str, NDArray[Any]] | None:
        """Return the values of TensorProtos by tensor; None unless they are just the inputs, whole, of their dtypes."""
        if len(given) != len(self.inputs):
            return None
        feeds = {}
        for alias, tensor, dtype in self.inputs:
            if alias not in given:
                return None
            proto = given[alias]
            if proto.dtype != dtype or tensors.is_short(proto):
                return None
            feeds[tensor] = tensors.to_numpy(proto)
        return feeds


def signature_of(model: Runner, name: str, *, check_method: bool = False) -> Any:
    """Return a SignatureDef by name ("" is the default's); raise FAILED_PRECONDITION in gRPC's words."""
    name = name or DEFAULT_SIGNATURE
    if name not in model.signatures:
        raise ServingError(Code.FAILED_PRECONDITION, f'Serving signature key "{name}" not found.')
    signature = model.signatures[name]
    if check_method and signature.method_name not in METHODS:
        raise ServingError(
            Code.INTERNAL,
            f"Expected prediction signature method_name to be one of {_set(METHODS)}. Was: {signature.method_name}",
        )
    return signature


def timed(version: Version, name: str, api: str, signature: str, timeout_ms: int | None) -> Run:
    """Return a way to run a held version whose time is counted for its name and API, and whose outcome is noted."""
    runner = version.runner

    def run(feeds: Mapping[str, NDArray[Any]], fetches: Sequence[str]) -> list[NDArray[Any]]:
        start = time.perf_counter_ns()
        try:
            values = runner.run(feeds, fetches, timeout_ms)
        except ServingError as error:
            version.outcomes.failed(api, name, version.number, signature, error)
            raise
        version.outcomes.succeeded(signature)
        metrics.RUNTIME_LATENCY.observe((time.perf_counter_ns() - start) / 1000, name, api, "TF1")
        return values

    return run


def inputs_of(signature: Any, given: Mapping[str, Any], sent_bytes: int) -> dict[str, NDArray[Any]]:
    """Return the values of TensorProtos by alias, checked against a signature before they are filled.

    All of them together are filled up to tensors.FILLED_BYTES, or FILLED_FACTOR times what was sent where that is more.
    Raise ServingError in upstream's words, or for a shape that is filled against the signature's.
    """
    check_aliases(signature, given)
    most = max(tensors.FILLED_BYTES, tensors.FILLED_FACTOR * sent_bytes)
    inputs = {}
    for index, alias in enumerate(sorted(given)):
        proto, expected = given[alias], signature.inputs[alias]
        _check_dtype(index, proto, expected)
        _check_strings(proto)
        if not tensors.is_short(proto):
            inputs[alias] = tensors.to_numpy(proto)
            continue
        _check_shape(proto, expected)
        inputs[alias] = tensors.to_numpy(proto, most)
        most -= inputs[alias].nbytes
    return inputs


def outputs_of(
    signature: Any, inputs: Mapping[str, NDArray[Any]], run: Run, output_filter: Sequence[str] = ()
) -> list[Output]:
    """Return the outputs of a signature for inputs by alias; raise ServingError in upstream's words.

    Inputs left out take the signature's defaults, where it has them.
    """
    check_aliases(signature, inputs)
    aliases = _checked_outputs(signature, output_filter)
    feeds = {signature.inputs[alias].name: value for alias, value in inputs.items()}
    for alias in signature.defaults:
        if alias not in inputs and alias in signature.inputs:
            # The model's own: as large as it says.
            feeds[signature.inputs[alias].name] = tensors.to_numpy(signature.defaults[alias], tensors.MAXIMUM_BYTES)
    values = run(feeds, [signature.outputs[alias].name for alias in aliases])
    return [Output(alias, signature.outputs[alias].dtype, value) for alias, value in zip(aliases, values, strict=True)]


def check_aliases(signature: Any, inputs: Mapping[str, object]) -> None:
    """Raise INVALID_ARGUMENT, in upstream's words, unless these inputs are the signature's; defaults may be missing."""
    wanted, sent = set(signature.inputs), set(inputs)
    if wanted == sent:
        return
    missing = wanted - sent - set(signature.defaults)
    if sent - wanted or missing:
        raise invalid_argument(
            f"input size does not match signature: {len(sent)}!={len(wanted)} "
            f"len({_set(sent)}) != len({_set(wanted)}). "
            f"Sent extra: {_set(sent - wanted)}. Missing but required: {_set(missing)}."
        )


def _check_dtype(index: int, proto: Any, expected: Any) -> None:
    """Raise INVALID_ARGUMENT for another dtype than the signature's, in the words of TensorFlow's runtime."""
    wanted = expected.dtype % REFERENCE
    if proto.dtype != wanted and wanted and proto.dtype in tensors.NUMPY_BY_NUMBER:
        raise invalid_argument(f"Expects arg[{index}] to be {_named(wanted)} but {_named(proto.dtype)} is provided")


def _check_strings(proto: Any) -> None:
    """Raise INVALID_ARGUMENT for strings so small that they are many times what they came as."""
    count = len(proto.string_val)
    if count * tensors.READ_STRING_BYTES > tensors.READ_BYTES:
        tensors.check_read(count, tensors.READ_STRING_BYTES, proto.ByteSize(), "strings")


def _named(dtype: int) -> str:
    """Return a dtype's name as TensorFlow's DataTypeString has it."""
    name: str = types_pb2.DataType.Name(dtype)
    return name.removeprefix("DT_").lower()


def _check_shape(proto: Any, expected: Any) -> None:
    """Raise INVALID_ARGUMENT for a tensor to be filled in another shape than the signature's.

    A whole tensor may have any shape: what the graph takes is taken, as upstream does.
    """
    if expected.tensor_shape.unknown_rank or not expected.HasField("tensor_shape"):
        return
    shape = [dimension.size for dimension in proto.tensor_shape.dim]
    wanted = [dimension.size for dimension in expected.tensor_shape.dim]
    if len(shape) != len(wanted) or any(w not in {-1, size} for size, w in zip(shape, wanted, strict=True)):
        raise invalid_argument(
            f"tensor parsing error: shape {shape} has fewer values than elements, and is not the signature's {wanted}"
        )


def fetches_of(signature: Any, output_filter: Sequence[str] = ()) -> list[str]:
    """Return the tensors of the outputs that are asked for, in the order in which they are fetched."""
    return [signature.outputs[alias].name for alias in _checked_outputs(signature, output_filter)]


def _checked_outputs(signature: Any, output_filter: Sequence[str]) -> list[str]:
    if not output_filter:
        return sorted(signature.outputs)
    for alias in output_filter:
        if alias not in signature.outputs:
            raise invalid_argument(
                f"output tensor alias not found in signature: {alias} "
                f"Outputs expected to be in the set {_set(signature.outputs)}."
            )
    if len(set(output_filter)) != len(output_filter):
        repeated = next(alias for alias in output_filter if list(output_filter).count(alias) > 1)
        raise invalid_argument(f"duplicate output tensor alias: {repeated}")
    return list(output_filter)


def _set(names: Any) -> str:
    return "{" + ",".join(sorted(names)) + "}"
