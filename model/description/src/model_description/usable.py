"""The one place that decides whether the api can use a model.

The publisher asks it before publishing, the loader before handing over, the api when it meets a version.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from model_description import dtypes
from model_description.errors import UnusableError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from model_description.description import Description
    from model_description.signature import Signature, TensorSpec


def check(signatures: Mapping[str, Signature], name: str, description: Description | None) -> Signature:
    """Return the signature the api is to call; raise UnusableError when it is missing or cannot be served.

    `name` is the signature asked for, `description` what the model says of itself, None where it says nothing.
    """
    if name not in signatures:
        known = ", ".join(sorted(signatures)) or "none"
        raise UnusableError(f"the model has no signature {name!r} (model.signature); it has {known}")
    signature = signatures[name]
    if not signature.inputs or not signature.outputs:
        lacking = "inputs" if not signature.inputs else "outputs"
        raise UnusableError(f"signature {name!r} has no {lacking}: export one that takes and returns tensors")
    _check_dtypes(signature.inputs.values(), f"an input of signature {name!r}")
    _check_dtypes(signature.outputs.values(), f"an output of signature {name!r}")
    if description is not None and description.signature == name:
        _check_description(signature, description)
    return signature


def _check_dtypes(tensors: Iterable[TensorSpec], what: str) -> None:
    for tensor in tensors:
        if tensor.dtype not in dtypes.NUMBERS:
            known = ", ".join(sorted(dtypes.NUMBERS))
            raise UnusableError(f"{tensor.name}, {what}, is {tensor.dtype}; what can be sent and answered is {known}")


def _check_description(signature: Signature, description: Description) -> None:
    described = {"input": (description.inputs, signature.inputs), "output": (description.outputs, signature.outputs)}
    for kind, (told, known) in described.items():
        _check_names("the description", kind, told, known, signature)
    if description.example is not None:
        missing = set(signature.inputs) - set(description.example.inputs) - signature.optional
        if missing:
            raise UnusableError(f"the description's example has no value for the input {min(missing)!r}")
        _check_names("the description's example", "input", description.example.inputs, signature.inputs, signature)
        _check_names("the description's example", "output", description.example.outputs, signature.outputs, signature)
    scores = scores_of(signature, description.task)
    if scores is not None and description.labels:
        check_labels(scores, description.task, len(description.labels))


def _check_names(what: str, kind: str, told: Iterable[str], known: Iterable[str], signature: Signature) -> None:
    for name in sorted(set(told) - set(known)):
        raise UnusableError(
            f"{what} tells of an {kind} {name!r}, which signature {signature.name!r} has not; it has {', '.join(known)}"
        )


def scores_of(signature: Signature, task: str) -> TensorSpec | None:
    """Return the output a task reads, None for raw; raise UnusableError where the outputs do not fit the task."""
    if task == "raw":
        return None
    numbers = [output for output in signature.outputs.values() if _is_numeric(output, task)]
    if len(numbers) != 1:
        kind = "numeric" if task == "regression" else "float"
        listed = ", ".join(f"{output.name} {output}" for output in signature.outputs.values())
        raise UnusableError(
            f"task {task} reads one {kind} output, but signature {signature.name!r} returns {listed}: "
            "use another signature, or the task raw (model.task)"
        )
    scores = numbers[0]
    # (row,) or (row, class); more axes are a map or a sequence, which has no one answer.
    if scores.shape is not None and len(scores.shape) not in {1, 2}:
        raise UnusableError(
            f"task {task} needs one vector a row, but {scores.name} is {scores}: use the task raw (model.task)"
        )
    return scores


def check_labels(scores: TensorSpec, task: str, count: int) -> None:
    """Raise UnusableError where a number of labels is not that of the classes, as far as the shape tells."""
    if task == "regression" or scores.shape is None:
        return
    classes = 1 if len(scores.shape) == 1 else scores.shape[1]
    if task == "classification" and classes == 1:
        classes = 2  # one sigmoid unit tells two classes apart
    if classes is not None and classes != count:
        raise UnusableError(f"{scores.name} has {classes} classes but there are {count} labels: name each class once")


def _is_numeric(output: TensorSpec, task: str) -> bool:
    return output.dtype in dtypes.FLOATS or (task == "regression" and output.dtype not in {"string", "bool"})
