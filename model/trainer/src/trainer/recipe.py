"""The recipe: what a user writes down to have a model trained."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from trainer.errors import InputError
from trainer.parameters import declared, parameter

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import keras

    from trainer.data import Data
    from trainer.training import Training


class Recipe:
    """How one model is trained. A subclass says which parameters there are, where data comes from, and the network.

    Everything else comes with it: fitting with a line for each epoch, seeds, checkpoints and resuming, TensorBoard
    logs, evaluation, export with a description, an example and warm-up requests. Each of these steps is a method, and
    a subclass may do it otherwise. A module holds one recipe.

    Parameters are class attributes made by `parameter(...)`; on an instance they are values. The three below belong to
    every recipe; one that wants other defaults declares them again.
    """

    epochs: int = parameter(5, minimum=1, maximum=10_000, help="passes over the training data")
    batch_size: int = parameter(32, minimum=1, maximum=65_536, help="examples in a step")
    seed: int = parameter(42, minimum=0, maximum=2**31 - 1, help="seed of every random choice")

    # One of classification, multilabel, regression, raw; "" has the model's last layer tell, where it is certain.
    task: ClassVar[str] = ""
    # Names of the classes, in the order of the scores.
    labels: ClassVar[Sequence[str]] = ()
    # What the model must reach to be published, unless values say otherwise: [{"metric": "accuracy", "min": 0.8}].
    gates: ClassVar[Sequence[Mapping[str, Any]]] = ()
    # What inputs mean, by name: {"pixels": {"meaning": "image", "minimum": 0, "maximum": 255}}.
    inputs: ClassVar[Mapping[str, Mapping[str, Any]]] = {}

    def __init__(self, **values: Any) -> None:
        """Take the values of parameters; the others have their defaults."""
        parameters = declared(type(self))
        for name in parameters:
            setattr(self, name, values.pop(name, parameters[name].default))
        if values:
            raise TypeError(f"{type(self).__name__} has no parameters {', '.join(sorted(values))}")

    def data(self, folder: Path | None) -> Data:
        """Return what is learned from; `folder` is where training.data is, None where none is given."""
        del folder
        raise InputError(f"{type(self).__name__} has no data(): expected one that returns a trainer.Data")

    def model(self, data: Data) -> keras.Model:
        """Return a compiled model. What turns raw values into numbers are layers of it: clients send raw values."""
        del data
        raise InputError(f"{type(self).__name__} has no model(): expected one that returns a compiled keras.Model")

    def callbacks(self, data: Data) -> Sequence[keras.callbacks.Callback]:
        """Return further Keras callbacks of the fitting."""
        del data
        return ()

    def fit(self, model: keras.Model, data: Data, training: Training) -> None:
        """Train the model in place; `training` fits, tells, checkpoints and logs."""
        training.fit(model, data, self.callbacks(data))

    def evaluate(self, model: keras.Model, data: Data) -> Mapping[str, float]:
        """Return metrics on the test data, by the names Keras gives them."""
        from trainer import evaluation  # noqa: PLC0415 - declarations are read without TensorFlow

        return evaluation.evaluate(model, data.test)

    def example(self, data: Data) -> Any:
        """Return the features of a few test examples, first axis the example, to show and to warm up with."""
        from trainer import evaluation  # noqa: PLC0415

        return evaluation.first_examples(data.test)

    def export(self, model: keras.Model, folder: Path) -> None:
        """Write a SavedModel with the signature serving_default into a folder that is not there yet."""
        from trainer import export  # noqa: PLC0415

        export.write(model, folder)

    def values(self) -> dict[str, Any]:
        """Return the parameters' values by name."""
        return {name: getattr(self, name) for name in declared(type(self))}
