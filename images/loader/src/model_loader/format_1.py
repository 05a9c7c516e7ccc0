"""Models that releases before the description published: what their manifest says is written into the copy."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from model_description import saved_model
from model_description.description import Description, InputDescription, OutputDescription
from model_description.errors import DescriptionError, SavedModelError
from model_loader.errors import RefusedError
from model_store.manifest import FILE_NAME

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from model_description.signature import Signature
    from model_store.manifest import Manifest

FORMAT = 1
# (row, column) or (row, column, channel).
_IMAGE_AXES = (2, 3)


def describe(folder: Path, manifest: Manifest, signature_name: str, what: str) -> bool:
    """Describe a verified copy by the facts of its format-1 manifest, so that an upgrade does not lose its labels.

    Return whether that was done: not for another format, without labels, or where the model describes itself.
    Raise RefusedError, which names the model by `what`, when it cannot be read.
    """
    if manifest.format != FORMAT or not _texts(manifest.facts.get("labels")):
        return False
    if not (folder / saved_model.FILE_NAME).is_file():
        return False
    try:
        signature = saved_model.read_signatures(folder).get(signature_name)
        if signature is None or saved_model.read_description(folder) is not None:
            return False
        saved_model.describe(folder, description(manifest, signature, saved_model.weights_sha256(folder)))
        # It is about the graph as it was.
        (folder / FILE_NAME).unlink()
    except (SavedModelError, DescriptionError) as error:
        raise RefusedError(f"{what} is not handed over: {str(error).replace(f'{folder}/', '')}") from error
    return True


def description(manifest: Manifest, signature: Signature, weights_sha256: str) -> Description:
    """Return the description that says what a format-1 manifest says; it was written for classifiers only."""
    facts = manifest.facts
    return Description(
        task="classification",
        labels=tuple(_texts(facts.get("labels"))),
        signature=signature.name,
        inputs={name: _input(_object(facts, "input")) for name in signature.inputs if len(signature.inputs) == 1},
        outputs={name: OutputDescription("probabilities") for name in signature.outputs if len(signature.outputs) == 1},
        metrics={name: value for name, value in _object(facts, "metrics").items() if _is_number(value)},
        parameters=_object(facts, "parameters"),
        data={name: str(value) for name, value in _object(facts, "dataset").items()},
        key=manifest.key,
        weights_sha256=weights_sha256,
        created=manifest.created,
    )


def _input(given: Mapping[str, Any]) -> InputDescription:
    shape = given.get("shape")
    is_image = isinstance(shape, list) and len(shape) in _IMAGE_AXES
    return InputDescription("image" if is_image else "", _number(given.get("minimum")), _number(given.get("maximum")))


def _number(value: Any) -> float | None:
    return float(value) if _is_number(value) else None


def _object(given: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = given.get(name)
    return dict(value) if isinstance(value, dict) else {}


def _texts(value: object) -> list[str]:
    """Return a list of different texts, [] for anything else."""
    texts = [text for text in value if isinstance(text, str)] if isinstance(value, list) else []
    return texts if isinstance(value, list) and len(set(texts)) == len(value) else []


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
