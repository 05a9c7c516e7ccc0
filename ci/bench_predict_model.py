"""Write the default network as a SavedModel and as Keras' own file: `python -m ci.bench_predict_model FOLDER`.

A process of its own: TensorFlow's threads stay out of the one that measures.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from trainer import Data, export
from trainer.recipes.mnist import Mnist


def write(folder: Path) -> None:
    """Write mnist/1, with its warm-up records, and mnist.keras."""
    images, labels = np.zeros((1, 28, 28), np.uint8), np.zeros((1,), np.uint8)
    model = Mnist().model(Data(train=(images, labels), test=(images, labels)))
    version = folder / "mnist" / "1"
    version.parent.mkdir()
    export.write(model, version)
    export.write_warmup({"pixels": images.astype(np.float32)}, version)
    model.save(folder / "mnist.keras")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
