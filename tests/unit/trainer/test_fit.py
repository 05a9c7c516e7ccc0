"""What an epoch is made of."""

from __future__ import annotations

import numpy as np
import pytest

from trainer import fit
from trainer.config import Parameters
from trainer.data import Examples

COUNT = 70
# An image's every pixel is its number, and so is its label.
EXAMPLES = Examples(
    np.arange(COUNT, dtype=np.uint8)[:, None, None] * np.ones((1, 2, 3), np.uint8), np.arange(COUNT, dtype=np.uint8)
)


def epochs(count: int, batch_size: int = 32, seed: int = 1) -> list[list[tuple[np.ndarray, np.ndarray]]]:
    """Return the batches of so many epochs."""
    parameters = Parameters(1, batch_size, hidden_units=1, dropout=0, learning_rate=1, seed=seed)
    batches = fit.batches(EXAMPLES, parameters)
    return [list(batches.as_numpy_iterator()) for _ in range(count)]


def order(epoch: list[tuple[np.ndarray, np.ndarray]]) -> list[int]:
    """Return the labels in the order they came."""
    return [int(label) for _, labels in epoch for label in labels]


@pytest.mark.parametrize("batch_size", [1, 32, 35, COUNT, 1000])
def test_each_example_comes_once_in_an_epoch(batch_size: int) -> None:
    (epoch,) = epochs(1, batch_size)
    assert sorted(order(epoch)) == list(range(COUNT))
    assert [len(labels) for _, labels in epoch][:-1] == [batch_size] * ((COUNT - 1) // batch_size)


def test_image_and_label_stay_together() -> None:
    (epoch,) = epochs(1)
    for images, labels in epoch:
        assert images.dtype == np.float32
        np.testing.assert_array_equal(images, labels[:, None, None] * np.ones((1, 2, 3)))


def test_each_epoch_has_an_order_of_its_own() -> None:
    orders = list(map(order, epochs(3)))
    assert len({tuple(one) for one in [*orders, list(range(COUNT))]}) == 4


def test_equal_seeds_give_equal_orders_and_others_do_not() -> None:
    first, again, other = (list(map(order, epochs(2, seed=seed))) for seed in (7, 7, 8))
    assert first == again
    assert first[0] != other[0]
