"""Fitting: the same seed and data give the same model, also when it was interrupted."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import keras
import tensorflow as tf

from trainer.batches import of as batches_of
from trainer.batches import of_any_length
from trainer.checkpoints import Checkpoints, Position
from trainer.errors import InputError
from trainer.logs import Logs
from trainer.optimizer import faster

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from trainer.batches import Batches, Streamed
    from trainer.data import Data
    from trainer.recipe import Recipe

# Steps that run without coming back to Python; `nox -s bench -- training` holds the gain against model.fit's default.
STEPS_PER_EXECUTION = 100


def seed_everything(seed: int) -> None:
    """Make every random choice and every kernel of this process repeatable."""
    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()


class Training:
    """One run of a recipe: fits its model, tells a line for each epoch, keeps checkpoints and logs."""

    def __init__(
        self,
        recipe: Recipe,
        tell: Callable[[str], None],
        *,
        checkpoint_dir: Path | None = None,
        checkpoint_steps: int = 0,
        log_dir: Path | None = None,
    ) -> None:
        """Train by a recipe's epochs, batch_size and seed; without a folder there are no checkpoints, or no logs.

        With `checkpoint_steps` there is a checkpoint after each so many steps as well as after each epoch.
        """
        self.recipe = recipe
        self.tell = tell
        self.checkpoint_dir = checkpoint_dir
        self.checkpoint_steps = checkpoint_steps
        self.logs = Logs(log_dir)

    def fit(self, model: keras.Model, data: Data, callbacks: Sequence[keras.callbacks.Callback] = ()) -> None:
        """Train a compiled model in place, from its last checkpoint where there is one."""
        if not model.compiled:
            raise InputError("the recipe's model() returns a model that is not compiled: call model.compile first")
        faster(model)
        batches = batches_of(data.train, batch_size=self.recipe.batch_size, seed=self.recipe.seed)
        _build(model, batches.dataset())
        checkpoints = Checkpoints(self.checkpoint_dir, model)
        start = checkpoints.restore(self.tell)
        model.steps_per_execution = _steps_per_execution(batches.steps, self.checkpoint_steps)
        progress = _Progress(self, batches, checkpoints, start)
        own = [progress, *self.logs.callbacks(), *callbacks]
        if start.step:
            # What is left of the epoch it was interrupted in.
            rest = batches.dataset().skip(start.step)
            progress.skipped_steps = start.step
            self._fit(model, rest, start.epoch, start.epoch + 1, own)
            progress.skipped_steps = 0
            start = Position(start.epoch + 1, 0)
        if start.epoch < self.recipe.epochs:
            self._fit(model, batches.dataset(), start.epoch, self.recipe.epochs, own)

    @staticmethod
    def _fit(model: keras.Model, dataset: tf.data.Dataset, first: int, last: int, callbacks: list[Any]) -> None:
        with of_any_length():
            # The batches come in a new order each epoch already.
            model.fit(dataset, initial_epoch=first, epochs=last, shuffle=False, verbose=0, callbacks=callbacks)


def _build(model: keras.Model, dataset: tf.data.Dataset) -> None:
    """Make the variables of a model and its optimizer, for they are what a checkpoint restores."""
    if not model.built:
        spec = dataset.element_spec[0]
        model.build(tf.nest.map_structure(lambda one: tuple(one.shape), spec))
    if not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)


def _steps_per_execution(steps: int | None, checkpoint_steps: int) -> int:
    most = min(STEPS_PER_EXECUTION, steps or STEPS_PER_EXECUTION)
    if not checkpoint_steps:
        return max(most, 1)
    # Checkpoints are between executions: a whole number of these is made to fit.
    return max(size for size in range(1, min(most, checkpoint_steps) + 1) if checkpoint_steps % size == 0)


class _Progress(keras.callbacks.Callback):  # type: ignore[misc]
    """Have each epoch its own order, tell a line of it, and keep a checkpoint."""

    def __init__(
        self, training: Training, batches: Batches | Streamed, checkpoints: Checkpoints, start: Position
    ) -> None:
        super().__init__()
        self._training = training
        self._batches = batches
        self._checkpoints = checkpoints
        self._epochs = training.recipe.epochs
        self._first = start.epoch
        self._began = time.monotonic()
        self._epoch_began = 0.0
        self._epoch = start.epoch
        self._kept_step = start.step
        self.skipped_steps = 0
        batches.epoch.assign(start.epoch)

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        del logs
        self._epoch = epoch
        self._kept_step = self.skipped_steps
        self._batches.epoch.assign(epoch)
        self._epoch_began = time.monotonic()

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        del logs
        step = self.skipped_steps + batch + 1
        every = self._training.checkpoint_steps
        if every and step - self._kept_step >= every:
            self._kept_step = step
            self._checkpoints.keep(Position(self._epoch, step))

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        now = time.monotonic()
        done = epoch + 1
        facts = [f"{name} {value:.4f}" for name, value in (logs or {}).items()]
        facts.append(f"seconds {now - self._epoch_began:.1f}")
        if done < self._epochs:
            left = (now - self._began) / (done - self._first) * (self._epochs - done)
            facts.append(f"left {left:.0f} s")
        self._training.tell(f"epoch {done}/{self._epochs}: {' '.join(facts)}")
        self._checkpoints.keep(Position(done, 0))
