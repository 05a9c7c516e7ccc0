"""A small data set in the original file format, and recipes that train in a second."""

from __future__ import annotations

import hashlib
import struct
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from trainer import datasets
from trainer.recipes.mnist import Mnist

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

# A recipe in a file, as a user writes one; its data are numbers whose sum is told.
SUMS = """\
import keras
import numpy as np
from trainer import Data, Recipe, parameter


class Sums(Recipe):
    \"\"\"Tell whether numbers add up to more than nothing.\"\"\"

    units: int = parameter(4, minimum=1, maximum=64, help="units of the hidden layer")
    rate: float = parameter(0.01, above=0, maximum=1, help="step size")
    kind: str = parameter("relu", choices=("relu", "tanh"), help="activation")
    layers: list[int] = parameter([4], minimum=1, help="units of further layers")
    is_plain: bool = parameter(True, help="without dropout")
    labels = ("less", "more")

    def data(self, folder):
        x = np.random.default_rng(3).normal(size=(200, 3)).astype(np.float32)
        return Data.split(x, (x.sum(axis=1, keepdims=True) > 0).astype(np.float32), seed=self.seed)

    def model(self, data):
        hidden = [keras.layers.Dense(units, activation=self.kind) for units in (self.units, *self.layers)]
        drop = [] if self.is_plain else [keras.layers.Dropout(0.5)]
        score = keras.layers.Dense(1, activation="sigmoid", name="score")
        model = keras.Sequential([keras.Input((3,), name="numbers"), *hidden, *drop, score])
        model.compile(keras.optimizers.Adam(self.rate), "binary_crossentropy", metrics=["accuracy"])
        return model
"""


def idx(array: NDArray[np.uint8]) -> bytes:
    """Return an array as an IDX file of unsigned bytes."""
    return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


@pytest.fixture
def mnist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the data sets' directory, whose `mnist` is 640 images that a network can tell apart: stripes by class."""
    random = np.random.default_rng(1)
    folder = tmp_path / "data" / "mnist"
    folder.mkdir(parents=True)
    digests = {}
    for part, count in (("train", 512), ("t10k", 128)):
        labels = random.integers(0, 10, count).astype(np.uint8)
        images = random.integers(0, 60, (count, 28, 28)).astype(np.uint8)
        for image, label in zip(images, labels, strict=True):
            image[label * 2 : label * 2 + 3] = 255
        for name, content in ((f"{part}-images-idx3-ubyte", idx(images)), (f"{part}-labels-idx1-ubyte", idx(labels))):
            (folder / name).write_bytes(content)
            digests[name] = hashlib.sha256(content).hexdigest()
    monkeypatch.setattr(Mnist, "dataset", replace(Mnist.dataset, sha256=digests))
    monkeypatch.setenv(datasets.VARIABLE, str(folder.parent))
    return folder.parent


def write_code(folder: Path) -> Path:
    """Make a folder with the recipe `sums` in it, and return it."""
    folder.mkdir()
    (folder / "sums.py").write_text(SUMS, encoding="utf-8")
    return folder


@pytest.fixture
def code(tmp_path: Path) -> Path:
    """Return a folder with the recipe `sums` in it."""
    return write_code(tmp_path / "code")


@pytest.fixture
def places(tmp_path: Path) -> list[str]:
    """Return the flags that say where results go."""
    return [f"--model-dir={tmp_path}/output/model", f"--result-file={tmp_path}/output/result.json"]
