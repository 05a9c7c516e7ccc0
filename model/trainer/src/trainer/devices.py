"""The devices TensorFlow computes on."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import tensorflow as tf

if TYPE_CHECKING:
    from collections.abc import Callable


def use_all(tell: Callable[[str], None]) -> None:
    """Use every GPU there is, with memory taken as it is needed; tell what there is."""
    gpus = tf.config.list_physical_devices("GPU")
    for gpu in gpus:
        # Already in use: memory growth cannot be changed any more.
        with contextlib.suppress(RuntimeError):
            tf.config.experimental.set_memory_growth(gpu, enable=True)
    names = [tf.config.experimental.get_device_details(gpu).get("device_name", gpu.name) for gpu in gpus]
    tell(f"devices: {', '.join(names) if names else 'CPU'}")
