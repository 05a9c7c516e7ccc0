"""A server's look at a candidate before it is published: whether it can be served, and answers its own example."""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from model_description import saved_model, usable
from model_description.errors import SavedModelError, UnusableError
from trainer.errors import GateError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from model_description.description import Description

RELATIVE_TOLERANCE = 1e-4
ABSOLUTE_TOLERANCE = 1e-5


def check(folder: Path, description: Description) -> None:
    """Raise GateError when the api cannot use a described SavedModel, or it does not answer its example as described.

    The SavedModel is loaded as TensorFlow Serving loads it, into a session of its own: what Python objects know of it
    plays no part. Answers may differ by RELATIVE_TOLERANCE and ABSOLUTE_TOLERANCE.
    """
    try:
        usable.check(saved_model.read_signatures(folder), description.signature, description)
    except (SavedModelError, UnusableError) as error:
        raise GateError(f"the model cannot be served: {error}: nothing was published") from error
    if description.example is None:
        return
    answer = _answer(folder, description.signature, description.example.inputs)
    for name, told in description.example.outputs.items():
        expected, found = np.asarray(told), answer[name][0]
        is_close = expected.shape == found.shape and np.allclose(
            found, expected, rtol=RELATIVE_TOLERANCE, atol=ABSOLUTE_TOLERANCE
        )
        if not is_close:
            raise GateError(
                f"the exported model answers its example with {name} {_short(found)}, training computed "
                f"{_short(expected)}: nothing was published"
            )


def _answer(folder: Path, signature: str, row: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Return what the SavedModel computes for a batch of one row; raise GateError when it computes nothing."""
    try:
        with _without_advice(), tf.compat.v1.Session(graph=tf.Graph()) as session:
            loaded = tf.compat.v1.saved_model.loader.load(session, [tf.saved_model.SERVING], str(folder))
            definition = loaded.signature_def[signature]
            feed = {
                tensor.name: np.asarray([row[name]], tf.dtypes.as_dtype(tensor.dtype).as_numpy_dtype)
                for name, tensor in definition.inputs.items()
            }
            fetches = {name: tensor.name for name, tensor in definition.outputs.items()}
            return dict(session.run(fetches, feed))
    except (tf.errors.OpError, ValueError) as error:
        reason = str(getattr(error, "message", None) or error).splitlines()[0]
        raise GateError(f"the exported model cannot answer its example: {reason}: nothing was published") from error


@contextlib.contextmanager
def _without_advice() -> Iterator[None]:
    """Keep what TensorFlow advises programmers of TensorFlow 1 out of the log."""
    logger = tf.get_logger()
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _short(values: np.ndarray) -> str:
    return np.array2string(values, precision=4, threshold=8).replace("\n", "")
