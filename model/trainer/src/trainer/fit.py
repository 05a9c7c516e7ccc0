"""Fitting and evaluation: the same seed and data give the same metrics."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import keras
import tensorflow as tf

from trainer.optimizer import FusedAdam

if TYPE_CHECKING:
    from collections.abc import Callable

    from trainer.config import Parameters
    from trainer.data import Examples

# Steps that run without coming back to Python; `nox -s bench -- training` holds the gain against model.fit's default.
STEPS_PER_EXECUTION = 100
EVALUATION_BATCH_SIZE = 1000


@dataclass(frozen=True)
class Metrics:
    """Cross-entropy (natural logarithm) and the share of images classified right, 0..1."""

    loss: float
    accuracy: float


def seed_everything(seed: int) -> None:
    """Make every random choice and every kernel of this process repeatable."""
    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()


def fit(model: keras.Model, examples: Examples, parameters: Parameters, tell: Callable[[str], None]) -> None:
    """Train the model in place; `tell` gets one line for each epoch with loss, accuracy and seconds."""
    model.compile(
        optimizer=FusedAdam(parameters.learning_rate),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
        steps_per_execution=STEPS_PER_EXECUTION,
    )
    model.fit(
        batches(examples, parameters),
        epochs=parameters.epochs,
        shuffle=False,  # the batches come in a new order each epoch already
        verbose=0,
        callbacks=[_EpochLines(parameters.epochs, tell)],
    )


def batches(examples: Examples, parameters: Parameters) -> tf.data.Dataset:
    """Return batches of pixels (batch, row, column) float32 0..255 and labels (batch,), in a new order each epoch.

    Each example comes once in an epoch; the last batch holds what is left. Equal seeds give equal orders.
    """
    images, labels = tf.constant(examples.images), tf.constant(examples.labels)
    whole, rest = divmod(len(examples.images), parameters.batch_size)

    def indices(number: tf.Tensor) -> tf.data.Dataset:
        order = tf.random.experimental.stateless_shuffle(tf.range(len(examples.images)), seed=[number, number])
        many, few = tf.split(order, [whole * parameters.batch_size, rest])
        chosen = tf.data.Dataset.from_tensor_slices(tf.reshape(many, (whole, parameters.batch_size)))
        return chosen.concatenate(tf.data.Dataset.from_tensors(few)) if rest else chosen

    # A whole epoch's order is drawn at once, and a batch gathered in one step: each image is moved once, and nothing is
    # done for each image by itself. The images stay in memory, so there is nothing left to cache.
    return (
        tf.data.Dataset.random(seed=parameters.seed, rerandomize_each_iteration=True)
        .take(1)
        .flat_map(indices)
        .map(lambda chosen: (tf.cast(tf.gather(images, chosen), tf.float32), tf.gather(labels, chosen)))
        .apply(tf.data.experimental.assert_cardinality(whole + bool(rest)))
        .prefetch(tf.data.AUTOTUNE)
    )


def evaluate(model: keras.Model, examples: Examples) -> Metrics:
    """Return the metrics of a compiled model on examples it was not trained on."""
    data = tf.data.Dataset.from_tensor_slices((examples.images, examples.labels)).batch(EVALUATION_BATCH_SIZE)
    result = model.evaluate(
        data.map(lambda image, label: (tf.cast(image, tf.float32), label)), verbose=0, return_dict=True
    )
    return Metrics(loss=float(result["loss"]), accuracy=float(result["accuracy"]))


class _EpochLines(keras.callbacks.Callback):  # type: ignore[misc]
    """Tell one line of facts for each epoch."""

    def __init__(self, epochs: int, tell: Callable[[str], None]) -> None:
        super().__init__()
        self.epochs = epochs
        self.tell = tell
        self.start = 0.0

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        del epoch, logs
        self.start = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        seconds = time.monotonic() - self.start
        loss, accuracy = (logs or {})["loss"], (logs or {})["accuracy"]
        self.tell(f"epoch {epoch + 1}/{self.epochs}: loss {loss:.4f} accuracy {accuracy:.4f} seconds {seconds:.1f}")
