"""Logs for TensorBoard: metrics of each epoch, parameters and final metrics as HParams."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras
import tensorflow as tf
from tensorboard.plugins.hparams import api as hparams

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


class Logs:
    """Logs of one run in a folder, nowhere without one."""

    def __init__(self, folder: Path | None) -> None:
        """Log into `folder`."""
        self._folder = folder

    def callbacks(self) -> list[keras.callbacks.Callback]:
        """Return the callbacks that log while a model is fitted."""
        if self._folder is None:
            return []
        return [keras.callbacks.TensorBoard(str(self._folder), write_graph=False, update_freq="epoch")]

    def conclude(self, parameters: Mapping[str, Any], metrics: Mapping[str, float]) -> None:
        """Log the run's parameters and what it reached."""
        if self._folder is None:
            return
        writer = tf.summary.create_file_writer(str(self._folder / "test"))
        with writer.as_default():
            hparams.hparams({name: _plain(value) for name, value in parameters.items()})
            for name, value in metrics.items():
                tf.summary.scalar(name, value, step=0)
        writer.close()


def _plain(value: Any) -> Any:
    # HParams knows no lists.
    return value if isinstance(value, str | bool | int | float) else ", ".join(map(str, value))
