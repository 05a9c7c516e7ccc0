"""Checkpoints: everything that changes while a model learns, so that a training that ended goes on where it was."""

from __future__ import annotations

import contextlib
import fcntl
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import tensorflow as tf

from trainer.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import keras

LOCK = ".lock"


@dataclass(frozen=True)
class Position:
    """How much of a training is done: whole epochs, and steps of the next one."""

    epoch: int
    step: int


class Checkpoints:
    """The last state of a model in a folder, kept by TensorFlow's CheckpointManager: complete, or the one before it.

    It holds the variables of the model and its optimizer, the states of random generators (as of Dropout) among them.
    """

    def __init__(self, folder: Path | None, model: keras.Model) -> None:
        """Keep in `folder`, nowhere without one."""
        self._folder = folder
        if folder is None:
            return
        _make(folder)
        variables = [*model.variables, *model.optimizer.variables]
        named = {f"variable_{index}": _variable(one) for index, one in enumerate(variables)}
        self._epoch = tf.Variable(0, dtype=tf.int64, trainable=False)
        self._step = tf.Variable(0, dtype=tf.int64, trainable=False)
        self._checkpoint = tf.train.Checkpoint(epoch=self._epoch, step=self._step, **named)
        self._manager = tf.train.CheckpointManager(self._checkpoint, str(folder), max_to_keep=2)

    def keep(self, position: Position) -> None:
        """Write the state at a position; raise StorageError when it cannot be written."""
        if self._folder is None:
            return
        self._epoch.assign(position.epoch)
        self._step.assign(position.step)
        try:
            self._manager.save()
        except (OSError, tf.errors.OpError) as error:
            raise StorageError(f"a checkpoint cannot be written to {self._folder}: {_first_line(error)}") from error

    def restore(self, tell: Callable[[str], None]) -> Position:
        """Put the model into the newest state that can be read and fits it; return its position, the start without one.

        A checkpoint that cannot be read, or is another model's, is told of and left out.
        """
        if self._folder is None:
            return Position(0, 0)
        for path in reversed(self._manager.checkpoints):
            before = [tf.identity(one) for one in self._values()]
            try:
                self._checkpoint.restore(path).assert_existing_objects_matched()
            except (OSError, ValueError, IndexError, AssertionError, tf.errors.OpError) as error:
                for variable, value in zip(self._values(), before, strict=True):
                    variable.assign(value)
                tell(f"checkpoint {os.path.basename(path)} is left out: {_first_line(error)}")  # noqa: PTH119
            else:
                found = Position(int(self._epoch.numpy()), int(self._step.numpy()))
                after = f" and {found.step} steps" if found.step else ""
                tell(f"resumed after epoch {found.epoch}{after}, from {os.path.basename(path)}")  # noqa: PTH119
                return found
        return Position(0, 0)

    def _values(self) -> list[tf.Variable]:
        return [one for one in vars(self._checkpoint).values() if isinstance(one, tf.Variable)]


@contextlib.contextmanager
def in_use(folder: Path | None) -> Iterator[None]:
    """Hold a run's folder while the block runs; raise StorageError where another run holds it."""
    if folder is None:
        yield
        return
    _make(folder)
    descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o664)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise StorageError(f"{folder} is in use by another training of the same model: it is tried again") from error
    try:
        yield
    finally:
        os.close(descriptor)


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"{folder} cannot be made: {error.strerror}") from error


def _variable(variable: object) -> tf.Variable:
    """Return the TensorFlow variable behind a Keras one."""
    return variable if isinstance(variable, tf.Variable) else variable.value  # type: ignore[attr-defined]


def _first_line(error: Exception) -> str:
    return str(getattr(error, "message", None) or error).strip().splitlines()[0]
