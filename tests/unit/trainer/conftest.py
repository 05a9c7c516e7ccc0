"""A small data set in the original file format, and the command line that trains on it."""

from __future__ import annotations

import hashlib
import struct
from typing import TYPE_CHECKING

import numpy as np
import pytest

from trainer import datasets

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


def idx(array: NDArray[np.uint8]) -> bytes:
    """Return an array as an IDX file of unsigned bytes."""
    return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


@pytest.fixture
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a data directory whose `mnist` is 640 images that a network can tell apart: stripes by class."""
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
    small = datasets.Dataset("mnist", datasets.DATASETS["mnist"].labels, digests)
    monkeypatch.setitem(datasets.DATASETS, "mnist", small)
    return folder.parent


@pytest.fixture
def arguments(data_dir: Path, tmp_path: Path) -> list[str]:
    """Return the flags of a short training into an empty store."""
    store = tmp_path / "store"
    store.mkdir()
    return [
        f"--model-store={store}",
        f"--data-dir={data_dir}",
        f"--termination-log={tmp_path / 'reason'}",
        "--model-key=0123456789ab",
        "--epochs=3",
        "--hidden-units=16",
    ]
