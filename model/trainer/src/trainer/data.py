"""What a recipe learns from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from trainer.errors import InputError

if TYPE_CHECKING:
    import tensorflow as tf
    from numpy.typing import NDArray

# Arrays whose first axis is the example: one, or several by the names of the model's inputs.
Features: TypeAlias = "NDArray[Any] | dict[str, NDArray[Any]]"
# (features, labels) as arrays, or batches of such pairs.
Examples: TypeAlias = "tuple[Features, NDArray[Any]] | tf.data.Dataset"


@dataclass(frozen=True)
class Data:
    """Examples to train on and to evaluate with.

    Each is either a pair of arrays (features, labels) whose first axis is the example, held in memory, drawn in a new
    order each epoch, the same for equal seeds; or a `tf.data.Dataset` of batches of such pairs, read again each epoch
    as it comes and never held, so that it may be larger than memory. Features are an array, or arrays by the names of
    the model's inputs.

    `name` and `sha256` say what was learned from; figures are compared between models of equal digests only.
    """

    train: Examples
    test: Examples
    name: str = ""
    sha256: str = ""

    def __post_init__(self) -> None:
        """Raise InputError for pairs whose arrays do not have the same number of examples."""
        for part, examples in (("train", self.train), ("test", self.test)):
            if isinstance(examples, tuple):
                _check(part, examples)

    def about(self) -> str:
        """Return how much there is, for a log line."""
        parts = []
        for part, examples in (("training", self.train), ("test", self.test)):
            known = count(examples)
            kind = "examples" if isinstance(examples, tuple) else "batches"
            parts.append(f"{'streamed' if known is None else known} {part} {kind}")
        return ", ".join([self.name, *parts] if self.name else parts)

    @classmethod
    def split(
        cls,
        features: Features,
        labels: NDArray[Any],
        *,
        test: float = 0.2,
        seed: int = 0,
        name: str = "",
        sha256: str = "",
    ) -> Data:
        """Return arrays split by chance, the same way for equal seeds: a share `test` of them to evaluate with."""
        import numpy as np  # noqa: PLC0415 - declarations are read without it

        tested = round(len(labels) * test)
        if not 0 < tested < len(labels):
            raise InputError(f"{len(labels)} examples cannot be split: a share of {test} to evaluate with are {tested}")
        order = np.random.default_rng(seed).permutation(len(labels))
        return cls(
            train=(_taken(features, order[tested:]), labels[order[tested:]]),
            test=(_taken(features, order[:tested]), labels[order[:tested]]),
            name=name,
            sha256=sha256,
        )


def count(examples: Examples) -> int | None:
    """Return the number of examples in memory, or of batches that are streamed; None where nobody knows it."""
    if isinstance(examples, tuple):
        return len(examples[1])
    cardinality = int(examples.cardinality())
    return cardinality if cardinality >= 0 else None


def _check(part: str, examples: tuple[Features, NDArray[Any]]) -> None:
    features, labels = examples
    named = features if isinstance(features, dict) else {"the features": features}
    for name, values in named.items():
        if len(values) != len(labels):
            raise InputError(f"the {part} data does not fit: {name} has {len(values)} examples, {len(labels)} labels")
    if not len(labels):
        raise InputError(f"the {part} data has no examples")


def _taken(features: Features, chosen: NDArray[Any]) -> Features:
    if isinstance(features, dict):
        return {name: values[chosen] for name, values in features.items()}
    taken: NDArray[Any] = features[chosen]
    return taken
