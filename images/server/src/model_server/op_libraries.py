"""Operations that are not TensorFlow's own: libraries that are loaded before any model."""

from __future__ import annotations

import importlib
import importlib.util
import logging

import tensorflow as tf

from serving_codec.status import invalid_argument

LOG = logging.getLogger(__name__)
# Paths of shared objects, or of folders of them, and names of Python modules that load their own; colons between.
VARIABLE = "TF_OP_LIBRARIES"
# What upstream's binary links: where an image has the package, a model finds its operations without being told of it.
LINKED_UPSTREAM = ("tensorflow_text", "tensorflow_decision_forests")


def load(named: str) -> None:
    """Load the libraries named, and those of LINKED_UPSTREAM that are installed.

    Raise INVALID_ARGUMENT for a named one that cannot be loaded; one that is merely installed is warned about.
    """
    names = [name for name in named.split(":") if name]
    for name in names:
        try:
            _load(name)
        # A library's own code runs here: whatever it raises is told, and its name with it.
        except Exception as error:
            raise invalid_argument(f"{VARIABLE} names {name!r}, which cannot be loaded: {error}") from error
        LOG.info("Loaded the operations of %s", name)
    for module in LINKED_UPSTREAM:
        if module not in names and importlib.util.find_spec(module):
            try:
                _load(module)
            except Exception as error:  # noqa: BLE001 - as above; the models that do without it are served
                LOG.warning("The operations of %s are installed and cannot be loaded: %s", module, error)
            else:
                LOG.info("Loaded the operations of %s", module)


def _load(name: str) -> None:
    if "/" in name or name.endswith(".so"):
        tf.load_library(name)
    else:
        importlib.import_module(name)
