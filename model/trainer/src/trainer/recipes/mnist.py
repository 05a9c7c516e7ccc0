"""MNIST: handwritten digits."""

from __future__ import annotations

from typing import ClassVar

from trainer.recipes import published
from trainer.recipes.network import Pictures


class Mnist(Pictures):
    """Tell handwritten digits apart (MNIST: 60,000 training and 10,000 test images)."""

    dataset = published.DATASETS["mnist"]
    labels = dataset.labels
    # Far below what the defaults reach (0.975 and more), and far above a broken run.
    gates: ClassVar = ({"metric": "accuracy", "min": 0.8},)
