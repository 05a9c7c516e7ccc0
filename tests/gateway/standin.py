"""A stand-in for TensorFlow Serving that does what the real one only does at bad times: hangs, goes, changes versions.

It speaks with upstream's own generated messages, not with those of the gateway.
"""

from __future__ import annotations

import itertools
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import grpc
import numpy as np
import tensorflow as tf
from tensorflow.core.framework import types_pb2
from tensorflow_serving.apis import get_model_metadata_pb2, predict_pb2, prediction_service_pb2_grpc

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tensorflow.core.protobuf import meta_graph_pb2


class Serving(prediction_service_pb2_grpc.PredictionServiceServicer):  # type: ignore[misc]
    """Scores of a row of four numbers: the numbers themselves; `versions` answer in turn.

    `labels` of a version make it describe itself as a classifier.
    """

    def __init__(
        self,
        versions: Sequence[int] = (3,),
        labels: Mapping[int, Sequence[str]] | None = None,
        credentials: grpc.ServerCredentials | None = None,
        port: int = 0,
    ) -> None:
        self.labels = labels or {}
        self.versions = itertools.cycle(versions)
        self.metadata_seconds = 0.0
        self.lookups: list[tuple[str, int]] = []
        self.hangs = threading.Event()
        self.has_arrived = threading.Event()
        self.batches: list[int] = []
        self._lock = threading.Lock()
        self._server = grpc.server(ThreadPoolExecutor(32))
        prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(self, self._server)
        if credentials is None:
            self.port = self._server.add_insecure_port(f"127.0.0.1:{port}")
        else:
            self.port = self._server.add_secure_port("127.0.0.1:0", credentials)
        self._server.start()

    def serve(self, *versions: int) -> None:
        """Answer with these versions in turn from now on."""
        with self._lock:
            self.versions = itertools.cycle(versions)

    def stop(self) -> None:
        """Go away, connections and all."""
        self._server.stop(None).wait()

    def Predict(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802 - gRPC's name
        """Return numbers as scores, or the description of a version."""
        reply = predict_pb2.PredictResponse()
        version = self._version(request.model_spec)
        reply.model_spec.version.value = version
        if request.model_spec.signature_name == "model_description":
            self.lookups.append(("description", version))
            told = {"format": 1, "task": "classification", "labels": list(self.labels[version])}
            count = len(request.inputs["request"].string_val)
            reply.outputs["description"].CopyFrom(tf.make_tensor_proto([json.dumps(told).encode()] * count))
            return reply
        if self.hangs.is_set():
            self.has_arrived.set()
            while context.is_active() and self.hangs.is_set():
                time.sleep(0.01)
        rows = tf.make_ndarray(request.inputs["x"])
        self.batches.append(len(rows))
        reply.outputs["y"].CopyFrom(tf.make_tensor_proto(rows.astype(np.float32)))
        return reply

    def GetModelMetadata(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        """Return a signature from (row, 4) to (row, 4)."""
        del context
        reply = get_model_metadata_pb2.GetModelMetadataResponse()
        version = self._version(request.model_spec)
        self.lookups.append(("metadata", version))
        time.sleep(self.metadata_seconds)
        reply.model_spec.version.value = version
        signatures = get_model_metadata_pb2.SignatureDefMap()
        _fill(signatures.signature_def["serving_default"], "x", "y", types_pb2.DT_FLOAT, (-1, 4))
        if version in self.labels:
            described = signatures.signature_def["model_description"]
            _fill(described, "request", "description", types_pb2.DT_STRING, (-1,))
        reply.metadata["signature_def"].Pack(signatures)
        return reply

    def _version(self, spec: Any) -> int:
        with self._lock:
            return int(spec.version.value) if spec.HasField("version") else next(self.versions)


def _fill(
    signature: meta_graph_pb2.SignatureDef, given: str, returned: str, dtype: int, shape: tuple[int, ...]
) -> None:
    for tensor in (signature.inputs[given], signature.outputs[returned]):
        tensor.dtype = dtype
        for size in shape:
            tensor.tensor_shape.dim.add(size=size)
