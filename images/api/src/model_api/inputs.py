"""JSON values to tensors: the one way in, whatever protocol they came by."""

from __future__ import annotations

import base64
import binascii
import itertools
import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson

from model_api.errors import InputError, NotJsonError
from model_description import dtypes
from serving_codec import json_numbers, tensors

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from model_description.signature import Signature, TensorSpec

    Shape = tuple[int | None, ...]

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
# Whole numbers beyond this have no exact double.
EXACT_DOUBLE = 2**53
SHOWN_CHARACTERS = 60
NUMBERS = {int, float}
NO_NUMBERS = frozenset({"string", "bool"})
KEYS = frozenset({"input", "inputs"})
# What numpy makes of JSON's numbers.
_WIDE_FLOATS = frozenset({"float32", "float64"})
_FROM_JSON = (np.dtype(np.int64), np.dtype(np.float64))
_LIMITS = {
    name: (int(np.iinfo(dtype).min), int(np.iinfo(dtype).max))
    for name, dtype in tensors.NUMPY.items()
    if name not in NO_NUMBERS and dtype.kind in "iu"
}


@dataclass(frozen=True)
class Group:
    """Inputs of equal shapes: `tensors` by name, each (row, ...), and where in the request each row stood."""

    tensors: Mapping[str, NDArray[Any]]
    positions: Sequence[int]


@dataclass(frozen=True)
class Inputs:
    """The inputs of a request, grouped by shape; `is_single` when the body had one `input`."""

    groups: Sequence[Group]
    count: int
    is_single: bool


def read(body: bytes, signature: Signature, most: int) -> Inputs:
    """Return the inputs of a `/predict` body: `{"input": X}` or `{"inputs": [X, ...]}`.

    Raise NotJsonError, or an InputError that says what was expected and where.
    """
    quick = _numbers_of(body, signature, most)
    if quick is not None:
        return quick
    content = load(body)
    if not isinstance(content, dict):
        raise NotJsonError(f"expected a JSON object with 'input' or 'inputs', got {kind_of(content)}")
    if ("input" in content) == ("inputs" in content):
        raise InputError("expected exactly one of 'input' (one input) and 'inputs' (a list of inputs)")
    if "input" in content:
        return group([_row(content["input"], signature, "input")], signature, is_single=True)
    values = content["inputs"]
    if not isinstance(values, list) or not values:
        raise InputError(f"inputs: expected a non-empty list of inputs, got {kind_of(values)}")
    if len(values) > most:
        raise InputError(f"inputs: expected at most {most} inputs, got {len(values)}")
    rows = [_row(value, signature, f"inputs[{i}]") for i, value in enumerate(values)]
    return group(rows, signature, is_single=False)


def _numbers_of(body: bytes, signature: Signature, most: int) -> Inputs | None:
    """Return what `read` does for numbers of the only input, in a quarter of its time; None for all else."""
    if len(signature.inputs) != 1 or not signature.has_rows:
        return None
    ((name, spec),) = signature.inputs.items()
    if spec.dtype in NO_NUMBERS or (numbers := json_numbers.read(body, KEYS)) is None or numbers.signature_name:
        return None
    values, is_single = numbers.values, numbers.key == "input"
    count, shape = (1, values.shape) if is_single else (len(values), values.shape[1:])
    fitted = _fitted(shape, spec.row_shape)
    if fitted is None or count > most:
        return None
    tensor = _as_dtype(values, spec)
    return (
        None
        if tensor is None
        else Inputs([Group({name: tensor.reshape(count, *fitted)}, range(count))], count, is_single)
    )


def group(rows: Sequence[Mapping[str, NDArray[Any]]], signature: Signature, *, is_single: bool) -> Inputs:
    """Return rows (tensors by name, without a row axis) stacked with those of equal shapes.

    Where the first axis counts no rows, each is a call of its own, just as it is.
    """
    if not signature.has_rows:
        return Inputs([Group(row, (i,)) for i, row in enumerate(rows)], len(rows), is_single)
    if len(rows) == 1:
        only = {name: tensor[np.newaxis] for name, tensor in rows[0].items()}
        return Inputs([Group(only, (0,))], 1, is_single)
    positions: dict[tuple[Any, ...], list[int]] = {}
    for i, row in enumerate(rows):
        positions.setdefault(tuple((name, tensor.shape) for name, tensor in row.items()), []).append(i)
    groups = [
        Group({name: np.stack([rows[i][name] for i in places]) for name in rows[places[0]]}, places)
        for places in positions.values()
    ]
    return Inputs(groups, len(rows), is_single)


