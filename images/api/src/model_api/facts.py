"""What is told of a version: the answer of `/v1/model`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from model_api import answers, inputs
from model_api.errors import ApiError

if TYPE_CHECKING:
    from model_api.knowledge import Known
    from model_description.signature import TensorSpec


def of(name: str, known: Known) -> dict[str, Any]:
    """Return what is known of a version as JSON has it."""
    told = known.told
    signature = known.signature
    return {
        "name": name,
        "version": known.version,
        "problem": known.problem,
        "signature": signature.name if signature else None,
        "task": known.task,
        "labels": list(known.labels),
        "inputs": {alias: _input(known, spec) for alias, spec in signature.inputs.items()} if signature else {},
        "outputs": {alias: _tensor(spec) for alias, spec in signature.outputs.items()} if signature else {},
        "metrics": dict(told.metrics),
        "parameters": dict(told.parameters),
        "data": dict(told.data),
        "key": told.key,
        "weights_sha256": told.weights_sha256,
        "created": told.created,
        "example": example_of(known),
    }


def _tensor(spec: TensorSpec) -> dict[str, Any]:
    return {"dtype": spec.dtype, "shape": None if spec.shape is None else list(spec.shape)}


def _input(known: Known, spec: TensorSpec) -> dict[str, Any]:
    described = known.told.inputs.get(spec.name)
    if described is None:
        return _tensor(spec)
    told = {"meaning": described.meaning, "minimum": described.minimum, "maximum": described.maximum}
    return _tensor(spec) | told | ({"help": described.help} if described.help else {})


def example_of(known: Known) -> dict[str, Any] | None:
    """Return the model's own example as a request to /predict and the answer it should get; None where it has none."""
    example = known.told.example
    if example is None or known.signature is None:
        return None
    values = dict(example.inputs)
    value = next(iter(values.values())) if len(known.signature.inputs) == 1 else values
    try:
        outputs = {
            alias: np.asarray(inputs.tensor_of(example.outputs[alias], spec, None, alias))[np.newaxis]
            for alias, spec in known.signature.outputs.items()
            if alias in example.outputs
        }
        response = answers.answers(known, outputs)[0]
    except (ApiError, KeyError, StopIteration):
        # An example that does not fit is no example: the model is served all the same.
        return None
    return {"request": {"input": value}, "response": response}
