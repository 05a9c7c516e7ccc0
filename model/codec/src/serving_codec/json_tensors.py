"""JSON to tensors and back, by TensorFlow Serving's rules (its util/json_tensor.cc)."""

from __future__ import annotations

import base64
import contextlib
import functools
import itertools
import json
import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson

from model_description.protos import serving_pb2
from serving_codec import b64, json_arrays
from serving_codec.status import Code, ServingError, invalid_argument
from serving_codec.tensors import NUMPY_BY_NUMBER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from serving_codec.json_numbers import Numbers

    TensorOf = Callable[[Any, int], NDArray[Any]]

SHOWN_BYTES = 256
ROWS, COLUMN = "instances", "inputs"
KEYS = frozenset({ROWS, COLUMN})
# What a document's values may take once they are Python's, by a count of what separates them: the largest, an empty
# object or list, has 72 bytes.
BYTES_FOR_A_VALUE = 72
MAXIMUM_PARSED_BYTES = 512 << 20
# Integers of so many characters surely fit 64 bits, and of more than so many surely do not.
SAFE_DIGITS, MOST_DIGITS = 18, 20
FLOATS = frozenset({serving_pb2.DT_FLOAT, serving_pb2.DT_DOUBLE})
# What upstream's REST neither reads nor writes, though graphs take it.
HALVES = frozenset({serving_pb2.DT_HALF, serving_pb2.DT_BFLOAT16})
# What numpy makes of JSON's numbers.
NUMBERS = (np.dtype(np.float64), np.dtype(np.int64))
# The integer range a token may have, by dtype; narrower types wrap.
INTEGERS: dict[int, tuple[int, int]] = {
    serving_pb2.DT_INT8: (-(2**31), 2**31 - 1),
    serving_pb2.DT_INT16: (-(2**31), 2**31 - 1),
    serving_pb2.DT_INT32: (-(2**31), 2**31 - 1),
    serving_pb2.DT_UINT8: (-(2**31), 2**31 - 1),
    serving_pb2.DT_INT64: (-(2**63), 2**63 - 1),
    serving_pb2.DT_UINT32: (0, 2**32 - 1),
    serving_pb2.DT_UINT64: (0, 2**64 - 1),
}
# Written at once: numpy and Python hold the interpreter's lock meanwhile, for about 2 ms.
PIECE_ELEMENTS = 1 << 12
WRITABLE = frozenset({*FLOATS, *INTEGERS, serving_pb2.DT_UINT16, serving_pb2.DT_BOOL, serving_pb2.DT_STRING})


@dataclass(frozen=True)
class Output:
    """A tensor of a reply by its alias, with the dtype (its number) of the signature."""

    alias: str
    dtype: int
    value: NDArray[Any]


# ---- reading


def parse(body: bytes) -> Any:
    """Return the first JSON document of a body; later bytes are ignored, the first of equal keys wins.

    NaN and Infinity are numbers. Raise INVALID_ARGUMENT, with the offset, for what is not JSON.
    """
    values = body.count(b",") + body.count(b"[") + body.count(b"{")
    if values * BYTES_FOR_A_VALUE > MAXIMUM_PARSED_BYTES:
        most = MAXIMUM_PARSED_BYTES // BYTES_FOR_A_VALUE
        raise invalid_argument(f"JSON Parse error: expected at most {most} values and lists, got {values}")
    if _is_plain(body):
        # 4 times as fast as what follows, and stricter: what it refuses is looked at again.
        with contextlib.suppress(orjson.JSONDecodeError):
            return orjson.loads(body)
    text = body.decode("utf-8", "surrogateescape").removeprefix("\ufeff")
    start = len(text) - len(text.lstrip(" \t\r\n"))
    if b"Inf" in body or b"-NaN" in body:
        text = _CONSTANTS.sub(_constant, text)
    if start == len(text):
        raise invalid_argument("JSON Parse error: The document is empty")
    half = _lone_surrogate(text) if b"\\u" in body else math.inf
    problem = "Invalid value."
    try:
        document, end = (_CAREFUL_DECODER if _LARGE_NUMBER.search(text) else _DECODER).raw_decode(text, start)
    except json.JSONDecodeError as error:
        end = error.pos
    except (RecursionError, ValueError) as error:
        raise invalid_argument(f"JSON Parse error: {error or problem} at offset: 0") from error
    else:
        if end < half:
            return document
    if half <= end:
        problem, end = "The surrogate pair in string is invalid.", int(half)
    offset = len(text[:end].encode("utf-8", "surrogateescape"))
    raise invalid_argument(f"JSON Parse error: {problem} at offset: {offset}")


