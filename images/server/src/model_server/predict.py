"""Predict: a signature found, its inputs checked, the graph run. What REST and gRPC share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from model_server.status import Code, ServingError, invalid_argument

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from model_server.saved_model import SavedModel

DEFAULT_SIGNATURE = "serving_default"


@dataclass(frozen=True)
class Output:
    """A fetched tensor by its alias, with the dtype of the signature."""

    alias: str
    dtype: int
    value: NDArray[Any]


def signature_of(model: SavedModel, name: str) -> Any:
    """Return a SignatureDef by name ("" is the default's); raise FAILED_PRECONDITION in gRPC's words."""
    name = name or DEFAULT_SIGNATURE
    if name not in model.signatures:
        raise ServingError(Code.FAILED_PRECONDITION, f'Serving signature key "{name}" not found.')
    return model.signatures[name]


def run(
    model: SavedModel,
    signature: Any,
    inputs: Mapping[str, NDArray[Any]],
    output_filter: Sequence[str] = (),
    timeout_ms: int | None = None,
) -> list[Output]:
    """Return the outputs of a signature for inputs by alias; raise ServingError in upstream's words."""
    _check_inputs(signature, inputs)
    aliases = _checked_outputs(signature, output_filter)
    feeds = {signature.inputs[alias].name: value for alias, value in inputs.items()}
    values = model.run(feeds, [signature.outputs[alias].name for alias in aliases], timeout_ms)
    return [Output(alias, signature.outputs[alias].dtype, value) for alias, value in zip(aliases, values, strict=True)]


def _check_inputs(signature: Any, inputs: Mapping[str, object]) -> None:
    wanted, sent = set(signature.inputs), set(inputs)
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
