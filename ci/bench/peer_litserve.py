"""The default model in LitServe, batched: `python -m ci.bench.peer_litserve SAVED_MODEL PORT`."""

from __future__ import annotations

import sys
from typing import Any

import litserve
import numpy as np

BATCH_SIZE = 64
BATCH_SECONDS = 0.002


class Mnist(litserve.LitAPI):  # type: ignore[misc]
    """The tutorial's contract over the signature of a SavedModel."""

    def setup(self, device: str) -> None:
        """Load the model and call it once."""
        import tensorflow as tf  # noqa: PLC0415 - TensorFlow must not be loaded before the worker is forked

        del device
        self._constant = tf.constant
        # The signature lives no longer than its model.
        self._loaded: Any = tf.saved_model.load(sys.argv[1])
        self._signature: Any = self._loaded.signatures["serving_default"]
        self._signature(pixels=tf.zeros((1, 28, 28)))

    # LitServe reads the annotation: with one, the request would come from the query.
    def decode_request(self, request) -> Any:  # type: ignore[no-untyped-def] # noqa: ANN001
        """Return a row."""
        return np.array(request["input"], np.float32).reshape(28, 28)

    def batch(self, inputs: list[Any]) -> Any:
        """Return the rows as one array."""
        return np.stack(inputs)

    def predict(self, x: Any) -> Any:
        """Return the probabilities of each row."""
        return self._signature(pixels=self._constant(x))["probabilities"].numpy()

    def unbatch(self, output: Any) -> list[Any]:
        """Return the rows of the answer."""
        return list(output)

    def encode_response(self, output: Any) -> dict[str, str]:
        """Return the class and its probability."""
        best = int(output.argmax())
        return {"prediction": str(best), "probability": f"{output[best]:.4f}"}


if __name__ == "__main__":
    api = Mnist(max_batch_size=BATCH_SIZE, batch_timeout=BATCH_SECONDS)
    server = litserve.LitServer(api, accelerator="cpu", timeout=60)
    server.run(host="127.0.0.1", port=int(sys.argv[2]), generate_client_file=False, log_level="warning")
