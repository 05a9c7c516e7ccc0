"""Arrays of a .npz file: x (example, feature) and y (example,), as numpy.savez writes them."""

from pathlib import Path

import keras
import numpy as np

from trainer import Data, Recipe


class Arrays(Recipe):
    """Predict a number from the features of an array."""

    def data(self, folder: Path | None) -> Data:
        """Return the arrays of data.npz, a fifth of their examples to evaluate with."""
        with np.load((folder or Path()) / "data.npz", allow_pickle=False) as file:
            return Data.split(file["x"], file["y"], test=0.2, seed=self.seed)

    def model(self, data: Data) -> keras.Model:
        """Return a linear model."""
        features = data.train[0]
        model = keras.Sequential([keras.Input(features.shape[1:], name="x"), keras.layers.Dense(1, name="y")])
        model.compile("adam", "mean_squared_error", metrics=["mae"])
        return model
