"""Tensors as the Open Inference Protocol V2 writes them: JSON, and the binary tensor data extension."""

from __future__ import annotations

import math
import struct
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from model_api import inputs
from model_api.errors import InputError, ModelError
from serving_codec import json_arrays, tensors

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from model_description.signature import Signature, TensorSpec

# The protocol's names (its "Tensor Data Types"); BF16 is the binary extension's.
DATATYPES = {
    "bool": "BOOL",
    "uint8": "UINT8",
    "uint16": "UINT16",
    "uint32": "UINT32",
    "uint64": "UINT64",
    "int8": "INT8",
    "int16": "INT16",
    "int32": "INT32",
    "int64": "INT64",
    "float16": "FP16",
    "bfloat16": "BF16",
    "float32": "FP32",
    "float64": "FP64",
    "string": "BYTES",
}
# What a gRPC message can carry at most; a shape beyond it is refused before anything is made of it.
MAXIMUM_ELEMENTS = 2**31 - 1
# numpy's own limit is 64.
MAXIMUM_AXES = 32
LENGTH = struct.Struct("<I")
SHOWN_CHARACTERS = 60


@dataclass(frozen=True)
class Output:
    """A tensor of a response: what is said of it in JSON, and its bytes where it travels in binary."""

    entry: dict[str, Any]
    content: bytes | None = None


def datatype_of(spec: TensorSpec) -> str:
    """Return the protocol's name of a tensor's dtype; TensorFlow's own where the protocol has none."""
    return DATATYPES.get(spec.dtype, spec.dtype)


def shape_of(spec: TensorSpec) -> list[int]:
    """Return a tensor's shape with -1 for an open axis; one of unknown rank is [-1], which is all that can be said."""
    return [-1] if spec.shape is None else [-1 if size is None else size for size in spec.shape]


# ---- requests


def read_inputs(given: object, signature: Signature, blob: memoryview) -> dict[str, NDArray[Any]]:
    """Return the tensors of a request's `inputs` by name; `blob` holds those in binary, one after the other.

    Memory is bounded by what was sent: a shape is compared with its data before anything is made of it.
    Raise InputError that says what was expected, what was found, and where.
    """
    if not isinstance(given, list) or not given:
        raise InputError(f"inputs: expected a non-empty list of tensors, got {inputs.kind_of(given)}")
    found: dict[str, NDArray[Any]] = {}
    for index, entry in enumerate(given):
        where = f"inputs[{index}]"
        spec = _spec_of(entry, signature, where)
        if spec.name in found:
            raise InputError(f"{where}: expected each input once, got {spec.name!r} again")
        found[spec.name], blob = _tensor(entry, spec, blob, where)
    if len(blob):
        raise InputError(f"expected the body to end with the last binary tensor, got {len(blob)} more bytes")
    missing = set(signature.inputs) - set(found) - signature.optional
    if missing:
        raise InputError(f"inputs: expected {_listed(signature.inputs.values())}; {min(missing)!r} is missing")
    return found


def _spec_of(entry: object, signature: Signature, where: str) -> TensorSpec:
    """Return the input an entry is for; raise InputError for one that the model does not have, or has otherwise."""
    if not isinstance(entry, dict):
        raise InputError(
            f"{where}: expected an object with name, shape, datatype and data, got {inputs.kind_of(entry)}"
        )
    name = entry.get("name")
    if not isinstance(name, str) or name not in signature.inputs:
        listed = _listed(signature.inputs.values())
        raise InputError(f"{where}.name: expected one of {listed}, got {inputs.kind_of(name)}")
    spec = signature.inputs[name]
    if entry.get("datatype") != datatype_of(spec):
        found = inputs.kind_of(entry.get("datatype"))
        raise InputError(f"{where}.datatype: expected {datatype_of(spec)} for {name!r}, got {found}")
    if spec.dtype not in DATATYPES:
        raise ModelError(f"the input {name!r} is {spec.dtype}, which cannot be sent")
    return spec


def _tensor(
    entry: Mapping[str, Any], spec: TensorSpec, blob: memoryview, where: str
) -> tuple[NDArray[Any], memoryview]:
    """Return the tensor of an entry, and what is left of the binary data behind it."""
    shape = _shape(entry.get("shape"), spec, f"{where}.shape")
    size = parameters_of(entry, where).get("binary_data_size")
    if size is None:
        if "data" not in entry:
            raise InputError(f"{where}: expected 'data', or the parameter binary_data_size for binary data")
        return inputs.tensor_of(entry["data"], spec, shape, f"{where}.data"), blob
    if not is_whole(size) or size < 0 or "data" in entry:
        found = "'data' beside it" if "data" in entry else inputs.kind_of(size)
        raise InputError(f"{where}.parameters.binary_data_size: expected a number of bytes and no 'data', got {found}")
    if size > len(blob):
        raise InputError(f"{where}: expected {size} bytes of binary data behind the JSON, got {len(blob)}")
    return _from_binary(blob[:size], spec, shape, where), blob[size:]