def _lone_surrogate(text: str) -> float:
    """Return where half of a pair of UTF-16 surrogates is escaped first; infinity where it nowhere is."""
    return next((found.start() for found in _ESCAPES.finditer(text) if found["half"]), math.inf)


def _is_plain(body: bytes) -> bool:
    """Tell whether a body is one flat object in which no key of ours comes twice."""
    return (
        body.count(b"{") == 1
        and b"\\" not in body
        and all(body.count(key) <= 1 for key in (b'"instances"', b'"inputs"', b'"signature_name"'))
    )


def _constant(found: re.Match[str]) -> str:
    """Write the names of what is no number, outside strings, as Python's parser knows them."""
    return {"Inf": "Infinity", "-NaN": "NaN"}.get(found[0], found[0])


def _float(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError("Number too big to be stored in double.")
    return number


def _int(text: str) -> int | float:
    """Return an integer; beyond 64 bits a number is a double, as upstream's parser has it."""
    if len(text) <= SAFE_DIGITS or (len(text) <= MOST_DIGITS and -(2**63) <= int(text) < 2**64):
        return int(text)
    return _float(text)


def signature_name_of(document: Any) -> str:
    """Return the `signature_name` of a request ("" when there is none)."""
    if not isinstance(document, dict):
        raise invalid_argument(f"JSON Value: {shown(document)} Is not object")
    name = document.get("signature_name", "")
    if not isinstance(name, str):
        raise invalid_argument(
            f"JSON Value: {shown(document)} not formatted correctly. 'signature_name' key must be a string value."
        )
    return name


def may_hold_booleans(body: bytes) -> bool:
    """Tell whether a body has the words; without them numbers are told from the rest by numpy alone."""
    return b"true" in body or b"false" in body


def read_inputs(
    document: dict[str, Any], dtypes: Mapping[str, int], *, may_hold_booleans: bool = True, halves: bool = False
) -> tuple[dict[str, NDArray[Any]], bool]:
    """Return the tensors of a request by alias, and whether it is in row form (`instances`).

    `dtypes` has the number of each of the signature's inputs' dtypes. With `halves`, half and bfloat16 are read as any
    float is; upstream refuses them. Raise ServingError in upstream's words.
    """
    floats = FLOATS | HALVES if halves else FLOATS
    careful = functools.partial(_tensor, floats=floats)
    quick = careful if may_hold_booleans else functools.partial(_numeric_tensor, floats=floats)
    rows, column = "instances" in document, "inputs" in document
    if not rows and not column:
        raise invalid_argument("Missing 'inputs' or 'instances' key")
    if rows and column:
        raise invalid_argument(
            f"JSON Value: {shown(document)} Not formatted correctly expecting only one of 'inputs' or "
            "'instances' keys to exist "
        )
    if rows:
        return _read_rows(document["instances"], dtypes, quick, careful), True
    return _read_columns(document["inputs"], dtypes, quick), False


def read_numbers(
    numbers: Numbers, dtypes: Mapping[str, int], *, halves: bool = False
) -> tuple[dict[str, NDArray[Any]], bool] | None:
    """Return what read_inputs does for a body's numbers; None where it must be asked, or has to say why not."""
    if len(dtypes) != 1:
        return None
    ((alias, dtype),) = dtypes.items()
    array = _as_dtype(numbers.values, dtype, FLOATS | HALVES if halves else FLOATS)
    return None if array is None else ({alias: array}, numbers.key == ROWS)


def _read_rows(
    instances: Any, dtypes: Mapping[str, int], quick: TensorOf, careful: TensorOf
) -> dict[str, NDArray[Any]]:
    if not isinstance(instances, list):
        raise invalid_argument(f"JSON Value: {shown(instances)} Expecting 'instances' to be an list/array")
    if not instances:
        raise invalid_argument(f"JSON Value: {shown(instances)} No values in 'instances' array")
    aliases = sorted(dtypes)
    with_objects = _is_named(instances[0], aliases)
    if len(aliases) > 1 and not with_objects:
        raise invalid_argument(
            "instances is a plain list, but expecting list of objects as multiple input tensors required as per "
            "tensorinfo_map"
        )
    if not with_objects:
        for index, item in enumerate(instances):
            if isinstance(item, dict) and not is_base64(item):
                raise invalid_argument(f"Expecting value/list but got object at item {index} of input list")
        return {aliases[0]: _rows_tensor(instances, dtypes[aliases[0]], "", quick, careful)}
    for index, item in enumerate(instances):
        if not isinstance(item, dict):
            raise invalid_argument(f"Expecting object but got list at item {index} of input list")
        if set(item) != set(aliases):
            raise invalid_argument(
                f"Failed to process element: {index} of 'instances' list. JSON object: {shown(item)} "
                f"keys must be equal to: {','.join(aliases)}"
            )
    return {
        alias: _rows_tensor([item[alias] for item in instances], dtypes[alias], alias, quick, careful)
        for alias in aliases
    }


def _rows_tensor(items: list[Any], dtype: int, alias: str, quick: TensorOf, careful: TensorOf) -> NDArray[Any]:
    """Return items stacked on a new first axis; an error names the item."""
    key = f" key: {alias} " if alias else " "
    shape: tuple[int, ...] | None = None
    try:
        return quick(items, dtype)
    except ServingError:
        # Slow and obvious, to say which item it is.
        for index, item in enumerate(items):
            try:
                found = careful(item, dtype).shape
            except ServingError as error:
                raise invalid_argument(
                    f"Failed to process element: {index}{key}of 'instances' list. Error: {error}"
                ) from error
            if shape is None:
                shape = found
            elif found != shape:
                problem = _shape_problem(shape, found)
                raise invalid_argument(
                    f"Failed to process element: {index}{key}of 'instances' list. Error: INVALID_ARGUMENT: {problem}"
                ) from None
        raise


def _shape_problem(wanted: tuple[int, ...], found: tuple[int, ...]) -> str:
    if math.prod(wanted) != math.prod(found):
        return f"Expecting tensor size: {math.prod(wanted)} but got: {math.prod(found)}"
    listed = ("[" + ",".join(map(str, shape)) + "]" for shape in (wanted, found))
    return "Expecting shape {} but got: {}".format(*listed)


def _read_columns(inputs: Any, dtypes: Mapping[str, int], tensor_of: TensorOf) -> dict[str, NDArray[Any]]:
    aliases = sorted(dtypes)
    if isinstance(inputs, dict) and not (len(aliases) == 1 and is_base64(inputs)):
        for alias in aliases:
            if alias not in inputs:
                raise invalid_argument(f"Missing named input: {alias} in 'inputs' object.")
        return {alias: tensor_of(inputs[alias], dtypes[alias]) for alias in aliases}
    if len(aliases) != 1:
        raise invalid_argument(
            "inputs is a plain value/list, but expecting an object as multiple input tensors required as per "
            "tensorinfo_map"
        )
    return {aliases[0]: tensor_of(inputs, dtypes[aliases[0]])}


def _numeric_tensor(value: Any, dtype: int, floats: frozenset[int]) -> NDArray[Any]:
    """Return what _tensor does, in a third of its time for numbers; there must be no booleans, which numpy counts."""
    try:
        array = np.array(value)
    except ValueError:
        return _tensor(value, dtype, floats)
    found = _as_dtype(array, dtype, floats)
    return _tensor(value, dtype, floats) if found is None else found


def _as_dtype(array: NDArray[Any], dtype: int, floats: frozenset[int]) -> NDArray[Any] | None:
    """Return numbers as a dtype; None where they are none, or not in its range."""
    if array.dtype in NUMBERS and dtype in floats:
        # By way of a double, as upstream's parser has it.
        doubles = array.astype(np.float64, copy=False)
        if array.dtype == np.int64 and dtype in FLOATS:
            # None is too large; to tell numpy not to warn takes longer than the rest.
            return doubles.astype(NUMPY_BY_NUMBER[dtype], copy=False)
        with np.errstate(over="ignore"):
            return doubles.astype(NUMPY_BY_NUMBER[dtype], copy=False)
    if array.dtype == np.int64 and dtype in INTEGERS:
        low, high = INTEGERS[dtype]
        if low <= array.min(initial=high) and array.max(initial=low) <= high:
            return array.astype(NUMPY_BY_NUMBER[dtype], copy=False)
    return None


def _tensor(value: Any, dtype: int, floats: frozenset[int]) -> NDArray[Any]:
    """Return nested lists of values as a tensor of a dtype (types.proto); raise INVALID_ARGUMENT otherwise."""
    shape, flat = _even(value) or _uneven(value)
    return _convert(flat, dtype, floats).reshape(shape)


def _even(value: Any) -> tuple[tuple[int, ...], list[Any]] | None:
    """Return shape and scalars of lists that are all alike, level by level; None where they are not."""
    shape: list[int] = []
    level = [value]
    while True:
        kinds = set(map(type, level))
        if list not in kinds:
            return tuple(shape), level
        sizes = set(map(len, level)) if len(kinds) == 1 else set()
        if len(sizes) != 1 or sizes == {0}:
            return None
        shape += sizes
        level = level[0] if len(level) == 1 else list(itertools.chain.from_iterable(level))


def _uneven(value: Any) -> tuple[tuple[int, ...], list[Any]]:
    """Return shape and scalars as the first of each level has them; raise INVALID_ARGUMENT for what is otherwise."""
    shape = _shape(value)
    flat: list[Any] = []
    _flatten(value, shape, 0, flat)
    return shape, flat


def _shape(value: Any) -> tuple[int, ...]:
    sizes = []
    while isinstance(value, list):
        sizes.append(len(value))
        if not value:
            break
        value = value[0]
    return tuple(sizes)


def _flatten(value: Any, shape: tuple[int, ...], level: int, flat: list[Any]) -> None:
    if not isinstance(value, list):
        if level != len(shape):
            raise invalid_argument(
                f"JSON Value: {shown(value)} found at incorrect level: {level} in the JSON DOM. "
                f"Expected at level: {len(shape)}"
            )
        flat.append(value)
        return
    if level >= len(shape):
        raise invalid_argument(f"Encountered list at unexpected level: {level} expected < {len(shape)}")
    if len(value) != shape[level]:
        raise invalid_argument(
            f"Encountered list at unexpected size: {len(value)} at level: {level} expected size: {shape[level]}"
        )
    for item in value:
        _flatten(item, shape, level + 1, flat)


def _convert(flat: list[Any], dtype: int, floats: frozenset[int]) -> NDArray[Any]:
    kinds = set(map(type, flat))
    if dtype in floats:
        _refuse_others(flat, kinds, {int, float}, dtype)
        with np.errstate(over="ignore"):
            return np.fromiter(flat, np.float64, len(flat)).astype(NUMPY_BY_NUMBER[dtype])
    if dtype in INTEGERS:
        _refuse_others(flat, kinds, {int}, dtype)
        low, high = INTEGERS[dtype]
        if flat and not low <= min(flat) <= max(flat) <= high:
            raise _not_of_type(next(value for value in flat if not low <= value <= high), dtype)
        wide = np.uint64 if low == 0 else np.int64
        return np.fromiter(flat, wide, len(flat)).astype(NUMPY_BY_NUMBER[dtype])
    if dtype == serving_pb2.DT_BOOL:
        _refuse_others(flat, kinds, {bool}, dtype)
        return np.array(flat, np.bool_)
    if dtype == serving_pb2.DT_STRING:
        array = np.empty(len(flat), object)
        array[:] = [_string(value) for value in flat]
        return array
    raise ServingError(Code.UNIMPLEMENTED, f"Conversion of JSON Value: {shown(flat[:1])} to type: {_type_name(dtype)}")


def _refuse_others(flat: list[Any], kinds: set[type], allowed: set[type], dtype: int) -> None:
    if kinds <= allowed:
        return
    raise _not_of_type(next(value for value in flat if type(value) not in allowed), dtype)


def _not_of_type(value: Any, dtype: int) -> ServingError:
    return invalid_argument(
        f"JSON Value: {shown(value)} Type: {json_type(value)} is not of expected type: {_type_name(dtype)}"
    )


def _string(value: Any) -> bytes:
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape")
    if isinstance(value, dict):
        if not is_base64(value):
            raise invalid_argument(f"JSON Value: {shown(value)} not formatted correctly for base64 data")
        return b64.decode(value["b64"])
    raise _not_of_type(value, serving_pb2.DT_STRING)


def is_base64(value: Any) -> bool:
    """Tell whether a JSON value is an object of base64 data alone."""
    return isinstance(value, dict) and set(value) == {"b64"} and isinstance(value["b64"], str)


def _is_named(value: Any, aliases: Sequence[str]) -> bool:
    """Tell an object of named inputs from one that is base64 data of the only input."""
    return isinstance(value, dict) and not (len(aliases) == 1 and is_base64(value))


def _first_wins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        found.setdefault(key, value)
    return found


_DECODER = json.JSONDecoder(object_pairs_hook=_first_wins)
_CAREFUL_DECODER = json.JSONDecoder(object_pairs_hook=_first_wins, parse_float=_float, parse_int=_int)
# What may be beyond a double or 64 bits; looked for because the careful decoder takes twice as long.
_LARGE_NUMBER = re.compile(r"[eE]\+?[0-9]{3}|[0-9]{19}")
# A string, which is left alone, or a name. One that is not terminated goes to the end, and nothing is looked at twice:
# a body of escaped quotes would take quadratic time otherwise.
_CONSTANTS = re.compile(r'"(?:[^"\\]++|\\.)*+"?|\bInf\b|-NaN\b', re.DOTALL)
# An escape: a pair of surrogates, half of one, or any other.
_ESCAPES = re.compile(
    r"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(?P<half>u[dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)


def shown(value: Any) -> str:
    """Return a JSON value for an error message, cut to a safe length."""
    text = json.dumps(value, default=str)
    return text if len(text) <= SHOWN_BYTES else text[:SHOWN_BYTES] + "..."


def json_type(value: Any) -> str:
    """Return the name upstream's parser has for the kind of a JSON value."""
    if value is None or isinstance(value, bool):
        return {None: "Null", True: "True", False: "False"}[value]
    names: dict[type, str] = {dict: "Object", list: "Array", str: "String"}
    return names.get(type(value), "Number")


def _type_name(dtype: int) -> str:
    """Return TensorFlow's own word for a dtype (DataTypeString)."""
    known = serving_pb2.DataType.DESCRIPTOR.values_by_number.get(dtype)
    return known.name.removeprefix("DT_").lower() if known else f"unknown dtype {dtype}"


# ---- writing

ROWS_HEAD, ROWS_TAIL = '{\n    "predictions": ', "\n    ]\n}"
COLUMN_HEAD, COLUMN_TAIL = '{\n    "outputs": ', "\n}"
COLUMNS_HEAD, COLUMNS_BETWEEN, COLUMNS_TAIL = '{\n    "outputs": {\n        ', ",\n        ", "\n    }\n}"


def write_rows(outputs: Sequence[Output], *, halves: bool = False) -> str:
    """Return `{"predictions": [...]}`: one entry for each row, a bare value for a single output.

    With `halves`, half and bfloat16 are written as any float is; upstream refuses them.
    """
    check_rows(outputs)
    check_writable(outputs, halves=halves)
    # Of one output alone, the same words as of the whole.
    written = whole_text(outputs[0])[1:-1] if len(outputs) == 1 else rows_text(outputs)
    return f"{ROWS_HEAD}[{written}{ROWS_TAIL}"


def write_columns(outputs: Sequence[Output], *, halves: bool = False) -> str:
    """Return `{"outputs": ...}`: a bare value for a single output, an object by alias for several; see write_rows."""
    check_writable(outputs, halves=halves)
    if len(outputs) == 1:
        return COLUMN_HEAD + whole_text(outputs[0]) + COLUMN_TAIL
    named = [f"{json.dumps(output.alias)}: {whole_text(output)}" for output in outputs]
    return COLUMNS_HEAD + COLUMNS_BETWEEN.join(named) + COLUMNS_TAIL


def check_rows(outputs: Sequence[Output]) -> None:
    """Raise INVALID_ARGUMENT, in upstream's words, for outputs that have not one number of rows."""
    sizes = []
    for output in outputs:
        if np.ndim(output.value) == 0:
            raise invalid_argument(f"Tensor name: {output.alias} has no shape information ")
        sizes.append(len(output.value))
        if sizes[-1] != sizes[0]:
            raise invalid_argument(
                f"Tensor name: {output.alias} has inconsistent batch size: {sizes[-1]} expecting: {sizes[0]}"
            )


def check_writable(outputs: Sequence[Output], *, halves: bool) -> None:
    """Raise INVALID_ARGUMENT, in upstream's words, for dtypes that are not written; see write_rows."""
    for output in outputs:
        if output.dtype not in (WRITABLE | HALVES if halves else WRITABLE):
            raise invalid_argument(f"Failed to write JSON value for tensor type: {_type_name(output.dtype)}")


def rows_text(outputs: Sequence[Output]) -> str:
    """Return the rows of several outputs: objects by alias."""
    keys = [json.dumps(output.alias) for output in outputs]
    cells = [_rows(output, np.asarray(output.value)) for output in outputs]
    return ", ".join(
        "{" + ", ".join(f"{key}: {cell}" for key, cell in zip(keys, row, strict=True)) + "}"
        for row in zip(*cells, strict=True)
    )


def whole_text(output: Output) -> str:
    """Return all of an output as lists in lists."""
    return _text(output, np.asarray(output.value))


def _rows(output: Output, value: NDArray[Any]) -> Iterator[str]:
    """Yield the text of each entry of axis 0."""
    size = math.prod(value.shape[1:])
    if not 0 < size <= PIECE_ELEMENTS:
        yield from (_text(output, np.asarray(row)) for row in value)
        return
    step = PIECE_ELEMENTS // size
    for start in range(0, len(value), step):
        texts = _piece_texts(output, value[start : start + step].ravel())
        yield from (_nested(texts[i : i + size], value.shape[1:]) for i in range(0, len(texts), size))


def _text(output: Output, value: NDArray[Any]) -> str:
    """Return a tensor as lists in lists; no more of its elements are texts of their own at once than of a piece."""
    if 0 in value.shape:
        return json_arrays.empty(value.shape, ", ")
    if value.size <= PIECE_ELEMENTS:
        return _nested(_piece_texts(output, value.ravel()), value.shape)
    size = value.size // len(value)
    if size > PIECE_ELEMENTS:
        parts = [_text(output, row) for row in value]
    else:
        step = PIECE_ELEMENTS // size
        # Without the brackets of the rows themselves.
        parts = [_text(output, value[start : start + step])[1:-1] for start in range(0, len(value), step)]
    return "[" + ", ".join(parts) + "]"


def _nested(texts: list[str], shape: tuple[int, ...]) -> str:
    """Return texts in row order as lists in lists."""
    for size in reversed(shape):
        texts = ["[" + ", ".join(texts[i : i + size]) + "]" for i in range(0, len(texts), size)]
    return texts[0]


def _piece_texts(output: Output, flat: NDArray[Any]) -> list[str]:
    if output.dtype == serving_pb2.DT_STRING:
        return [_string_text(value, as_base64=output.alias.endswith("_bytes")) for value in flat.tolist()]
    if output.dtype == serving_pb2.DT_BOOL:
        return ["true" if value else "false" for value in flat.tolist()]
    if output.dtype in FLOATS | HALVES:
        return float_texts(flat)
    return list(map(str, flat.tolist()))


def float_texts(values: NDArray[Any]) -> list[str]:
    """Return floats (value,) with 6 significant digits where that is the same number in their own type.

    Otherwise with 17 digits for float64 and 9 for the shorter ones, which always are.
    """
    numbers = values.astype(np.float64, copy=False).tolist()
    texts = list(map("%.6g".__mod__, numbers))
    is_same = np.fromiter(map(float, texts), np.float64, len(texts)).astype(values.dtype, copy=False) == values
    longer = "%.17g" if values.dtype == np.float64 else "%.9g"
    for index in (~is_same).nonzero()[0].tolist():
        texts[index] = longer % numbers[index]
    return [text if "." in text or "e" in text else _without_point(text) for text in texts]


def _without_point(text: str) -> str:
    names = {"nan": "NaN", "-nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}
    return names.get(text) or f"{text}.0"


def _string_text(value: Any, *, as_base64: bool) -> str:
    raw = value if isinstance(value, bytes) else str(value).encode()
    if as_base64:
        return '{"b64": "' + base64.b64encode(raw).decode() + '"}'
    return json.dumps(raw.decode("utf-8", "surrogateescape"), ensure_ascii=False)
