"""What a trained model tells of itself."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from model_description.description import Description, Example, InputDescription, OutputDescription
from trainer import export, network
from trainer.datasets import DATASETS

if TYPE_CHECKING:
    import keras
    from numpy.typing import NDArray

    from trainer.config import Config
    from trainer.data import Data
    from trainer.fit import Metrics


def describe(
    options: Config, model: keras.Model, data: Data, metrics: Metrics, *, weights_sha256: str, created: str
) -> Description:
    """Return the description of a model; its example is the first test image, and what `model` computes for it."""
    dataset = DATASETS[options.dataset]
    return Description(
        task="classification",
        labels=dataset.labels,
        signature=export.SIGNATURE,
        inputs={export.INPUT: InputDescription(meaning="image", minimum=0, maximum=network.PIXEL_MAXIMUM)},
        outputs={export.OUTPUT: OutputDescription(scores="probabilities")},
        example=_example(model, data.test.images[0]),
        metrics={"test_accuracy": round(metrics.accuracy, 6), "test_loss": round(metrics.loss, 6)},
        parameters=asdict(options.parameters),
        data={"name": dataset.name, "sha256": data.sha256},
        key=options.model_key,
        weights_sha256=weights_sha256,
        created=created,
    )


def _example(model: keras.Model, image: NDArray[np.uint8]) -> Example:
    probabilities: Any = model(image[np.newaxis].astype(np.float32), training=False)
    # Nine digits tell any two float32 apart.
    row = [float(f"{value:.9g}") for value in np.asarray(probabilities)[0]]
    return Example(inputs={export.INPUT: image.tolist()}, outputs={export.OUTPUT: row})
