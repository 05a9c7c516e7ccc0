"""Arrays as batches, in an order that depends on the seed and the epoch and on nothing else."""

from __future__ import annotations

import contextlib
import functools
import math
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from trainer.data import count

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trainer.data import Examples, Features

EVALUATION_BATCH_SIZE = 1000
# What is gathered in one step: enough that a step more costs nothing, and little beside the arrays.
MOST_BATCHES_OF_A_GATHER = 100
GATHER_BYTES = 16 << 20
# A guess, for a text's length is its own.
STRING_BYTES = 256


class Batches:
    """Batches of examples in memory; `epoch` says whose order comes next."""

    def __init__(self, features: Features, labels: Any, *, batch_size: int, seed: int) -> None:
        """Hold the arrays once, as tensors."""
        self._examples = tf.nest.map_structure(tf.constant, (features, labels))
        self._count = len(labels)
        self._batch_size = min(batch_size, self._count)
        self._seed = seed
        self.epoch = tf.Variable(0, dtype=tf.int64, trainable=False)

    @property
    def steps(self) -> int | None:
        """Return how many batches an epoch has."""
        return -(-self._count // self._batch_size)

    def dataset(self) -> tf.data.Dataset:
        """Return batches of (features, labels): each example once, in the epoch's order; the last has what is left."""
        whole, rest = divmod(self._count, self._batch_size)
        cut = whole * self._batch_size

        def epoch(_: tf.Tensor) -> tf.data.Dataset:
            # A whole epoch's order is drawn at once, and many batches gathered in one step: each example is moved once,
            # and nothing is done for each batch by itself.
            seed = tf.stack([tf.constant(self._seed, tf.int64), self.epoch])
            drawn = tf.random.experimental.stateless_shuffle(tf.range(self._count), seed=seed)
            runs, left = divmod(whole, self._batches_of_a_gather())
            end = (whole - left) * self._batch_size
            parts = []
            if runs:
                chosen = tf.reshape(drawn[:end], (runs, end // runs))
                parts.append(tf.data.Dataset.from_tensor_slices(chosen).flat_map(self._gathered))
            if left:
                parts.append(self._gathered(drawn[end:cut]))
            if rest:
                parts.append(tf.data.Dataset.from_tensors(self._taken(drawn[cut:])))
            return functools.reduce(lambda one, other: one.concatenate(other), parts)

        batches = tf.data.Dataset.range(1).flat_map(epoch)
        if any(one.dtype == tf.uint8 for one in tf.nest.flatten(self._examples)):
            batches = batches.map(lambda *pair: tf.nest.map_structure(_for_keras, pair))
        known = tf.data.experimental.assert_cardinality(whole + bool(rest))
        return batches.apply(known).prefetch(tf.data.AUTOTUNE)

    def _taken(self, chosen: tf.Tensor) -> Any:
        return tf.nest.map_structure(lambda one: tf.gather(one, chosen), self._examples)

    def _gathered(self, chosen: tf.Tensor) -> tf.data.Dataset:
        """Return whole batches of the examples with these numbers."""
        return tf.data.Dataset.from_tensor_slices(
            tf.nest.map_structure(
                lambda one: tf.reshape(one, (-1, self._batch_size, *one.shape[1:])), self._taken(chosen)
            )
        )

    def _batches_of_a_gather(self) -> int:
        examples = tf.nest.flatten(self._examples)
        bytes_of_a_batch = self._batch_size * sum(
            one.dtype.size * math.prod(one.shape[1:]) if one.dtype != tf.string else STRING_BYTES for one in examples
        )
        return max(1, min(MOST_BATCHES_OF_A_GATHER, GATHER_BYTES // max(1, bytes_of_a_batch)))


class Streamed:
    """Batches as a recipe's own dataset yields them, in the order it has; `epoch` changes nothing."""

    def __init__(self, dataset: tf.data.Dataset) -> None:
        """Read a dataset of batches anew each epoch."""
        self._dataset = dataset
        self.epoch = tf.Variable(0, dtype=tf.int64, trainable=False)

    @property
    def steps(self) -> int | None:
        """Return how many batches an epoch has, None where nobody knows it."""
        return count(self._dataset)

    def dataset(self) -> tf.data.Dataset:
        """Return the dataset."""
        return self._dataset


def of(examples: Examples, *, batch_size: int, seed: int) -> Batches | Streamed:
    """Return the batches of examples to train on; those of a stream have the size it yields."""
    if isinstance(examples, tuple):
        return Batches(*examples, batch_size=batch_size, seed=seed)
    return Streamed(examples)


def in_order(features: Features, labels: Any) -> tf.data.Dataset:
    """Return batches of arrays in the order they have, for evaluation."""
    examples = tf.data.Dataset.from_tensor_slices((features, labels)).batch(EVALUATION_BATCH_SIZE)
    return examples.map(lambda *pair: tf.nest.map_structure(_for_keras, pair))


def _for_keras(values: tf.Tensor) -> tf.Tensor:
    # Bytes, such as pixels, are numbers to a network; other types are as the model's inputs have them.
    return tf.cast(values, tf.float32) if values.dtype == tf.uint8 else values


@contextlib.contextmanager
def of_any_length() -> Iterator[None]:
    """Let a stream end when it ends: Keras warns of one whose length nobody knew."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Your input ran out of data")
        yield


def take(features: Features, count: int) -> Features:
    """Return the first examples."""
    if isinstance(features, dict):
        return {name: np.asarray(values[:count]) for name, values in features.items()}
    return np.asarray(features[:count])