def load(body: bytes) -> Any:
    """Return the JSON in a body, whole numbers exact to 64 bits; raise NotJsonError, InputError for NaN."""
    try:
        return orjson.loads(body.removeprefix(BYTE_ORDER_MARK))
    except orjson.JSONDecodeError as error:
        return _load_with_constants(body, error)


def _load_with_constants(body: bytes, error: orjson.JSONDecodeError) -> Any:
    """Tell a body with NaN or Infinity, which JSON has no words for, from one that is not JSON at all."""
    found: list[str] = []

    def constant(word: str) -> float:
        found.append(word)
        return 0.0

    try:
        json.loads(body.removeprefix(BYTE_ORDER_MARK), parse_constant=constant)
    except (ValueError, RecursionError):
        raise NotJsonError(f"the body is not JSON: {error}") from None
    if found:
        raise InputError(f"expected finite numbers, got {found[0]}") from None
    raise NotJsonError(f"the body is not JSON: {error}") from None


# ---- one input


def _row(value: object, signature: Signature, where: str) -> dict[str, NDArray[Any]]:
    """Return the tensors of one X: a bare value where there is one input, else an object by name."""
    named = signature.inputs
    if len(named) == 1:
        (name, spec), *_ = named.items()
        if not (isinstance(value, dict) and set(value) == {name}):
            return {name: tensor_of(value, spec, _expected_shape(spec, signature), where)}
    if not isinstance(value, dict):
        raise InputError(f"{where}: expected an object with {_listed(named)}, got {kind_of(value)}")
    unknown = set(value) - set(named)
    missing = set(named) - set(value) - signature.optional
    if unknown or missing:
        problem = f"{min(missing)!r} is missing" if missing else f"{min(unknown)[:SHOWN_CHARACTERS]!r} is not one"
        raise InputError(f"{where}: expected an object with {_listed(named)}; {problem}")
    return {
        name: tensor_of(value[name], spec, _expected_shape(spec, signature), f"{where}.{name}")
        for name, spec in named.items()
        if name in value
    }


def _expected_shape(spec: TensorSpec, signature: Signature) -> Shape | None:
    """Return the shape one X has: of a row where the first axis counts them, else of the whole tensor."""
    return spec.row_shape if signature.has_rows else spec.shape


def tensor_of(value: object, spec: TensorSpec, shape: Shape | None, where: str) -> NDArray[Any]:
    """Return a JSON value as a tensor of the input's dtype and of `shape` (None: any).

    It may be nested in its shape, or flat in row order where the shape is fixed. Strings are objects of bytes.
    Raise InputError that says what was expected, what was found, and where.
    """
    numbers = _numbers(value, spec, shape)
    if numbers is not None:
        return numbers
    found, flat = _even(value, spec, shape, where)
    final = _fitted(found, shape)
    if final is None:
        raise InputError(f"{where}: expected {expected(spec, shape)}, got {_found(value, found)}")
    return _converted(flat, spec, lambda i: f"{where}{_place(i, found)}").reshape(final)


def _numbers(value: object, spec: TensorSpec, shape: Shape | None) -> NDArray[Any] | None:
    """Return what `tensor_of` does for numbers, in a third of its time; None for all that needs a closer look.

    numpy reads nested lists by itself, but takes true for 1, so the types of the values are looked at first.
    """
    if spec.dtype in NO_NUMBERS or not _holds_numbers(value):
        return None
    try:
        array = np.array(value)
    except (ValueError, OverflowError):
        return None
    fitted = _fitted(array.shape, shape)
    converted = None if fitted is None else _as_dtype(array, spec)
    return None if converted is None or fitted is None else converted.reshape(fitted)


