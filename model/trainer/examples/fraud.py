"""Tell fraudulent payments from a table: amount, hour, distance, fraud."""

from pathlib import Path

import keras
import numpy as np

from trainer import Data, Recipe, parameter


class Fraud(Recipe):
    """Tell fraudulent payments by amount, hour and distance from home."""

    units: int = parameter(32, minimum=1, maximum=4096, help="units of the hidden layer")
    labels = ("honest", "fraud")

    def data(self, folder: Path | None) -> Data:
        """Return the table's rows, a fifth of them to evaluate with."""
        table = (folder or Path(__file__).parent) / "payments.csv"
        rows = np.loadtxt(table, delimiter=",", skiprows=1, dtype=np.float32)
        return Data.split(rows[:, :-1], rows[:, -1:], test=0.2, seed=self.seed, name="payments")

    def model(self, data: Data) -> keras.Model:
        """Return a network that scales the raw numbers itself."""
        scale = keras.layers.Normalization()
        scale.adapt(data.train[0])
        hidden = keras.layers.Dense(self.units, activation="relu")
        score = keras.layers.Dense(1, activation="sigmoid", name="fraud")
        model = keras.Sequential([keras.Input((3,), name="payment"), scale, hidden, score])
        model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
        return model
