"""What a trained model tells of itself: its task, an example with the answer, labels, metrics, parameters, data."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import tensorflow as tf

from model_description import saved_model
from trainer import export
from trainer.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from model_description.signature import Signature
    from trainer.data import Data
    from trainer.recipe import Recipe


def result(
    recipe: Recipe, model: keras.Model, data: Data, metrics: Mapping[str, float], folder: Path
) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Return the result file's content, and the example's rows by input, first axis the example.

    `folder` holds the SavedModel. Raise InputError where the recipe's example does not fit the model's inputs.
    """
    signature = saved_model.read_signatures(folder)[export.SIGNATURE]
    rows = _rows(signature, recipe.example(data))
    task, scores = _task(model)
    content: dict[str, Any] = {
        "metrics": {name: float(f"{value:.6g}") for name, value in metrics.items()},
        "task": recipe.task or task,
        "labels": list(recipe.labels),
        "signature": export.SIGNATURE,
        "inputs": {name: dict(meaning) for name, meaning in recipe.inputs.items()},
        "outputs": {name: {"scores": scores} for name in signature.outputs if scores},
        "example": _example(model, signature, rows),
        "parameters": recipe.values(),
        "data": {name: value for name, value in (("name", data.name), ("sha256", data.sha256)) if value},
        "gates": [dict(gate) for gate in recipe.gates],
    }
    return content, rows


def _rows(signature: Signature, features: Any) -> dict[str, NDArray[Any]]:
    """Return the features of some examples by input, with the inputs' own types."""
    named = features if isinstance(features, dict) else None
    if named is None:
        values = features if isinstance(features, tuple | list) else [features]
        named = dict(zip(signature.inputs, values, strict=False))
    if set(named) != set(signature.inputs):
        raise InputError(
            f"the recipe's example has {', '.join(sorted(named)) or 'nothing'}, the model takes "
            f"{', '.join(sorted(signature.inputs))}: give features by the names of the model's inputs"
        )
    return {name: _as_input(np.asarray(values), signature.inputs[name].dtype) for name, values in named.items()}


def _as_input(values: NDArray[Any], dtype: str) -> NDArray[Any]:
    if dtype == "string":
        return np.array([_bytes(value) for value in values.ravel()], object).reshape(values.shape)
    return values.astype(dtype)


def _bytes(value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()


def _example(model: keras.Model, signature: Signature, rows: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
    """Return the first row, and what the model computes for it, as JSON has them."""
    first = {name: tf.constant(values[:1]) for name, values in rows.items()}
    known = export.interface(model)
    if known is None:
        given = [first[name] for name in signature.inputs]
        outputs = tf.nest.flatten(model(given[0] if len(given) == 1 else given, training=False))
        computed = dict(zip(sorted(signature.outputs), outputs, strict=True))
    else:
        outputs = tf.nest.flatten(
            model(tf.nest.map_structure(lambda spec: first[spec.name], known.inputs), training=False)
        )
        computed = dict(zip(known.outputs, outputs, strict=True))
    return {
        "inputs": {name: _json(values.numpy()[0]) for name, values in first.items()},
        "outputs": {name: _json(values.numpy()[0]) for name, values in computed.items()},
    }


def _json(value: Any) -> Any:
    """Return a row as JSON has it; numbers with as many digits as tell any two of their type apart."""
    if isinstance(value, np.ndarray) and value.ndim:
        return [_json(element) for element in value]
    plain = value.item() if isinstance(value, np.generic | np.ndarray) else value
    if isinstance(plain, bytes):
        try:
            return plain.decode()
        except UnicodeDecodeError:
            return {"b64": base64.b64encode(plain).decode()}
    if isinstance(plain, float) and np.asarray(value).dtype != np.float64:
        return float(f"{plain:.9g}")
    return plain


def _task(model: keras.Model) -> tuple[str, str]:
    """Return task and scores as the compiled loss tells them, where it is certain: else raw, and no word of scores."""
    try:
        loss = keras.losses.get(model.loss)
    except (TypeError, ValueError):
        return "raw", ""
    known = export.interface(model)
    if known is None or len(known.outputs) != 1:
        return "raw", ""
    scores = "logits" if getattr(loss, "_fn_kwargs", {}).get("from_logits") else "probabilities"
    name = getattr(loss, "name", None) or getattr(loss, "__name__", "")
    units = model.output_shape[-1] if len(model.output_shape) > 1 else 1
    if len(model.output_shape) > 2:  # noqa: PLR2004 - (batch, score); more axes are a map or a sequence
        return "raw", ""
    if name in {"sparse_categorical_crossentropy", "categorical_crossentropy"} and units > 1:
        return "classification", scores
    if name == "binary_crossentropy":
        return ("classification" if units == 1 else "multilabel"), scores
    return ("regression", "") if name in _REGRESSION else ("raw", "")


_REGRESSION = frozenset(
    {
        "mean_squared_error",
        "mean_absolute_error",
        "mean_absolute_percentage_error",
        "mean_squared_logarithmic_error",
        "huber_loss",
        "huber",
        "log_cosh",
    }
)
