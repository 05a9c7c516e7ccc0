"""Whether the api can use a model: each reason it cannot, and that nothing else is one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from model_description import dtypes, usable
from model_description.description import Description, Example, InputDescription, OutputDescription
from model_description.errors import UnusableError
from model_description.signature import Signature, TensorSpec

if TYPE_CHECKING:
    from collections.abc import Mapping

Shape = tuple[int | None, ...] | None
OPEN = (None, 3)


def signature(
    inputs: Mapping[str, tuple[str, Shape]] | None = None,
    outputs: Mapping[str, tuple[str, Shape]] | None = None,
    optional: frozenset[str] = frozenset(),
) -> Signature:
    """Return a signature of tensors by name, x and y unless told otherwise."""
    return Signature(
        "serving_default",
        {
            name: TensorSpec(name, *spec)
            for name, spec in ({"x": ("float32", OPEN)} if inputs is None else inputs).items()
        },
        {
            name: TensorSpec(name, *spec)
            for name, spec in ({"y": ("float32", OPEN)} if outputs is None else outputs).items()
        },
        optional=optional,
    )


def described(**fields: Any) -> Description:
    """Return a description."""
    return Description(**fields)


def outputs(*specs: tuple[str, Shape]) -> Signature:
    """Return a signature with outputs y0, y1, and so on."""
    return signature(outputs={f"y{index}": spec for index, spec in enumerate(specs)})


SERVED: list[tuple[Signature, Description | None]] = [
    (signature(), None),
    (signature({"a": ("string", (None,)), "b": ("int64", None)}, {"y": ("string", ()), "z": ("bool", OPEN)}), None),
    (signature(), described(task="classification", labels=("a", "b", "c"))),
    (outputs(("float32", (None, 1))), described(task="classification", labels=("no", "yes"))),
    (outputs(("float32", (None,))), described(task="classification", labels=("no", "yes"))),
    (outputs(("float32", None)), described(task="classification", labels=("no", "yes", "maybe"))),
    (outputs(("float32", (None, None))), described(task="multilabel", labels=("a",))),
    (outputs(("float16", OPEN), ("string", OPEN)), described(task="classification", labels=("a", "b", "c"))),
    (outputs(("int64", (None,))), described(task="regression")),
    (outputs(("float32", (None, 2, 2))), described(task="raw", labels=("a",))),
    (
        signature({"x": ("float32", OPEN), "rate": ("float32", ())}, optional=frozenset({"rate"})),
        described(example=Example({"x": [1, 2, 3]}, {"y": [1, 2, 3]})),
    ),
    # It tells of another signature.
    (signature(), described(signature="other", inputs={"z": InputDescription()}, task="classification")),
]


@pytest.mark.parametrize(("served", "description"), SERVED)
def test_model_is_usable(served: Signature, description: Description | None) -> None:
    assert usable.check({"serving_default": served}, "serving_default", description) is served


REFUSED: list[tuple[Signature, Description | None, str]] = [
    (signature(inputs={}), None, "signature 'serving_default' has no inputs"),
    (signature(outputs={}), None, "signature 'serving_default' has no outputs"),
    (signature({"x": ("DT_VARIANT", OPEN)}), None, "x, an input of signature 'serving_default', is DT_VARIANT"),
    (outputs(("DT_COMPLEX64", OPEN)), None, "y0, an output of signature 'serving_default', is DT_COMPLEX64"),
    (
        signature(),
        described(inputs={"pixels": InputDescription()}),
        "the description tells of an input 'pixels', which signature 'serving_default' has not; it has x",
    ),
    (
        signature(),
        described(outputs={"scores": OutputDescription()}),
        "the description tells of an output 'scores', which signature 'serving_default' has not; it has y",
    ),
    (signature(), described(example=Example({}, {})), "the description's example has no value for the input 'x'"),
    (
        signature(),
        described(example=Example({"x": 1, "z": 2}, {})),
        "the description's example tells of an input 'z', which signature 'serving_default' has not; it has x",
    ),
    (
        signature(),
        described(example=Example({"x": 1}, {"z": 2})),
        "the description's example tells of an output 'z', which signature 'serving_default' has not; it has y",
    ),
    (
        outputs(("float32", OPEN), ("float32", OPEN)),
        described(task="classification"),
        "task classification reads one float output, but signature 'serving_default' returns y0 float32 (?, 3), y1",
    ),
    (outputs(("int64", OPEN)), described(task="multilabel"), "task multilabel reads one float output"),
    (outputs(("string", OPEN)), described(task="regression"), "task regression reads one numeric output"),
    (
        outputs(("float32", (None, 4, 4))),
        described(task="classification"),
        "task classification needs one vector a row, but y0 is float32 (?, 4, 4)",
    ),
    (
        outputs(("float32", ())),
        described(task="classification", labels=("a", "b")),
        "task classification needs one vector a row, but y0 is float32 ()",
    ),
    (signature(), described(task="classification", labels=("a", "b")), "y has 3 classes but there are 2 labels"),
    (
        outputs(("float32", (None, 1))),
        described(task="multilabel", labels=("a", "b")),
        "y0 has 1 classes but there are 2 labels",
    ),
]


@pytest.mark.parametrize(("refused", "description", "told"), REFUSED)
def test_model_is_refused_with_the_reason(refused: Signature, description: Description | None, told: str) -> None:
    with pytest.raises(UnusableError) as refusal:
        usable.check({"serving_default": refused}, "serving_default", description)
    assert str(refusal.value).startswith(told)


def test_missing_signature_is_told_with_those_there_are() -> None:
    with pytest.raises(UnusableError, match=r"has no signature 'predict' \(model.signature\); it has a, b"):
        usable.check({"b": signature(), "a": signature()}, "predict", None)


@pytest.mark.parametrize("dtype", sorted(dtypes.NUMBERS))
def test_every_dtype_that_travels_is_taken(dtype: str) -> None:
    usable.check({"s": signature({"x": (dtype, OPEN)}, {"y": (dtype, OPEN)})}, "s", None)
