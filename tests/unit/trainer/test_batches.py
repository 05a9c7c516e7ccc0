"""What an epoch is made of."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from trainer.batches import Batches, in_order

COUNT = 70
# An image's every pixel is its number, and so is its label.
IMAGES = np.arange(COUNT, dtype=np.uint8)[:, None, None] * np.ones((1, 2, 3), np.uint8)
LABELS = np.arange(COUNT, dtype=np.uint8)


def epochs(numbers: list[int], batch_size: int = 32, seed: int = 1) -> list[list[Any]]:
    """Return the batches of the epochs with these numbers, from one object."""
    batches = Batches(IMAGES, LABELS, batch_size=batch_size, seed=seed)
    dataset, found = batches.dataset(), []
    for number in numbers:
        batches.epoch.assign(number)
        found.append(list(dataset.as_numpy_iterator()))
    return found


def order(epoch: list[Any]) -> list[int]:
    """Return the labels in the order they came."""
    return [int(label) for _, labels in epoch for label in labels]


@pytest.mark.parametrize("batch_size", [1, 32, 35, COUNT, 1000])
def test_each_example_comes_once_in_an_epoch(batch_size: int) -> None:
    (epoch,) = epochs([0], batch_size)
    assert sorted(order(epoch)) == list(range(COUNT))
    assert [len(labels) for _, labels in epoch][:-1] == [batch_size] * ((COUNT - 1) // batch_size)


def test_features_and_label_stay_together() -> None:
    (epoch,) = epochs([0])
    for images, labels in epoch:
        assert images.dtype == np.float32
        np.testing.assert_array_equal(images, labels[:, None, None] * np.ones((1, 2, 3)))


def test_order_depends_on_seed_and_epoch_and_on_nothing_else() -> None:
    first = list(map(order, epochs([0, 1, 2])))
    assert len({tuple(one) for one in [*first, list(range(COUNT))]}) == 4
    # A run that goes on at epoch 2 has its order, whatever came before.
    assert list(map(order, epochs([2, 0]))) == [first[2], first[0]]
    assert order(epochs([0], seed=2)[0]) != first[0]


def test_several_inputs_are_drawn_alike() -> None:
    batches = Batches({"a": IMAGES, "b": LABELS.astype(np.int64)}, LABELS, batch_size=32, seed=1)
    for features, labels in batches.dataset().as_numpy_iterator():
        np.testing.assert_array_equal(features["b"], labels)
        np.testing.assert_array_equal(features["a"][:, 0, 0], labels)


def test_evaluation_keeps_the_order() -> None:
    assert [int(one) for _, labels in in_order(IMAGES, LABELS).as_numpy_iterator() for one in labels] == list(
        range(COUNT)
    )
