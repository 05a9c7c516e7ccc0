"""What a model reaches on data it was not trained on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import tensorflow as tf

from trainer import batches

if TYPE_CHECKING:
    import keras

    from trainer.data import Examples

EXAMPLES = 128


def evaluate(model: keras.Model, examples: Examples) -> dict[str, float]:
    """Return the loss and the compiled metrics of a model by Keras' names."""
    dataset = batches.in_order(*examples) if isinstance(examples, tuple) else examples
    with batches.of_any_length():
        found = model.evaluate(dataset, verbose=0, return_dict=True)
    return {name: float(value) for name, value in found.items()}


def first_examples(examples: Examples) -> Any:
    """Return the features of up to EXAMPLES examples: an array, or arrays by name, first axis the example."""
    if isinstance(examples, tuple):
        return batches.take(examples[0], EXAMPLES)
    features = next(iter(examples))[0]
    return tf.nest.map_structure(lambda one: one.numpy()[:EXAMPLES], features)
