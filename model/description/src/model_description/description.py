"""The description a model carries: JSON with a format number."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from model_description.errors import DescriptionError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

FORMAT = 1
# The signature of a SavedModel that answers with the description: a string vector in, one of the same length out, so
# that a server that joins batches takes it too. Every element of the answer is the whole description.
SIGNATURE = "model_description"
REQUEST = "request"
ANSWER = "description"

TASKS = ("classification", "multilabel", "regression", "raw")
# What an input is, for those who prepare it: an image's axes are (row, column) or (row, column, channel).
MEANINGS = ("", "image", "text")
# What the numbers of an output are, where its task leaves that open.
SCORES = ("", "probabilities", "logits")
# A model's description is read by every api pod for every version; much more than this is not a description.
MAXIMUM_BYTES = 4 << 20


@dataclass(frozen=True)
class InputDescription:
    """What an input means: `minimum` and `maximum` are the range it was trained on, None where it has none."""

    meaning: str = ""
    minimum: float | None = None
    maximum: float | None = None
    help: str = ""


@dataclass(frozen=True)
class OutputDescription:
    """What the numbers of an output are: one of SCORES."""

    scores: str = ""


@dataclass(frozen=True)
class Example:
    """One row in, by input, and what training computed for it, by output.

    Values are as JSON has them, nested in the row's shape; bytes are {"b64": ...}.
    """

    inputs: Mapping[str, Any]
    outputs: Mapping[str, Any]


@dataclass(frozen=True)
class Description:
    """Everything a model tells of itself but its version, which its server knows."""

    task: str = "raw"
    labels: tuple[str, ...] = ()
    signature: str = "serving_default"
    inputs: Mapping[str, InputDescription] = field(default_factory=dict)
    outputs: Mapping[str, OutputDescription] = field(default_factory=dict)
    example: Example | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    parameters: Mapping[str, Any] = field(default_factory=dict)
    data: Mapping[str, str] = field(default_factory=dict)
    key: str = ""
    weights_sha256: str = ""
    created: str = ""

    def render(self) -> bytes:
        """Return it as JSON; equal descriptions are equal bytes."""
        return json.dumps({"format": FORMAT, **asdict(self)}, sort_keys=True, separators=(",", ":")).encode()


def parse(content: bytes) -> Description:
    """Return the description in JSON; raise DescriptionError that names the field, what was expected, what it has."""
    if len(content) > MAXIMUM_BYTES:
        raise DescriptionError(f"the description has {len(content)} bytes, more than {MAXIMUM_BYTES}")
    try:
        given = json.loads(content)
        # JSON can name half a character, which no text that is sent can hold.
        json.dumps(given, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise DescriptionError("the description has text with half a character (a lone surrogate)") from error
    except (ValueError, RecursionError) as error:
        raise DescriptionError(f"the description is not JSON: {error}") from error
    _expect(isinstance(given, dict), "the description", "an object", given)
    number = given.get("format")
    _expect(number == FORMAT and number is not True, "format", f"{FORMAT}, the one known here", number)
    example = given.get("example")
    return Description(
        task=_one_of(given, "task", TASKS, "raw"),
        labels=_labels(given.get("labels", [])),
        signature=_text(given, "signature") or "serving_default",
        inputs=_each(given, "inputs", _input),
        outputs=_each(given, "outputs", _output),
        example=None if example is None else _example(example),
        metrics={name: value for name, value in _object(given, "metrics").items() if _is_number(value)},
        parameters=_object(given, "parameters"),
        data={name: str(value) for name, value in _object(given, "data").items()},
        key=_text(given, "key"),
        weights_sha256=_text(given, "weights_sha256"),
        created=_text(given, "created"),
    )


def _expect(is_right: bool, name: str, expected: str, found: object) -> None:  # noqa: FBT001 - reads as a claim
    if not is_right:
        raise DescriptionError(f"{name}: expected {expected}, found {_short(found)}")


def _short(found: object) -> str:
    if isinstance(found, dict | list):
        return "an object" if isinstance(found, dict) else "a list"
    return json.dumps(found)[:80]


def _text(given: Mapping[str, Any], name: str, within: str = "") -> str:
    value = given.get(name, "")
    _expect(isinstance(value, str), within + name, "text", value)
    return str(value)


def _one_of(
    given: Mapping[str, Any], name: str, allowed: tuple[str, ...], default: str = "", *, within: str = ""
) -> str:
    value = given.get(name, default)
    _expect(value in allowed, within + name, " or ".join(repr(word) for word in allowed), value)
    return str(value)


def _object(given: Mapping[str, Any], name: str, within: str = "") -> dict[str, Any]:
    value = given.get(name, {})
    _expect(isinstance(value, dict), within + name, "an object", value)
    return dict(value)


def _each(given: Mapping[str, Any], name: str, convert: Callable[[str, Any], Any]) -> dict[str, Any]:
    return {key: convert(f"{name}.{key}", value) for key, value in _object(given, name).items()}


def _labels(value: object) -> tuple[str, ...]:
    _expect(
        isinstance(value, list) and all(isinstance(label, str) for label in value), "labels", "a list of texts", value
    )
    labels = tuple(value) if isinstance(value, list) else ()
    _expect(len(set(labels)) == len(labels), "labels", "each label once", value)
    return labels


def _input(name: str, value: object) -> InputDescription:
    _expect(isinstance(value, dict), name, "an object", value)
    given = dict(value) if isinstance(value, dict) else {}
    for bound in ("minimum", "maximum"):
        _expect(given.get(bound) is None or _is_number(given[bound]), f"{name}.{bound}", "a number", given.get(bound))
    return InputDescription(
        meaning=_one_of(given, "meaning", MEANINGS, within=f"{name}."),
        minimum=given.get("minimum"),
        maximum=given.get("maximum"),
        help=_text(given, "help", f"{name}."),
    )


def _output(name: str, value: object) -> OutputDescription:
    _expect(isinstance(value, dict), name, "an object", value)
    given = dict(value) if isinstance(value, dict) else {}
    return OutputDescription(_one_of(given, "scores", SCORES, within=f"{name}."))


def _example(value: object) -> Example:
    _expect(isinstance(value, dict), "example", "an object", value)
    given = dict(value) if isinstance(value, dict) else {}
    return Example(_object(given, "inputs", "example."), _object(given, "outputs", "example."))


def _is_number(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:
        # A whole number beyond all floats.
        return False
