"""Batches of unequal rows: what is padded together, and what is not."""

from __future__ import annotations

import math

import numpy as np
import pytest

from model_server.batching import Parameters, Task, grouped, joined
from serving_codec.status import ServingError
from serving_codec.tensors import FILLED_BYTES


def task(*shape: int) -> Task:
    """Return a task of one tensor."""
    return Task([np.zeros(shape, np.float32)], math.inf)


def test_rows_that_are_alike_are_padded_together() -> None:
    tasks = [task(1, 10), task(2, 12), task(1, 11)]
    assert grouped(tasks) == [tasks]
    assert grouped([]) == []


def test_a_row_with_a_huge_axis_runs_without_the_others() -> None:
    small = [task(1, 4) for _ in range(100)]
    huge = task(1, 1_000_000)
    groups = grouped([*small[:50], huge, *small[50:]])
    assert max(map(len, groups)) >= 50
    for group in groups:
        longest = max(one.inputs[0].shape[1] for one in group)
        held = sum(one.inputs[0].nbytes for one in group)
        assert len(group) == 1 or 4 * longest * len(group) <= max(FILLED_BYTES, 4 * held)
    assert sum(map(len, groups)) == 101


def test_copies_of_a_row_are_bounded() -> None:
    parameters = Parameters(allowed_batch_sizes=(1000,))
    assert joined("x", [np.zeros((1, 1000), np.float32)], 1000, parameters).shape == (1000, 1000)
    with pytest.raises(ServingError, match="filled up to the next of allowed_batch_sizes"):
        joined("x", [np.zeros((1, 1_000_000), np.float32)], 1000, parameters)
