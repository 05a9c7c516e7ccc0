"""TensorProto to numpy and back, without tf.make_ndarray: 0.2 ms instead of 32 ms for a million floats."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2, types_pb2

from model_server.status import invalid_argument

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Which repeated field holds a dtype's values (tensorflow/core/framework/tensor.proto).
_FIELDS = {
    types_pb2.DT_FLOAT: "float_val",
    types_pb2.DT_DOUBLE: "double_val",
    types_pb2.DT_INT32: "int_val",
    types_pb2.DT_INT16: "int_val",
    types_pb2.DT_INT8: "int_val",
    types_pb2.DT_UINT8: "int_val",
    types_pb2.DT_UINT16: "int_val",
    types_pb2.DT_INT64: "int64_val",
    types_pb2.DT_UINT32: "uint32_val",
    types_pb2.DT_UINT64: "uint64_val",
    types_pb2.DT_BOOL: "bool_val",
    types_pb2.DT_STRING: "string_val",
    types_pb2.DT_HALF: "half_val",
    types_pb2.DT_BFLOAT16: "half_val",
}
_DTYPES = {
    number: np.dtype(object if number == types_pb2.DT_STRING else tf.dtypes.as_dtype(number).as_numpy_dtype)
    for number in _FIELDS
}
# What a message can carry at most. A few bytes that claim a larger shape, by repeating their last value, are refused.
MAXIMUM_BYTES = 2**31
_BITS = (types_pb2.DT_HALF, types_pb2.DT_BFLOAT16)


def to_numpy(proto: tensor_pb2.TensorProto) -> NDArray[Any]:
    """Return a tensor's values; strings as an object array of bytes.

    Fewer values than the shape has repeat the last one, as Tensor::FromProto does. Raise ServingError
    (INVALID_ARGUMENT) when the values do not fit the shape.
    """
    shape = tuple(dimension.size for dimension in proto.tensor_shape.dim)
    if proto.tensor_shape.unknown_rank or min(shape, default=0) < 0:
        raise invalid_argument(f"tensor parsing error: shape {shape} is not fully defined")
    size = math.prod(shape)
    dtype = _DTYPES.get(proto.dtype)
    if dtype is None:
        raise invalid_argument(f"tensor parsing error: dtype {proto.dtype} is not supported")
    # Without the zeros: numpy counts the bytes of a dimension beside an empty one too.
    if math.prod(filter(None, shape)) > MAXIMUM_BYTES // dtype.itemsize:
        raise invalid_argument(f"tensor parsing error: shape {shape} is larger than {MAXIMUM_BYTES} bytes")
    if proto.dtype == types_pb2.DT_STRING:
        return _fill(np.array([*proto.string_val, None], object)[:-1], size, b"").reshape(shape)
    if proto.tensor_content:
        if len(proto.tensor_content) != size * dtype.itemsize:
            raise invalid_argument(
                f"tensor parsing error: {len(proto.tensor_content)} bytes do not fit shape {shape} of {dtype.name}"
            )
        return np.frombuffer(proto.tensor_content, dtype).reshape(shape)
    field = getattr(proto, _FIELDS[proto.dtype])
    if proto.dtype in _BITS:
        values = np.array(field, np.int64).astype(np.uint16).view(dtype)
    else:
        # Narrow types wrap, as a C++ cast does.
        wide = np.int64 if _FIELDS[proto.dtype] == "int_val" else dtype
        values = np.fromiter(field, wide, len(field)).astype(dtype, copy=False)
    return _fill(values, size, 0).reshape(shape)


def fill(proto: tensor_pb2.TensorProto, array: NDArray[Any], dtype: int, *, as_content: bool = False) -> None:
    """Write an array into an empty TensorProto: typed fields, which clients of upstream read, or `tensor_content`."""
    array = np.asarray(array)
    proto.dtype = dtype
    for size in array.shape:
        proto.tensor_shape.dim.add(size=size)
    name = _FIELDS.get(dtype)
    if name is None:
        proto.CopyFrom(tf.make_tensor_proto(array, dtype=tf.dtypes.as_dtype(dtype)))
    elif dtype == types_pb2.DT_STRING:
        proto.string_val.extend(_as_bytes(value) for value in array.ravel().tolist())
    elif as_content:
        proto.tensor_content = np.ascontiguousarray(array).tobytes()
    elif dtype in _BITS:
        proto.half_val.extend(array.ravel().view(np.uint16).tolist())
    elif dtype == types_pb2.DT_FLOAT:
        # A repeated field filled from its packed bytes: 0.7 ms instead of 47 ms for a million floats.
        content = np.ascontiguousarray(array, "<f4").tobytes()
        proto.MergeFromString(b"\x2a" + _varint(len(content)) + content)
    else:
        getattr(proto, name).extend(array.ravel().tolist())


def _fill(values: NDArray[Any], size: int, blank: Any) -> NDArray[Any]:
    """Repeat the last value up to `size`; no value at all is `blank` throughout."""
    if len(values) == size:
        return values
    if len(values) > size:
        raise invalid_argument(f"tensor parsing error: {len(values)} values do not fit {size} elements")
    filled = np.empty(size, values.dtype)
    filled[: len(values)] = values
    filled[len(values) :] = values[-1] if len(values) else blank
    return filled


def _as_bytes(value: object) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()


def _varint(value: int) -> bytes:
    groups = []
    while value > 0x7F:  # noqa: PLR2004 - seven bits to a byte
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*groups, value])
