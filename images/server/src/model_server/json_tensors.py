"""JSON to tensors and back, by TensorFlow Serving's rules (its util/json_tensor.cc)."""

from __future__ import annotations

import base64
import binascii
import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import types_pb2

from model_server.status import Code, ServingError, invalid_argument

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from model_server.predict import Output

SHOWN_BYTES = 256
FLOATS = (types_pb2.DT_FLOAT, types_pb2.DT_DOUBLE)
# The integer range a token may have, by dtype; narrower types wrap.
INTEGERS: dict[int, tuple[int, int]] = {
    types_pb2.DT_INT8: (-(2**31), 2**31 - 1),
    types_pb2.DT_INT16: (-(2**31), 2**31 - 1),
    types_pb2.DT_INT32: (-(2**31), 2**31 - 1),
    types_pb2.DT_UINT8: (-(2**31), 2**31 - 1),
    types_pb2.DT_INT64: (-(2**63), 2**63 - 1),
    types_pb2.DT_UINT32: (0, 2**32 - 1),
    types_pb2.DT_UINT64: (0, 2**64 - 1),
}
WRITABLE = (*FLOATS, *INTEGERS, types_pb2.DT_UINT16, types_pb2.DT_BOOL, types_pb2.DT_STRING)


# ---- reading


def parse(body: bytes) -> Any:
    """Return the first JSON document of a body; later bytes are ignored, the first of equal keys wins."""
    text = body.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape").lstrip(" \t\r\n")
    if not text:
        raise invalid_argument("JSON Parse error: The document is empty")
    try:
        return _DECODER.raw_decode(text)[0]
    except json.JSONDecodeError as error:
        raise invalid_argument(f"JSON Parse error: Invalid value. at offset: {error.pos}") from error
    except (RecursionError, ValueError) as error:
        raise invalid_argument("JSON Parse error: Invalid value. at offset: 0") from error


def signature_name_of(document: Any) -> str:
    """Return the `signature_name` of a request ("" when there is none)."""
    if not isinstance(document, dict):
        raise invalid_argument(f"JSON Value: {_shown(document)} Is not object")
    name = document.get("signature_name", "")
    if not isinstance(name, str):
        raise invalid_argument(
            f"JSON Value: {_shown(document)} not formatted correctly. 'signature_name' key must be a string value."
        )
    return name


def read_inputs(document: dict[str, Any], signature: Any) -> tuple[dict[str, NDArray[Any]], bool]:
    """Return the tensors of a request by alias, and whether it is in row form (`instances`)."""
    rows, column = "instances" in document, "inputs" in document
    if not rows and not column:
        raise invalid_argument("Missing 'inputs' or 'instances' key")
    if rows and column:
        raise invalid_argument(
            f"JSON Value: {_shown(document)} Not formatted correctly expecting only one of 'inputs' or "
            "'instances' keys to exist "
        )
    if rows:
        return _read_rows(document["instances"], signature), True
    return _read_columns(document["inputs"], signature), False


def _read_rows(instances: Any, signature: Any) -> dict[str, NDArray[Any]]:
    if not isinstance(instances, list):
        raise invalid_argument(f"JSON Value: {_shown(instances)} Expecting 'instances' to be an list/array")
    if not instances:
        raise invalid_argument(f"JSON Value: {_shown(instances)} No values in 'instances' array")
    aliases = sorted(signature.inputs)
    with_objects = _is_named(instances[0], aliases)
    if len(aliases) > 1 and not with_objects:
        raise invalid_argument(
            "instances is a plain list, but expecting list of objects as multiple input tensors required as per "
            "tensorinfo_map"
        )
    if not with_objects:
        for index, item in enumerate(instances):
            if isinstance(item, dict) and not _is_base64(item):
                raise invalid_argument(f"Expecting value/list but got object at item {index} of input list")
        return {aliases[0]: _rows_tensor(instances, signature.inputs[aliases[0]].dtype, "")}
    for index, item in enumerate(instances):
        if not isinstance(item, dict):
            raise invalid_argument(f"Expecting object but got list at item {index} of input list")
        if set(item) != set(aliases):
            raise invalid_argument(
                f"Failed to process element: {index} of 'instances' list. JSON object: {_shown(item)} "
                f"keys must be equal to: {','.join(aliases)}"
            )
    return {
        alias: _rows_tensor([item[alias] for item in instances], signature.inputs[alias].dtype, alias)
        for alias in aliases
    }


