"""A model's outputs as the answers of `/predict`, by task; what does not fit the task is an error, not an answer."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import numpy as np

from model_api.errors import ModelError
from serving_codec import json_arrays

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from model_api.knowledge import Known

# How far scores may be from probabilities: half floats have 3 digits.
TOLERANCE = 1e-2
# Named classes that are written at once: each takes ten times its words until then.
PIECE_CLASSES = 4096
# The likelier of two classes, and what a multi-label model says "yes" to.
HALF = 0.5


def answers(known: Known, outputs: Mapping[str, NDArray[Any]], top: int = 0) -> list[dict[str, Any]]:
    """Return the answer of each row of outputs (row, ...); raise ModelError where they do not fit the task.

    `top` adds the most probable classes to a classification's answer.
    """
    match known.task:
        case "classification":
            return _classifications(known, outputs, top)
        case "multilabel":
            return _multilabels(known, outputs)
        case "regression":
            return _regressions(known, outputs)
        case _:
            count = len(next(iter(outputs.values())))
            return [{"outputs": {name: value_of(rows[i]) for name, rows in outputs.items()}} for i in range(count)]


def value_of(tensor: NDArray[Any] | bytes) -> Any:
    """Return a tensor as JSON has it: nested lists, bytes that are no text as {"b64": ...}, null for NaN."""
    if isinstance(tensor, bytes) or tensor.dtype == object:
        # One element of an array of strings is bytes alone.
        return _texts(tensor if isinstance(tensor, bytes) else tensor.tolist())
    if tensor.dtype.kind not in "fiub" or tensor.dtype.itemsize < 4:  # noqa: PLR2004 - bfloat16 and half
        tensor = tensor.astype(np.float32) if tensor.dtype.kind not in "iub" else tensor
    # Kept as it is: orjson writes numpy's arrays, a float32 with the digits it needs.
    return json_arrays.fragment(np.ascontiguousarray(tensor)) if tensor.ndim else tensor[()]


def _texts(value: Any) -> Any:
    if isinstance(value, list):
        return [_texts(item) for item in value]
    try:
        return value.decode()
    except UnicodeDecodeError:
        return {"b64": base64.b64encode(value).decode()}


# ---- tasks


def _classifications(known: Known, outputs: Mapping[str, NDArray[Any]], top: int) -> list[dict[str, Any]]:
    name, probabilities = _probabilities(known, outputs)
    if probabilities.shape[1] == 1:
        # One sigmoid unit tells two classes apart.
        probabilities = np.concatenate([1 - probabilities, probabilities], axis=1)
    else:
        sums = probabilities.sum(axis=1)
        _expect(abs(sums - 1) <= TOLERANCE, name, "probabilities that add up to 1", sums, known.task)
    labels = _labels_of(known, outputs, probabilities)
    best = probabilities.argmax(axis=1).tolist()
    found = [
        {"prediction": labels(row, index), "probability": f"{probabilities[row, index]:.4f}"}
        for row, index in enumerate(best)
    ]
    if not top:
        return found
    order = (-probabilities).argsort(axis=1, kind="stable")[:, :top]

    def classes(row: int, start: int) -> list[dict[str, str]]:
        """Return a piece of a row's classes."""
        listed = order[row, start : start + PIECE_CLASSES].tolist()
        return [{"label": labels(row, i), "probability": f"{probabilities[row, i]:.4f}"} for i in listed]

    if order.shape[1] <= PIECE_CLASSES:
        return [{**answer, "classes": classes(row, 0)} for row, answer in enumerate(found)]
    starts = range(0, order.shape[1], PIECE_CLASSES)
    return [
        {**answer, "classes": json_arrays.joined(classes(row, start) for start in starts)}
        for row, answer in enumerate(found)
    ]


def _multilabels(known: Known, outputs: Mapping[str, NDArray[Any]]) -> list[dict[str, Any]]:
    _, probabilities = _probabilities(known, outputs)
    labels = _labels_of(known, outputs, probabilities)
    found = []
    # With the digits a float32 has, not those its double shows.
    for row, values in enumerate(probabilities.astype(np.float32)):
        names = known.labels or [labels(row, i) for i in range(len(values))]
        chosen = np.flatnonzero(values >= HALF).tolist()
        found.append({"prediction": [names[i] for i in chosen], "probabilities": dict(zip(names, values, strict=True))})
    return found


