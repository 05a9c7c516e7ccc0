"""Predict: a signature found, its inputs checked, the graph run. What REST and gRPC share."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from model_server import metrics
from serving_codec import tensors
from serving_codec.json_tensors import Output
from serving_codec.status import Code, ServingError, invalid_argument

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from model_server.manager import Version
    from model_server.saved_model import Runner

    Run = Callable[[Mapping[str, NDArray[Any]], Sequence[str]], list[NDArray[Any]]]

DEFAULT_SIGNATURE = "serving_default"
# A deadline further away bounds nothing: TensorFlow counts milliseconds in 64 bits, timers in fewer.
LONGEST_TIMEOUT_SECONDS = 86_400 * 30
# Methods Predict may call when signatures are held to their name (upstream's servables/tensorflow/predict_util.cc).
METHODS = (
    "tensorflow/serving/predict",
    "tensorflow/serving/classify",
    "tensorflow/serving/regress",
)


@dataclass(frozen=True)
class Options:
    """How requests are answered: signatures held to their method name or not, and gRPC's way to write tensors."""

    check_method: bool = False
    as_tensor_content: bool = False


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


def outputs_of(
    signature: Any, inputs: Mapping[str, NDArray[Any]], run: Run, output_filter: Sequence[str] = ()
) -> list[Output]:
    """Return the outputs of a signature for inputs by alias; raise ServingError in upstream's words.

    Inputs left out take the signature's defaults, where it has them.
    """
    _check_inputs(signature, inputs)
    aliases = _checked_outputs(signature, output_filter)
    feeds = {signature.inputs[alias].name: value for alias, value in inputs.items()}
    for alias in signature.defaults:
        if alias not in inputs and alias in signature.inputs:
            feeds[signature.inputs[alias].name] = tensors.to_numpy(signature.defaults[alias])
    values = run(feeds, [signature.outputs[alias].name for alias in aliases])
    return [Output(alias, signature.outputs[alias].dtype, value) for alias, value in zip(aliases, values, strict=True)]


def _check_inputs(signature: Any, inputs: Mapping[str, object]) -> None:
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
