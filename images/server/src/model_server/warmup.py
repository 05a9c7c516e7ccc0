"""Warm-up: the records beside a model, replayed before it is available."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow_serving.apis import prediction_log_pb2

from model_server import examples, metrics, predict
from model_server.protos import examples_pb2
from serving_codec.status import Code, ServingError, invalid_argument

if TYPE_CHECKING:
    from model_server.saved_model import Runner

FILE = "assets.extra/tf_serving_warmup_requests"
MAXIMUM_RECORDS = 1000
MICROSECONDS = 1_000_000


def replay(model: Runner, iterations: int) -> int:
    """Run every warm-up record of a model and return how many there are; raise ServingError, which fails the load.

    `iterations` above 0 repeats each. A model without the file is not warmed, and not counted.
    """
    if not (model.path / FILE).exists():
        return 0
    start = time.monotonic()
    status = "OK"
    try:
        return _replay(model, max(1, iterations))
    except ServingError as error:
        status = error.code.name
        raise
    finally:
        spent = (time.monotonic() - start) * MICROSECONDS
        metrics.WARMUP_LATENCY.observe(spent, str(model.path), status)


def _replay(model: Runner, iterations: int) -> int:
    path = model.path / FILE
    count = 0
    try:
        for record in tf.compat.v1.io.tf_record_iterator(str(path)):
            count += 1
            if count > MAXIMUM_RECORDS:
                raise invalid_argument(f"Number of warmup records exceeds the maximum ({MAXIMUM_RECORDS}) at {path}")
            for _ in range(iterations):
                _run(model, record)
            metrics.WARMUP_RECORDS_READ.add(str(model.path), "OK")
    except tf.errors.DataLossError as error:
        raise ServingError(
            Code.DATA_LOSS, f"{error.message}. Please verify your warmup data is in TFRecord format."
        ) from error
    return count


def _run(model: Runner, record: bytes) -> None:
    try:
        log = prediction_log_pb2.PredictionLog.FromString(record)
    except DecodeError as error:
        raise invalid_argument(f"Failed to parse warmup record: {error}") from error
    match log.WhichOneof("log_type"):
        case None:
            return
        case "predict_log":
            request = log.predict_log.request
            signature = predict.signature_of(model, request.model_spec.signature_name)
            inputs = predict.inputs_of(signature, request.inputs, len(record))
            predict.outputs_of(signature, inputs, model.run, list(request.output_filter))
        case "classify_log":
            request = log.classify_log.request
            given = examples.serialized(_as_sent(request.input))
            examples.classify(model, request.model_spec.signature_name, given, model.run)
        case "regress_log":
            request = log.regress_log.request
            given = examples.serialized(_as_sent(request.input))
            examples.regress(model, request.model_spec.signature_name, given, model.run)
        case "multi_inference_log":
            request = log.multi_inference_log.request
            examples.multi_inference(model, request.tasks, examples.serialized(_as_sent(request.input)), model.run)
        case kind:
            number = log.DESCRIPTOR.fields_by_name[kind].number
            raise ServingError(Code.UNIMPLEMENTED, f"Unsupported log_type for warmup: {number}")


def _as_sent(message: Any) -> examples_pb2.Input:
    """Return an Input whose examples are bytes."""
    return examples_pb2.Input.FromString(message.SerializeToString())
