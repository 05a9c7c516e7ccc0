"""The SavedModel and the requests a server warms it up with."""

from __future__ import annotations

import contextlib
import io
from typing import TYPE_CHECKING

import keras
import numpy as np
import tensorflow as tf

from model_description.protos import serving_pb2
from model_store import StoreError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

SIGNATURE = "serving_default"
INPUT = "pixels"
OUTPUT = "probabilities"
# Where TensorFlow Serving looks for warm-up records (its saved_model_warmup.md).
WARMUP_FILE = "assets.extra/tf_serving_warmup_requests"
WARMUP_BATCH_SIZES = (1, 2, 8, 32, 128)


def write(model: keras.Model, examples: NDArray[np.uint8], folder: Path) -> None:
    """Write a SavedModel with its warm-up records into an empty folder; raise StoreError when it cannot be written.

    `examples` (example, row, column) uint8 are the images the warm-up requests carry.
    """
    try:
        _write_saved_model(model, folder)
        _write_warmup(examples, folder)
    except (OSError, tf.errors.OpError) as error:
        raise StoreError(f"the model cannot be written to {folder.parent}: {_first_line(error)}") from error


def warmup_records(examples: NDArray[np.uint8]) -> list[bytes]:
    """Return serialized PredictionLog messages, one for each batch size, on `examples` (example, row, column)."""
    return [
        _prediction_log(np.resize(examples, (size, *examples.shape[1:])).astype(np.float32)).SerializeToString()
        for size in WARMUP_BATCH_SIZES
    ]


def _write_saved_model(model: keras.Model, folder: Path) -> None:
    shape = (None, *model.input_shape[1:])
    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.add_endpoint(
        SIGNATURE,
        lambda pixels: {OUTPUT: model(pixels, training=False)},
        input_signature=[tf.TensorSpec(shape, tf.float32, name=INPUT)],
    )
    with contextlib.redirect_stdout(io.StringIO()):
        archive.write_out(str(folder), verbose=False)


def _write_warmup(examples: NDArray[np.uint8], folder: Path) -> None:
    path = folder / WARMUP_FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for record in warmup_records(examples):
            writer.write(record)


def _prediction_log(batch: NDArray[np.float32]) -> serving_pb2.PredictionLog:
    """Return a PredictionLog of one request on a batch (example, row, column)."""
    log = serving_pb2.PredictionLog()
    request = log.predict_log.request
    request.model_spec.signature_name = SIGNATURE
    tensor = request.inputs[INPUT]
    tensor.dtype = serving_pb2.DT_FLOAT
    for size in batch.shape:
        tensor.tensor_shape.dim.add(size=size)
    # Little-endian whatever the machine is, as TensorFlow has it.
    tensor.tensor_content = batch.astype("<f4").tobytes()
    return log


def _first_line(error: Exception) -> str:
    return str(getattr(error, "message", None) or error).splitlines()[0]
