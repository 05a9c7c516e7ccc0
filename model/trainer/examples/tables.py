"""Tables in many CSV files, streamed by tf.data's own reader: train-*.csv and test-*.csv, larger than memory."""

from pathlib import Path

import keras
import tensorflow as tf

from trainer import Data, Recipe

COLUMNS = ("amount", "hour", "distance")


class Tables(Recipe):
    """Tell fraudulent payments in tables larger than memory."""

    labels = ("honest", "fraud")

    def data(self, folder: Path | None) -> Data:
        """Return batches of features by column, and of the column fraud."""
        return Data(train=self.rows(folder, "train-*.csv"), test=self.rows(folder, "test-*.csv"))

    def rows(self, folder: Path | None, pattern: str) -> tf.data.Dataset:
        """Return one pass over the files, shuffled within a window."""
        return tf.data.experimental.make_csv_dataset(
            str((folder or Path()) / pattern),
            self.batch_size,
            column_defaults=[0.0] * len(COLUMNS) + [0],
            label_name="fraud",
            num_epochs=1,
            shuffle_seed=self.seed,
        )

    def model(self, data: Data) -> keras.Model:
        """Return a network that takes each column as an input of its own."""
        inputs = {name: keras.Input((), name=name) for name in COLUMNS}
        joined = keras.ops.stack([inputs[name] for name in COLUMNS], axis=1)
        hidden = keras.layers.Dense(16, activation="relu")(keras.layers.BatchNormalization()(joined))
        model = keras.Model(inputs, keras.layers.Dense(1, activation="sigmoid", name="fraud")(hidden))
        model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
        return model
