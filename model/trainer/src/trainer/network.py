"""The network: one hidden layer on raw pixels, scaled inside the graph."""

from __future__ import annotations

from typing import TYPE_CHECKING

import keras

if TYPE_CHECKING:
    from trainer.config import Parameters

PIXEL_MAXIMUM = 255.0


def build(parameters: Parameters, image_shape: tuple[int, ...], classes: int) -> keras.Model:
    """Return a compiled model from pixels (batch, *image_shape) in 0..255 to probabilities (batch, classes).

    Scaling is a layer, so clients send the same raw pixels that training saw.
    """
    return keras.Sequential(
        [
            keras.Input(image_shape, name="pixels"),
            keras.layers.Rescaling(1 / PIXEL_MAXIMUM),
            keras.layers.Flatten(),
            keras.layers.Dense(parameters.hidden_units, activation="relu"),
            keras.layers.Dropout(parameters.dropout),
            keras.layers.Dense(classes, activation="softmax", name="probabilities"),
        ]
    )
