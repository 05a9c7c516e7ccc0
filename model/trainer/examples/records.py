"""Examples in TFRecord files, streamed: train-*.tfrecord and test-*.tfrecord of tf.train.Example."""

from pathlib import Path

import keras
import tensorflow as tf

from trainer import Data, Recipe, parameter


class Records(Recipe):
    """Tell classes of feature vectors in files larger than memory."""

    features: int = parameter(4, minimum=1, help="numbers of an example")
    classes: int = parameter(3, minimum=2, help="classes there are")

    def data(self, folder: Path | None) -> Data:
        """Return batches read from many files side by side."""
        return Data(train=self.records(folder, "train-*.tfrecord"), test=self.records(folder, "test-*.tfrecord"))

    def records(self, folder: Path | None, pattern: str) -> tf.data.Dataset:
        """Return one pass over the files; each Example has `x`, floats, and `label`, a whole number."""
        files = tf.data.Dataset.list_files(str((folder or Path()) / pattern), seed=self.seed)
        rows = files.interleave(tf.data.TFRecordDataset, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
        spec = {
            "x": tf.io.FixedLenFeature((self.features,), tf.float32),
            "label": tf.io.FixedLenFeature((), tf.int64),
        }

        def read(serialized: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            parsed = tf.io.parse_example(serialized, spec)
            return parsed["x"], parsed["label"]

        return rows.batch(self.batch_size).map(read, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)

    def model(self, data: Data) -> keras.Model:
        """Return one layer."""
        scores = keras.layers.Dense(self.classes, activation="softmax", name="scores")
        model = keras.Sequential([keras.Input((self.features,), name="x"), scores])
        model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        return model
