"""Images and labels, read from checked IDX files."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

from trainer.data import Data
from trainer.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from trainer.recipes.published import Dataset

# The IDX format of the MNIST page: two zero bytes, 0x08 for unsigned bytes, the number of axes, their sizes as
# big-endian 32-bit numbers, the values.
IDX_UNSIGNED_BYTE = 0x08
IDX_AXIS_BYTES = 4
IMAGE_AXES = 3
LABEL_AXES = 1


def load(dataset: Dataset, folder: Path) -> Data:
    """Return images (example, row, column) uint8 0..255 and labels (example,) uint8, the index of the class.

    Its digest is that over the digests of the raw files. Raise InputError that names a missing or damaged file.
    """
    raw = {name: _read(folder / name, digest) for name, digest in dataset.sha256.items()}
    combined = "".join(f"{name} {digest}\n" for name, digest in sorted(dataset.sha256.items()))
    classes = len(dataset.labels)
    return Data(
        train=_examples(raw, "train", classes),
        test=_examples(raw, "t10k", classes),
        name=dataset.name,
        sha256=hashlib.sha256(combined.encode()).hexdigest(),
    )


def parse_idx(content: bytes, axes: int, name: str) -> NDArray[np.uint8]:
    """Return the array in an IDX file of unsigned bytes; raise InputError unless it has `axes` axes and is whole."""
    header_bytes = IDX_AXIS_BYTES * (1 + axes)
    if content[:IDX_AXIS_BYTES] != bytes([0, 0, IDX_UNSIGNED_BYTE, axes]) or len(content) < header_bytes:
        raise InputError(f"{name} is damaged: expected an IDX file of unsigned bytes with {axes} axes")
    shape = tuple(int(size) for size in np.frombuffer(content, ">u4", count=axes, offset=IDX_AXIS_BYTES))
    values = np.frombuffer(content, np.uint8, offset=header_bytes)
    expected = int(np.prod(shape, dtype=object))
    if values.size != expected:
        raise InputError(f"{name} is damaged: expected {expected} values of shape {shape}, found {values.size}")
    return values.reshape(shape)


def _examples(raw: dict[str, bytes], part: str, classes: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    images = parse_idx(raw[f"{part}-images-idx3-ubyte"], IMAGE_AXES, f"{part}-images-idx3-ubyte")
    labels = parse_idx(raw[f"{part}-labels-idx1-ubyte"], LABEL_AXES, f"{part}-labels-idx1-ubyte")
    if len(images) != len(labels):
        raise InputError(f"the {part} files do not fit: {len(images)} images, {len(labels)} labels")
    if labels.size and int(labels.max()) >= classes:
        raise InputError(f"the {part} labels are damaged: expected 0 to {classes - 1}, found {labels.max()}")
    return images, labels


def _read(path: Path, digest: str) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"data file {path} cannot be read: {error.strerror}") from error
    found = hashlib.sha256(content).hexdigest()
    if found != digest:
        raise InputError(f"data file {path} is damaged: expected SHA-256 {digest}, found {found}")
    return content
