"""The SavedModel and the requests a server warms it up with."""

from __future__ import annotations

import contextlib
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import tensorflow as tf

from model_description.protos import serving_pb2
from trainer.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

SIGNATURE = "serving_default"
# Where TensorFlow Serving looks for warm-up records (its saved_model_warmup.md).
WARMUP_FILE = "assets.extra/tf_serving_warmup_requests"
WARMUP_BATCH_SIZES = (1, 2, 8, 32, 128)
WARMUP_BYTES = 4 << 20


@dataclass(frozen=True)
class Interface:
    """What a model takes, in its own structure, each tensor with its name; and the names of what it returns."""

    inputs: Any
    outputs: list[str]


def write(model: keras.Model, folder: Path) -> None:
    """Write a SavedModel; raise StorageError when it cannot be written.

    Its signature takes tensors by the names of the model's inputs and returns them by the names of the layers, or the
    keys, they come from. A model without keras.Input is exported as Keras does it, with Keras' names.
    """
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            known = interface(model)
            if known is None:
                model.export(str(folder), verbose=False)
            else:
                _write_named(model, known, folder)
    except (OSError, tf.errors.OpError) as error:
        raise StorageError(f"the model cannot be written to {folder}: {_first_line(error)}") from error


def write_warmup(rows: Mapping[str, NDArray[Any]], folder: Path) -> None:
    """Write a request for each of WARMUP_BATCH_SIZES on rows by input, first axis the example; raise StorageError."""
    path = folder / WARMUP_FILE
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tf.io.TFRecordWriter(str(path)) as writer:
            for record in warmup_records(rows):
                writer.write(record)
    except (OSError, tf.errors.OpError) as error:
        raise StorageError(f"warm-up requests cannot be written to {path}: {_first_line(error)}") from error


def warmup_records(rows: Mapping[str, NDArray[Any]]) -> list[bytes]:
    """Return serialized PredictionLog messages, one for each batch size, of rows repeated as often as it takes.

    Batches of more than WARMUP_BYTES are left out: the file is part of the model, and copied with it.
    """
    row_bytes = sum(values[:1].nbytes for values in rows.values())
    return [
        _prediction_log({name: np.resize(values, (size, *values.shape[1:])) for name, values in rows.items()})
        for size in WARMUP_BATCH_SIZES
        if size == 1 or size * row_bytes <= WARMUP_BYTES
    ]


def _prediction_log(batch: Mapping[str, NDArray[Any]]) -> bytes:
    log = serving_pb2.PredictionLog()
    request = log.predict_log.request
    request.model_spec.signature_name = SIGNATURE
    for name, values in batch.items():
        request.inputs[name].ParseFromString(tf.make_tensor_proto(values).SerializeToString())
    return log.SerializeToString()


def interface(model: keras.Model) -> Interface | None:
    """Return what a model takes and returns, None for one that is Python code alone."""
    functional = getattr(model, "_functional", model)
    try:
        inputs, outputs = functional.input, functional.output
    except (AttributeError, ValueError):
        return None
    return Interface(tf.nest.map_structure(_spec, inputs), _output_names(outputs))


def _write_named(model: keras.Model, known: Interface, folder: Path) -> None:
    archive = keras.export.ExportArchive()
    archive.track(model)

    def answer(inputs: Any) -> dict[str, Any]:
        return dict(zip(known.outputs, tf.nest.flatten(model(inputs, training=False)), strict=True))

    archive.add_endpoint(SIGNATURE, answer, input_signature=[known.inputs])
    archive.write_out(str(folder), verbose=False)


def _spec(tensor: Any) -> tf.TensorSpec:
    if tensor.name.startswith("keras_tensor"):
        # A model without keras.Input: Keras took its input from the first batch, whose size means nothing.
        return tf.TensorSpec((None, *tensor.shape[1:]), tensor.dtype, name="inputs")
    return tf.TensorSpec(tensor.shape, tensor.dtype, name=tensor.name)


def _output_names(output: Any) -> list[str]:
    """Return names of the outputs in the order tf.nest has them: keys, or names of the layers, each once."""
    if isinstance(output, dict):
        return sorted(output)
    names: list[str] = []
    for tensor in tf.nest.flatten(output):
        name = tensor._keras_history.operation.name  # noqa: SLF001 - Keras tells it in no other way
        names.append(name if name not in names else f"{name}_{len(names)}")
    return names


def _first_line(error: Exception) -> str:
    return str(getattr(error, "message", None) or error).splitlines()[0]
