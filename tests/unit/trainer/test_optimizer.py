"""FusedAdam computes what Keras' Adam computes, step by step, and stands in for it only where it does."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from trainer.optimizer import FusedAdam, faster

STEPS = 20


def trained(optimizer: keras.optimizers.Optimizer) -> list[np.ndarray]:
    """Return the weights after each of some steps from the same start on the same batches."""
    keras.utils.set_random_seed(5)
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(8, "relu"), keras.layers.Dense(1)])
    model.compile(optimizer, "mse")
    random = np.random.default_rng(2)
    weights = []
    for _ in range(STEPS):
        x = random.normal(size=(16, 6)).astype(np.float32)
        model.train_on_batch(x, x.sum(axis=1, keepdims=True))
        weights.append(np.concatenate([one.ravel() for one in model.get_weights()]))
    return weights


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param({"learning_rate": 0.01}, id="defaults"),
        pytest.param({"learning_rate": 0.003, "beta_1": 0.8, "beta_2": 0.99, "epsilon": 1e-5}, id="settings"),
        pytest.param({"learning_rate": keras.optimizers.schedules.ExponentialDecay(0.05, 5, 0.7)}, id="schedule"),
    ],
)
def test_each_step_is_that_of_keras(settings: dict[str, Any]) -> None:
    for ours, theirs in zip(trained(FusedAdam(**settings)), trained(keras.optimizers.Adam(**settings)), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=2e-5, atol=1e-5)


def compiled(optimizer: Any) -> keras.Model:
    """Return a small model compiled with an optimizer."""
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile(optimizer, "mse")
    return model


def test_plain_adam_is_exchanged_with_its_settings() -> None:
    model = compiled(keras.optimizers.Adam(0.02, beta_1=0.7))
    faster(model)
    assert type(model.optimizer) is FusedAdam
    assert float(model.optimizer.learning_rate) == pytest.approx(0.02)
    assert model.optimizer.beta_1 == 0.7


@pytest.mark.parametrize(
    "optimizer",
    [
        pytest.param(lambda: keras.optimizers.Adam(amsgrad=True), id="amsgrad"),
        pytest.param(lambda: keras.optimizers.Adam(weight_decay=0.1), id="weight-decay"),
        pytest.param(lambda: keras.optimizers.Adam(clipnorm=1.0), id="clipnorm"),
        pytest.param(lambda: keras.optimizers.Adam(clipvalue=1.0), id="clipvalue"),
        pytest.param(lambda: keras.optimizers.Adam(global_clipnorm=1.0), id="global-clipnorm"),
        pytest.param(lambda: keras.optimizers.Adam(use_ema=True), id="ema"),
        pytest.param(lambda: keras.optimizers.Adam(loss_scale_factor=2.0), id="loss-scale"),
        pytest.param(lambda: keras.optimizers.Adam(gradient_accumulation_steps=2), id="accumulation"),
        pytest.param(keras.optimizers.AdamW, id="adamw"),
        pytest.param(keras.optimizers.SGD, id="sgd"),
    ],
)
def test_another_optimizer_is_left_alone(optimizer: Any) -> None:
    model = compiled(optimizer())
    before = model.optimizer
    faster(model)
    assert model.optimizer is before


def test_half_precision_is_left_alone() -> None:
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, dtype="bfloat16")])
    model.compile("adam", "mse")
    before = model.optimizer
    faster(model)
    assert model.optimizer is before
