"""What MNIST and Fashion-MNIST have in common: pictures of 28 by 28 pixels, and a network of one hidden layer."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from trainer import datasets
from trainer.parameters import parameter
from trainer.recipe import Recipe

if TYPE_CHECKING:
    from pathlib import Path

    import keras

    from trainer.data import Data
    from trainer.recipes import published

PIXEL_MAXIMUM = 255.0


class Pictures(Recipe):
    """Tell grey pictures apart with one hidden layer."""

    hidden_units: int = parameter(512, minimum=1, maximum=65_536, help="units of the hidden layer")
    dropout: float = parameter(0.2, minimum=0, below=1, help="share of hidden units left out of each step")
    learning_rate: float = parameter(0.001, above=0, maximum=10, help="step size of the Adam optimizer")

    task = "classification"
    inputs: ClassVar = {"pixels": {"meaning": "image", "minimum": 0, "maximum": PIXEL_MAXIMUM}}
    dataset: ClassVar[published.Dataset]

    def data(self, folder: Path | None) -> Data:
        """Return the published training and test images, checked by digest, from `folder` or the image's own."""
        from trainer.recipes import idx  # noqa: PLC0415 - declarations are read without numpy

        return idx.load(self.dataset, folder or datasets.folder() / self.dataset.name)

    def model(self, data: Data) -> keras.Model:
        """Return a compiled model from pixels (batch, row, column) in 0..255 to probabilities (batch, class).

        Scaling is a layer, so clients send the same raw pixels that training saw.
        """
        import keras  # noqa: PLC0415 - declarations are read without TensorFlow

        images, _ = data.train
        model = keras.Sequential(
            [
                keras.Input(images.shape[1:], name="pixels"),  # type: ignore[union-attr]
                keras.layers.Rescaling(1 / PIXEL_MAXIMUM),
                keras.layers.Flatten(),
                keras.layers.Dense(self.hidden_units, activation="relu"),
                keras.layers.Dropout(self.dropout),
                keras.layers.Dense(len(self.labels), activation="softmax", name="probabilities"),
            ]
        )
        model.compile(
            optimizer=keras.optimizers.Adam(self.learning_rate),
            loss="sparse_categorical_crossentropy",
            metrics=["accuracy"],
        )
        return model
