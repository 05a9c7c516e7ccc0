"""Real MNIST test images, read from the original files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ci import paths
from ci.images import datasets

if TYPE_CHECKING:
    from numpy.typing import NDArray

# The file format of the MNIST page: image files start with 16 bytes, label files with 8.
IMAGE_HEADER_BYTES = 16
LABEL_HEADER_BYTES = 8


@dataclass(frozen=True)
class Digits:
    """Test images (batch, 28, 28) uint8 0..255 and their labels (batch,) 0..9."""

    images: NDArray[np.uint8]
    labels: NDArray[np.uint8]

    def first(self, count: int) -> Digits:
        """Return the first `count` of them."""
        return Digits(self.images[:count], self.labels[:count])


def load_test_digits() -> Digits:
    """Return all 10,000 test images of MNIST."""
    folder = paths.cache() / "datasets"
    datasets.fetch(folder)
    images = np.fromfile(folder / "mnist" / "t10k-images-idx3-ubyte", np.uint8, offset=IMAGE_HEADER_BYTES)
    labels = np.fromfile(folder / "mnist" / "t10k-labels-idx1-ubyte", np.uint8, offset=LABEL_HEADER_BYTES)
    return Digits(images.reshape(-1, 28, 28), labels)