def _as_dtype(array: NDArray[Any], spec: TensorSpec) -> NDArray[Any] | None:
    """Return numbers in the input's dtype; None where they are not finite there, not whole, or out of its range."""
    dtype = tensors.NUMPY[spec.dtype]
    if array.dtype == np.int64 and spec.dtype in _WIDE_FLOATS:
        # Never infinite.
        return array.astype(np.float64).astype(dtype, copy=False)
    if spec.dtype in dtypes.FLOATS and array.dtype in _FROM_JSON:
        with np.errstate(over="ignore"):
            array = array.astype(np.float64, copy=False).astype(dtype, copy=False)
        return array if np.isfinite(array).all() else None
    if array.dtype != np.int64:
        return None
    limits = _LIMITS[spec.dtype]
    is_within = array.size == 0 or (limits[0] <= int(array.min()) and int(array.max()) <= limits[1])
    return array.astype(dtype, copy=False) if is_within else None


def _holds_numbers(value: object) -> bool:
    """Tell whether nested lists hold numbers alone, as far down as they go."""
    if type(value) is not list:
        return type(value) in NUMBERS
    kinds = set(map(type, value))
    return kinds <= NUMBERS or (kinds == {list} and all(map(_holds_numbers, value)))


def _even(value: object, spec: TensorSpec, shape: Shape | None, where: str) -> tuple[tuple[int, ...], list[Any]]:
    """Return shape and scalars of nested lists that are all alike, level by level; name the first that is not."""
    sizes: list[int] = []
    level: list[Any] = [value]
    while True:
        are_lists = set(map(type, level)) if level else set()
        if list not in are_lists:
            return tuple(sizes), level
        lengths = set(map(len, level)) if are_lists == {list} else set()
        if len(lengths) != 1:
            _raise_uneven(level, tuple(sizes), expected(spec, shape), where)
        sizes += lengths
        level = level[0] if len(level) == 1 else list(itertools.chain.from_iterable(level))


def _raise_uneven(level: list[Any], sizes: tuple[int, ...], wanted: str, where: str) -> None:
    """Raise an InputError that names the first element that is not like the first one."""
    first = level[0]
    for i, item in enumerate(level):
        is_alike = len(item) == len(first) if isinstance(item, list) and isinstance(first, list) else False
        if not is_alike and not (not isinstance(item, list) and not isinstance(first, list)):
            raise InputError(
                f"{where}{_place(i, sizes)}: expected {wanted}, got {kind_of(item)} beside {kind_of(first)}"
            )


def _fitted(found: tuple[int, ...], shape: Shape | None) -> tuple[int, ...] | None:
    """Return the shape a value of shape `found` is given, None where it does not fit."""
    if shape is None:
        return found
    if len(found) == len(shape) and all(size is None or size == has for size, has in zip(shape, found, strict=True)):
        return found
    fixed = tuple(size for size in shape if size is not None)
    # Flat in row order; one value alone where there is just one.
    if len(fixed) == len(shape) and len(found) <= 1 and math.prod(found) == math.prod(fixed):
        return fixed
    return None


def _place(index: int, shape: tuple[int, ...]) -> str:
    """Return the indices of an element in row order: `[3][1]`."""
    places = []
    for size in reversed(shape):
        index, place = divmod(index, size)
        places.append(f"[{place}]")
    return "".join(reversed(places))


# ---- values to a dtype


def _converted(flat: list[Any], spec: TensorSpec, place: Any) -> NDArray[Any]:
    """Return scalars as an array (value,) of the dtype; `place` names one by its index."""
    if spec.dtype == "string":
        return _strings(flat, spec, place)
    if spec.dtype == "bool":
        _expect_kinds(flat, {bool}, "true or false", place)
        return np.array(flat, np.bool_)
    _expect_kinds(flat, {int, float}, "a number", place)
    return _floats(flat, spec, place) if spec.dtype in dtypes.FLOATS else _integers(flat, spec, place)


