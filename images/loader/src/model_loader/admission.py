"""What a model must be before it is handed over: one the api can use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from model_description import saved_model, usable
from model_description.errors import DescriptionError, SavedModelError, UnusableError
from model_loader.errors import RefusedError

if TYPE_CHECKING:
    from pathlib import Path


def check(folder: Path, signature_name: str, task: str, what: str) -> None:
    """Raise RefusedError, which names the model by `what`, where its signature or its description cannot be used.

    A model without saved_model.pb (LiteRT, a graph as text) is the server's to judge.
    """
    if not (folder / saved_model.FILE_NAME).is_file():
        return
    try:
        signatures = saved_model.read_signatures(folder)
        signature = usable.check(signatures, signature_name, saved_model.read_description(folder))
        if task:
            usable.scores_of(signature, task)
    except (SavedModelError, DescriptionError, UnusableError) as error:
        # Where the copy is, is nobody's business.
        reason = str(error).replace(f"{folder}/", "")
        raise RefusedError(f"{what} is not handed over: {reason}") from error