def _rows_tensor(items: list[Any], dtype: int, alias: str) -> NDArray[Any]:
    """Return items stacked on a new first axis; an error names the item."""
    key = f" key: {alias} " if alias else " "
    shape: tuple[int, ...] | None = None
    try:
        return _tensor(items, dtype)
    except ServingError:
        # Slow and obvious, to say which item it is.
        for index, item in enumerate(items):
            try:
                found = _tensor(item, dtype).shape
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


def _read_columns(inputs: Any, signature: Any) -> dict[str, NDArray[Any]]:
    aliases = sorted(signature.inputs)
    if isinstance(inputs, dict) and not (len(aliases) == 1 and _is_base64(inputs)):
        for alias in aliases:
            if alias not in inputs:
                raise invalid_argument(f"Missing named input: {alias} in 'inputs' object.")
        return {alias: _tensor(inputs[alias], signature.inputs[alias].dtype) for alias in aliases}
    if len(aliases) != 1:
        raise invalid_argument(
            "inputs is a plain value/list, but expecting an object as multiple input tensors required as per "
            "tensorinfo_map"
        )
    return {aliases[0]: _tensor(inputs, signature.inputs[aliases[0]].dtype)}


def _tensor(value: Any, dtype: int) -> NDArray[Any]:
    """Return nested lists of values as a tensor of a dtype (types.proto); raise INVALID_ARGUMENT otherwise."""
    shape = _shape(value, dtype)
    flat: list[Any] = []
    _flatten(value, shape, 0, flat)
    return _convert(flat, dtype).reshape(shape)


def _shape(value: Any, dtype: int) -> tuple[int, ...]:
    sizes = []
    while isinstance(value, list):
        sizes.append(len(value))
        if not value:
            break
        value = value[0]
    del dtype
    return tuple(sizes)


