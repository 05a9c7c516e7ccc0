"""Whether a version ever answers: a model can load, be AVAILABLE, and fail every request.

Keras 3 models saved by tf.saved_model.save are the usual case: their variables are not restored, upstream and here. The
clients are told as upstream tells them; the log tells those who run the server.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from serving_codec.status import Code

if TYPE_CHECKING:
    from serving_codec.status import ServingError

LOG = logging.getLogger(__name__)
# What a run of a graph ends with by the model's own fault; other codes are a client's, or the moment's.
OF_THE_MODEL = frozenset({Code.FAILED_PRECONDITION, Code.NOT_FOUND, Code.INTERNAL, Code.UNIMPLEMENTED})


class Outcomes:
    """What the runs of one version came to, by signature."""

    def __init__(self) -> None:
        # For the life of the version: signatures that have answered, and those whose failure has been told.
        self._settled: set[str] = set()

    def succeeded(self, signature: str) -> None:
        """Note that a signature answers."""
        self._settled.add(signature)

    def failed(self, api: str, model: str, number: int, signature: str, error: ServingError) -> None:
        """Log an error where a signature that has never answered fails by the model's fault, once."""
        if error.code not in OF_THE_MODEL or signature in self._settled:
            return
        self._settled.add(signature)
        hint = ""
        if "Could not find variable" in error.message:
            hint = ". Its variables were not restored; a Keras 3 model is exported with model.export(folder)"
        LOG.error(
            "every %s of {name: %s version: %d} with signature %r has failed so far: %s%s",
            api,
            model,
            number,
            signature,
            error,
            hint,
        )
