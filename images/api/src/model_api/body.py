"""Request bodies: JSON in, images out."""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson

from model_api.errors import InputError, NotJsonError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from model_api.model import Signature

NUMBERS = {int, float}
SHOWN_CHARACTERS = 60


@dataclass(frozen=True)
class Images:
    """`numbers` (image, number) in the model's dtype; `is_single` when the body had one `input`."""

    numbers: NDArray[Any]
    is_single: bool


def parse(body: bytes, signature: Signature, most: int) -> Images:
    """Return the images of a body; raise NotJsonError or an InputError that says what was expected and where."""
    content = _load(body)
    if not isinstance(content, dict):
        raise NotJsonError(f"expected a JSON object with 'input' or 'inputs', got {_kind(content)}")
    if ("input" in content) == ("inputs" in content):
        raise InputError("expected exactly one of 'input' (one image) and 'inputs' (a list of images)")
    if "input" in content:
        return Images(_image(content["input"], signature, "input").reshape(1, -1), is_single=True)
    inputs = content["inputs"]
    if not isinstance(inputs, list) or not inputs:
        raise InputError(f"inputs: expected a non-empty list of images, got {_kind(inputs)}")
    if len(inputs) > most:
        raise InputError(f"inputs: expected at most {most} images, got {len(inputs)}")
    return Images(
        np.stack([_image(image, signature, f"inputs[{i}]") for i, image in enumerate(inputs)]),
        is_single=False,
    )


def _load(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        return _load_with_constants(body, error)


def _load_with_constants(body: bytes, error: orjson.JSONDecodeError) -> Any:
    """Tell a body with NaN or Infinity, which JSON has no words for, from one that is not JSON at all."""
    found: list[str] = []

    def constant(word: str) -> float:
        found.append(word)
        return 0.0

    try:
        json.loads(body, parse_constant=constant)
    except (ValueError, RecursionError):
        raise NotJsonError(f"the body is not JSON: {error}") from None
    if found:
        raise InputError(f"expected finite numbers, got {found[0]}") from None
    raise NotJsonError(f"the body is not JSON: {error}") from None


def _image(value: object, signature: Signature, where: str) -> NDArray[Any]:
    expected = _expected(signature)
    if not isinstance(value, list):
        raise InputError(f"{where}: expected {expected}, got {_kind(value)}")
    flat = value
    if value and isinstance(value[0], list) and len(signature.shape) > 1:
        flat = _flatten(value, signature.shape, where, expected)
    elif len(value) != signature.size:
        raise InputError(f"{where}: expected {expected}, got {len(value)} values")
    if not set(map(type, flat)) <= NUMBERS:
        index = next(i for i, item in enumerate(flat) if type(item) not in NUMBERS)
        raise InputError(f"{where}: expected {expected}, got {_kind(flat[index])} at position {index}")
    return _numbers(flat, signature, where)


def _flatten(value: list[Any], shape: tuple[int, ...], where: str, expected: str) -> list[Any]:
    """Return the numbers of nested lists in row order; every list must have its axis' length."""
    if len(value) != shape[0]:
        raise InputError(f"{where}: expected {expected}, got a list of {len(value)} where {shape[0]} belong")
    if len(shape) == 1:
        return value
    for row in value:
        if not isinstance(row, list):
            raise InputError(f"{where}: expected {expected}, got {_kind(row)} where a list belongs")
    return list(itertools.chain.from_iterable(_flatten(row, shape[1:], where, expected) for row in value))


def _numbers(flat: list[Any], signature: Signature, where: str) -> NDArray[Any]:
    try:
        with np.errstate(over="ignore", invalid="ignore"):
            wide = np.array(flat, np.float64)
            numbers = wide.astype(signature.dtype)
    except OverflowError:
        raise InputError(f"{where}: expected finite numbers, got one too large") from None
    if signature.dtype.kind == "f":
        if not np.isfinite(numbers).all():
            raise InputError(f"{where}: expected finite numbers that fit {signature.dtype.name}")
    elif not np.array_equal(numbers, wide):
        raise InputError(f"{where}: expected whole numbers that fit {signature.dtype.name}")
    return numbers


def _expected(signature: Signature) -> str:
    nested = "x".join(str(size) for size in signature.shape)
    return f"{signature.size} numbers" + (f", flat or nested {nested}" if len(signature.shape) > 1 else "")


def _kind(value: object) -> str:
    """Name a JSON value for a person, shortened to a safe length."""
    names = {dict: "an object", list: "a list", type(None): "null"}
    if isinstance(value, list):
        return f"a list of {len(value)}"
    return names.get(type(value)) or json.dumps(value)[:SHOWN_CHARACTERS]
