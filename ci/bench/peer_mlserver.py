"""The default model in MLServer: a runtime of its own, for its adaptive batching."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import tensorflow as tf
from mlserver import MLModel, types
from mlserver.codecs import NumpyCodec

if TYPE_CHECKING:
    from pathlib import Path

BATCH_SIZE = 64
# Long enough to gather what has come, short beside a call.
BATCH_SECONDS = 0.002


def write_settings(folder: Path, model: Path, http_port: int, grpc_port: int, metrics_port: int) -> None:
    """Write the two files `mlserver start FOLDER` reads."""
    folder.mkdir()
    settings = {
        "host": "127.0.0.1",
        "http_port": http_port,
        "grpc_port": grpc_port,
        "metrics_port": metrics_port,
        "metrics_dir": str(folder / "metrics"),
        "debug": False,
    }
    (folder / "settings.json").write_text(json.dumps(settings), encoding="utf-8")
    described = {
        "name": "mnist",
        "implementation": "ci.bench.peer_mlserver.Runtime",
        "max_batch_size": BATCH_SIZE,
        "max_batch_time": BATCH_SECONDS,
        "parameters": {"uri": str(model)},
    }
    (folder / "model-settings.json").write_text(json.dumps(described), encoding="utf-8")


class Runtime(MLModel):  # type: ignore[misc]
    """The signature of a SavedModel."""

    async def load(self) -> bool:
        """Load the model and call it once."""
        loaded = tf.saved_model.load(self.settings.parameters.uri)
        # The signature lives no longer than its model.
        self._loaded: Any = loaded
        self._signature: Any = loaded.signatures["serving_default"]
        self._signature(pixels=tf.zeros((1, 28, 28)))
        return True

    async def predict(self, payload: types.InferenceRequest) -> types.InferenceResponse:
        """Return the probabilities of each row."""
        rows = NumpyCodec.decode_input(payload.inputs[0]).reshape(-1, 28, 28)
        scores = self._signature(pixels=tf.constant(rows, tf.float32))["probabilities"].numpy()
        return types.InferenceResponse(
            model_name=self.name, outputs=[NumpyCodec.encode_output("probabilities", scores)]
        )
