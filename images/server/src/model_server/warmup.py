"""Warm-up: the records beside a model, replayed before it is available."""

from __future__ import annotations

from typing import TYPE_CHECKING

import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow_serving.apis import prediction_log_pb2

from model_server import predict, tensors
from model_server.status import Code, ServingError, invalid_argument

if TYPE_CHECKING:
    from model_server.saved_model import SavedModel

FILE = "assets.extra/tf_serving_warmup_requests"
MAXIMUM_RECORDS = 1000


def replay(model: SavedModel, iterations: int) -> int:
    """Run every warm-up record of a model and return how many there are; raise ServingError, which fails the load."""
    path = model.path / FILE
    if not path.exists():
        return 0
    count = 0
    try:
        for record in tf.compat.v1.io.tf_record_iterator(str(path)):
            count += 1
            if count > MAXIMUM_RECORDS:
                raise invalid_argument(f"Number of warmup records exceeds the maximum ({MAXIMUM_RECORDS}) at {path}")
            for _ in range(max(1, iterations)):
                _run(model, record)
    except tf.errors.DataLossError as error:
        raise ServingError(
            Code.DATA_LOSS, f"{error.message}. Please verify your warmup data is in TFRecord format."
        ) from error
    return count


def _run(model: SavedModel, record: bytes) -> None:
    try:
        log = prediction_log_pb2.PredictionLog.FromString(record)
    except DecodeError as error:
        raise invalid_argument(f"Failed to parse warmup record: {error}") from error
    kind = log.WhichOneof("log_type")
    if kind is None:
        return
    if kind != "predict_log":
        number = log.DESCRIPTOR.fields_by_name[kind].number
        raise ServingError(Code.UNIMPLEMENTED, f"Unsupported log_type for warmup: {number}")
    request = log.predict_log.request
    signature = predict.signature_of(model, request.model_spec.signature_name)
    inputs = {alias: tensors.to_numpy(tensor) for alias, tensor in request.inputs.items()}
    predict.run(model, signature, inputs, list(request.output_filter))