def _regressions(known: Known, outputs: Mapping[str, NDArray[Any]]) -> list[dict[str, Any]]:
    name, values = _scores(known, outputs)
    _expect(np.isfinite(values.astype(np.float64)), name, "finite numbers", values, known.task)
    return [{"prediction": value_of(row[0] if row.shape == (1,) else row)} for row in values]


def _scores(known: Known, outputs: Mapping[str, NDArray[Any]]) -> tuple[str, NDArray[Any]]:
    """Return the output the task reads as (row, number)."""
    spec = known.scores
    if spec is None:
        raise ModelError(f"the task {known.task} reads no scores")
    values = outputs[spec.name]
    values = values[:, np.newaxis] if values.ndim == 1 else values
    if values.ndim != 2 or values.shape[1] == 0:  # noqa: PLR2004 - (row, number)
        raise ModelError(
            f"the model's answer does not fit the task {known.task}: {spec.name} has the shape {values.shape} where "
            "one vector a row belongs (the task raw, in model.task, answers whatever it is)"
        )
    return spec.name, values


def _probabilities(known: Known, outputs: Mapping[str, NDArray[Any]]) -> tuple[str, NDArray[np.float64]]:
    """Return the scores (row, class) in 0..1, made from logits where the model says that it returns those."""
    name, scores = _scores(known, outputs)
    values = scores.astype(np.float64)
    if known.scores_are_logits(name):
        _expect(np.isfinite(values), name, "finite numbers", values, known.task)
        is_softmax = known.task == "classification" and values.shape[1] > 1
        values = _softmax(values) if is_softmax else 1 / (1 + np.exp(-np.clip(values, -700, 700)))
    low, high = values.min(), values.max()
    # Written so that NaN fails, which both of them are then.
    if not (low >= 0 and high <= 1):
        _expect(np.isfinite(values), name, "finite numbers", values, known.task)
        within = (values >= -TOLERANCE) & (values <= 1 + TOLERANCE)
        _expect(within, name, "probabilities from 0 to 1", values, known.task)
        values = values.clip(0, 1)
    if known.labels:
        classes = 2 if known.task == "classification" and values.shape[1] == 1 else values.shape[1]
        if classes != len(known.labels):
            raise ModelError(f"{name} has {classes} classes but there are {len(known.labels)} labels (model.labels)")
    return name, values


def _softmax(values: NDArray[np.float64]) -> NDArray[np.float64]:
    powers = np.exp(values - values.max(axis=1, keepdims=True))
    softened: NDArray[np.float64] = powers / powers.sum(axis=1, keepdims=True)
    return softened


def _labels_of(known: Known, outputs: Mapping[str, NDArray[Any]], scores: NDArray[Any]) -> Any:
    """Return the name of a class by row and index: ours, else what the model returns beside its scores, else digits."""
    if known.labels:
        return lambda _row, index: known.labels[index]
    for spec in known.served.outputs.values():
        # An Estimator's classifier returns the name of each class with every row.
        if spec.dtype == "string" and outputs[spec.name].shape == scores.shape:
            names: Any = outputs[spec.name]
            return lambda row, index: names[row, index].decode(errors="replace")
    return lambda _row, index: str(index)


def _expect(is_right: NDArray[Any], name: str, what: str, values: NDArray[Any], task: str) -> None:
    """Raise ModelError that names the first row and value that is not as the task needs it."""
    if is_right.all():
        return
    place = np.argwhere(~is_right)[0]
    value = float(values[tuple(place)])
    logits = ": it looks as if it returned logits; export a softmax or sigmoid, or describe them as logits"
    hint = logits if np.isfinite(value) and task != "regression" else ""
    raise ModelError(
        f"the model's answer does not fit the task {task}: expected {what} in {name}, got {value:g} in row "
        f"{int(place[0])}{hint}"
    )
