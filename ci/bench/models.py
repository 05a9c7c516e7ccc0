"""The models that are measured: `python -m ci.bench.models KIND FOLDER` writes them in a process of its own.

TensorFlow's threads stay out of the process that measures.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

RELOADED_FLOATS = 2_500_000
# With Keras' own file as well; with a model of 10 MB in two versions.
KERAS, RELOADED = "keras", "reloaded"


def write(folder: Path, kind: str = "") -> None:
    """Write the default network as mnist/1, with its warm-up records, and what a kind has beside it."""
    subprocess.run([sys.executable, "-m", "ci.bench.models", kind, str(folder)], check=True, capture_output=True)


def _write(kind: str, folder: Path) -> None:
    import numpy as np  # noqa: PLC0415 - of the process that writes

    from trainer import Data, export  # noqa: PLC0415
    from trainer.recipes.mnist import Mnist  # noqa: PLC0415

    images, labels = np.zeros((1, 28, 28), np.uint8), np.zeros((1,), np.uint8)
    model = Mnist().model(Data(train=(images, labels), test=(images, labels)))
    version = folder / "mnist" / "1"
    version.parent.mkdir()
    export.write(model, version)
    export.write_warmup({"pixels": images.astype(np.float32)}, version)
    if kind == KERAS:
        model.save(folder / "mnist.keras")
    if kind == RELOADED:
        _write_large(folder)


def _write_large(folder: Path) -> None:
    import tensorflow as tf  # noqa: PLC0415

    large = tf.Module()
    large.values = tf.Variable(tf.random.normal((RELOADED_FLOATS,), seed=1))
    large.total = tf.function(
        lambda x: {"y": x + tf.reduce_sum(large.values)}, input_signature=[tf.TensorSpec([None], name="x")]
    )
    for number in (1, 2):
        tf.saved_model.save(large, str(folder / "large" / str(number)), {"serving_default": large.total})


if __name__ == "__main__":
    _write(sys.argv[1], Path(sys.argv[2]))