def _expect_kinds(flat: list[Any], allowed: set[type], what: str, place: Any) -> None:
    if set(map(type, flat)) <= allowed:
        return
    index = next(i for i, item in enumerate(flat) if type(item) not in allowed)
    raise InputError(f"{place(index)}: expected {what}, got {kind_of(flat[index])}")


def _floats(flat: list[Any], spec: TensorSpec, place: Any) -> NDArray[Any]:
    with np.errstate(over="ignore", invalid="ignore"):
        numbers = np.array(flat, np.float64).astype(tensors.NUMPY[spec.dtype], copy=False)
    finite = np.isfinite(numbers)
    if not finite.all():
        index = int(np.flatnonzero(~finite)[0])
        raise InputError(f"{place(index)}: expected a finite number that fits {spec.dtype}, got {kind_of(flat[index])}")
    return numbers


def _integers(flat: list[Any], spec: TensorSpec, place: Any) -> NDArray[Any]:
    low, high = _LIMITS[spec.dtype]
    if float in set(map(type, flat)):
        flat = [_whole(item, spec, place, i) for i, item in enumerate(flat)]
    if flat and not (low <= min(flat) and max(flat) <= high):
        index = next(i for i, item in enumerate(flat) if not low <= item <= high)
        raise InputError(
            f"{place(index)}: expected a whole number from {low} to {high} ({spec.dtype}), got {flat[index]}"
        )
    return np.array(flat, tensors.NUMPY[spec.dtype])


def _whole(item: float, spec: TensorSpec, place: Any, index: int) -> int:
    """Return a number without a fraction as an integer; beyond 2**53 a double is not known to be what was meant."""
    if isinstance(item, float) and not (item.is_integer() and abs(item) < EXACT_DOUBLE):
        raise InputError(f"{place(index)}: expected a whole number in digits ({spec.dtype}), got {kind_of(item)}")
    return int(item)


def _strings(flat: list[Any], spec: TensorSpec, place: Any) -> NDArray[Any]:
    array = np.empty(len(flat), object)
    for i, item in enumerate(flat):
        array[i] = _bytes(item, spec, place, i)
    return array


def _bytes(item: object, spec: TensorSpec, place: Any, index: int) -> bytes:
    if isinstance(item, str):
        return item.encode()
    if isinstance(item, dict) and set(item) == {"b64"} and isinstance(item["b64"], str):
        try:
            return base64.b64decode("".join(item["b64"].split()), validate=True)
        except (binascii.Error, ValueError):
            raise InputError(f"{place(index)}: expected base64 in 'b64' (RFC 4648, with padding)") from None
    wanted = f'a text or {{"b64": "..."}} ({spec.dtype})'
    raise InputError(f"{place(index)}: expected {wanted}, got {kind_of(item)}")


# ---- words


def expected(spec: TensorSpec, shape: Shape | None) -> str:
    """Say what an input takes: `784 numbers, flat or nested 28x28`."""
    noun = {"string": "text", "bool": "boolean"}.get(spec.dtype, "number")
    nouns = {"text": "texts"}.get(noun, f"{noun}s")
    if shape is None:
        return f"{nouns}, nested as they are"
    if not shape:
        return f"one {noun}"
    if None in shape:
        return f"{nouns} nested " + "x".join("?" if size is None else str(size) for size in shape)
    size = math.prod(size or 0 for size in shape)
    nested = f", flat or nested {'x'.join(map(str, shape))}" if len(shape) > 1 else ""
    return f"{size} {noun if size == 1 else nouns}{nested}"


def _found(value: object, found: tuple[int, ...]) -> str:
    if not isinstance(value, list):
        return kind_of(value)
    return f"{found[0]} values" if len(found) == 1 else f"{'x'.join(map(str, found))} values"


def _listed(named: Mapping[str, TensorSpec]) -> str:
    return ", ".join(repr(name) for name in named)


def kind_of(value: object) -> str:
    """Name a JSON value for a person, shortened to a safe length."""
    names = {dict: "an object", type(None): "null"}
    if isinstance(value, list):
        return f"a list of {len(value)}"
    return names.get(type(value)) or json.dumps(value)[:SHOWN_CHARACTERS]