def _shape(given: object, spec: TensorSpec, where: str) -> tuple[int, ...]:
    expected = "whole numbers" if spec.shape is None else str(shape_of(spec))
    if not isinstance(given, list) or not all(is_whole(size) and size >= 0 for size in given):
        raise InputError(f"{where}: expected {expected} with every size given, got {_shown(given)}")
    shape = tuple(given)
    is_fitting = spec.shape is None or (
        len(shape) == len(spec.shape) and all(size in (None, has) for size, has in zip(spec.shape, shape, strict=True))
    )
    # Without the zeros: numpy counts the elements of an axis beside an empty one too.
    if not is_fitting or len(shape) > MAXIMUM_AXES or math.prod(filter(None, shape)) > MAXIMUM_ELEMENTS:
        raise InputError(f"{where}: expected {expected} for {spec.name!r}, got {_shown(given)}")
    return shape


def _from_binary(content: memoryview, spec: TensorSpec, shape: tuple[int, ...], where: str) -> NDArray[Any]:
    """Return little-endian data in row order as a tensor; raise InputError unless it has the shape's size."""
    count = math.prod(shape)
    if spec.dtype == "string":
        return _texts_from_binary(content, count, where).reshape(shape)
    dtype = np.dtype(tensors.NUMPY[spec.dtype])
    if len(content) != count * dtype.itemsize:
        raise InputError(
            f"{where}: expected {count * dtype.itemsize} bytes of {datatype_of(spec)} for the shape {list(shape)}, "
            f"got {len(content)}"
        )
    if spec.dtype == "bool":
        return np.not_equal(np.frombuffer(content, np.uint8), 0, dtype=np.bool_).reshape(shape)
    return _swapped(np.frombuffer(content, dtype)).reshape(shape)


def _texts_from_binary(content: memoryview, count: int, where: str) -> NDArray[Any]:
    """Return BYTES: each element's length in four bytes, and so many bytes."""
    expected = f"{where}: expected {count} elements, each its length in 4 bytes and its bytes"
    if count * LENGTH.size > len(content):
        raise InputError(f"{expected}, got {len(content)} bytes")
    array = np.empty(count, object)
    start = 0
    for index in range(count):
        end = start + LENGTH.size
        if end > len(content):
            raise InputError(f"{expected}, got {index}")
        (length,) = LENGTH.unpack_from(content, start)
        start = end + length
        if start > len(content):
            raise InputError(f"{expected}; element {index} says {length} bytes and {len(content) - end} are left")
        array[index] = bytes(content[end:start])
    if start != len(content):
        raise InputError(f"{expected}, got {len(content) - start} bytes behind the last")
    return array


# ---- responses


def write_output(name: str, tensor: NDArray[Any], *, is_binary: bool) -> Output:
    """Return a tensor of a response.

    In JSON, data is flat in row order; NaN and infinity, which JSON has no words for, are null, and bytes that are no
    text raise InputError that tells to ask for binary data. Binary data carries every value as it is.
    """
    entry: dict[str, Any] = {"name": name, "datatype": _datatype(name, tensor), "shape": list(tensor.shape)}
    if is_binary:
        content = _to_binary(tensor)
        return Output({**entry, "parameters": {"binary_data_size": len(content)}}, content)
    return Output({**entry, "data": _to_json(name, tensor)})


def _datatype(name: str, tensor: NDArray[Any]) -> str:
    datatype = "BYTES" if tensor.dtype == object else DATATYPES.get(tensor.dtype.name)
    if datatype is None:
        raise ModelError(f"the output {name!r} is {tensor.dtype.name}, which the protocol has no datatype for")
    return datatype


def _to_json(name: str, tensor: NDArray[Any]) -> Any:
    flat = tensor.ravel()
    if flat.dtype == object:
        try:
            return [value.decode() for value in flat.tolist()]
        except UnicodeDecodeError:
            raise InputError(
                f"the output {name!r} holds bytes that are not UTF-8, which JSON cannot carry: ask for binary data "
                '("parameters": {"binary_data": true})'
            ) from None
    # orjson writes numpy's arrays, but knows nothing of bfloat16.
    written = np.ascontiguousarray(flat.astype(np.float32) if flat.dtype.name == "bfloat16" else flat)
    return json_arrays.fragment(written)


def _to_binary(tensor: NDArray[Any]) -> bytes:
    if tensor.dtype == object:
        return b"".join(LENGTH.pack(len(value)) + value for value in tensor.ravel().tolist())
    return _swapped(np.ascontiguousarray(tensor)).tobytes()


def _swapped(tensor: NDArray[Any]) -> NDArray[Any]:
    """Return a tensor between the protocol's byte order, little-endian, and this machine's."""
    return tensor if sys.byteorder == "little" else tensor.byteswap()


# ---- shared


def parameters_of(entry: Mapping[str, Any], where: str) -> Mapping[str, Any]:
    """Return the `parameters` of an object, {} where it has none; raise InputError when they are no object."""
    parameters = entry.get("parameters")
    if parameters is None:
        return {}
    if not isinstance(parameters, dict):
        raise InputError(f"{where}.parameters: expected an object, got {inputs.kind_of(parameters)}")
    return parameters


def is_whole(value: object) -> bool:
    """Tell whether a JSON value is a whole number; true and false are none."""
    return isinstance(value, int) and not isinstance(value, bool)


def _listed(specs: Sequence[TensorSpec] | Any) -> str:
    return ", ".join(f"{spec.name!r} ({datatype_of(spec)} {shape_of(spec)})" for spec in specs)


def _shown(value: object) -> str:
    text = str(value) if isinstance(value, list) else inputs.kind_of(value)
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}..."