def _flatten(value: Any, shape: tuple[int, ...], level: int, flat: list[Any]) -> None:
    if not isinstance(value, list):
        if level != len(shape):
            raise invalid_argument(
                f"JSON Value: {_shown(value)} found at incorrect level: {level} in the JSON DOM. "
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
    if level == len(shape) - 1 and list not in set(map(type, value)):
        flat.extend(value)
        return
    for item in value:
        _flatten(item, shape, level + 1, flat)


def _convert(flat: list[Any], dtype: int) -> NDArray[Any]:
    kinds = set(map(type, flat))
    if dtype in FLOATS:
        _refuse_others(flat, kinds, {int, float}, dtype)
        with np.errstate(over="ignore"):
            return np.array(list(map(float, flat)) if int in kinds else flat, np.float64).astype(_numpy(dtype))
    if dtype in INTEGERS:
        _refuse_others(flat, kinds, {int}, dtype)
        low, high = INTEGERS[dtype]
        for value in flat:
            if not low <= value <= high:
                raise _not_of_type(value, dtype)
        wide = np.uint64 if low == 0 else np.int64
        return np.array(flat, wide).astype(_numpy(dtype))
    if dtype == types_pb2.DT_BOOL:
        _refuse_others(flat, kinds, {bool}, dtype)
        return np.array(flat, np.bool_)
    if dtype == types_pb2.DT_STRING:
        array = np.empty(len(flat), object)
        array[:] = [_string(value) for value in flat]
        return array
    raise ServingError(Code.UNIMPLEMENTED, f"Conversion of JSON Value: {_shown(flat[:1])} to type: {_type_name(dtype)}")


def _refuse_others(flat: list[Any], kinds: set[type], allowed: set[type], dtype: int) -> None:
    if kinds <= allowed:
        return
    raise _not_of_type(next(value for value in flat if type(value) not in allowed), dtype)


def _not_of_type(value: Any, dtype: int) -> ServingError:
    return invalid_argument(
        f"JSON Value: {_shown(value)} Type: {_json_type(value)} is not of expected type: {_type_name(dtype)}"
    )


def _string(value: Any) -> bytes:
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape")
    if isinstance(value, dict):
        if not _is_base64(value):
            raise invalid_argument(f"JSON Value: {_shown(value)} not formatted correctly for base64 data")
        try:
            return base64.b64decode(value["b64"], validate=True)
        except (binascii.Error, ValueError) as error:
            raise invalid_argument("Unable to base64 decode") from error
    raise _not_of_type(value, types_pb2.DT_STRING)


def _is_base64(value: Any) -> bool:
    return isinstance(value, dict) and set(value) == {"b64"} and isinstance(value["b64"], str)


def _is_named(value: Any, aliases: Sequence[str]) -> bool:
    """Tell an object of named inputs from one that is base64 data of the only input."""
    return isinstance(value, dict) and not (len(aliases) == 1 and _is_base64(value))


def _first_wins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        found.setdefault(key, value)
    return found


_DECODER = json.JSONDecoder(object_pairs_hook=_first_wins, strict=False)


def _shown(value: Any) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= SHOWN_BYTES else text[:SHOWN_BYTES] + "..."


def _json_type(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "Null", True: "True", False: "False"}[value]
    names: dict[type, str] = {dict: "Object", list: "Array", str: "String"}
    return names.get(type(value), "Number")


def _type_name(dtype: int) -> str:
    return str(tf.dtypes.as_dtype(dtype).name).replace("float32", "float").replace("float64", "double")


def _numpy(dtype: int) -> Any:
    return tf.dtypes.as_dtype(dtype).as_numpy_dtype


# ---- writing


def write_rows(outputs: Sequence[Output]) -> str:
    """Return `{"predictions": [...]}`: one entry for each row, a bare value for a single output."""
    sizes = []
    for output in outputs:
        if np.ndim(output.value) == 0:
            raise invalid_argument(f"Tensor name: {output.alias} has no shape information ")
        sizes.append(len(output.value))
        if sizes[-1] != sizes[0]:
            raise invalid_argument(
                f"Tensor name: {output.alias} has inconsistent batch size: {sizes[-1]} expecting: {sizes[0]}"
            )
    if len(outputs) == 1:
        rows = [_text(row, outputs[0]) for row in outputs[0].value]
    else:
        rows = [
            "{" + ", ".join(f"{json.dumps(output.alias)}: {_text(output.value[i], output)}" for output in outputs) + "}"
            for i in range(sizes[0])
        ]
    return '{\n    "predictions": [' + ", ".join(rows) + "\n    ]\n}"


def write_columns(outputs: Sequence[Output]) -> str:
    """Return `{"outputs": ...}`: a bare value for a single output, an object by alias for several."""
    if len(outputs) == 1:
        return '{\n    "outputs": ' + _text(outputs[0].value, outputs[0]) + "\n}"
    named = ",\n        ".join(f"{json.dumps(output.alias)}: {_text(output.value, output)}" for output in outputs)
    return '{\n    "outputs": {\n        ' + named + "\n    }\n}"


def _text(value: Any, output: Output) -> str:
    if output.dtype not in WRITABLE:
        raise invalid_argument(f"Failed to write JSON value for tensor type: {_type_name(output.dtype)}")
    if np.ndim(value) > 0:
        return "[" + ", ".join(_text(item, output) for item in value) + "]"
    if output.dtype == types_pb2.DT_STRING:
        return _string_text(value, as_base64=output.alias.endswith("_bytes"))
    if output.dtype == types_pb2.DT_BOOL:
        return "true" if value else "false"
    if output.dtype in FLOATS:
        return float_text(value, 9 if output.dtype == types_pb2.DT_FLOAT else 17)
    return str(int(value))


def float_text(value: Any, digits: int) -> str:
    """Return a float with 6 significant digits where that is the same number in its own type, else with `digits`."""
    number = float(value)
    if math.isnan(number):
        return "NaN"
    if math.isinf(number):
        return "Infinity" if number > 0 else "-Infinity"
    text = f"{number:.6g}"
    if type(value)(text) != value:
        text = f"{number:.{digits}g}"
    return text if "." in text or "e" in text else f"{text}.0"


def _string_text(value: Any, *, as_base64: bool) -> str:
    raw = value if isinstance(value, bytes) else str(value).encode()
    if as_base64:
        return '{"b64": "' + base64.b64encode(raw).decode() + '"}'
    return json.dumps(raw.decode("utf-8", "surrogateescape"), ensure_ascii=False)
