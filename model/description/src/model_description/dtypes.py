"""The names of TensorFlow's dtypes (tensorflow/core/framework/types.proto)."""

from __future__ import annotations

from model_description.protos import serving_pb2

# Number -> the name Python users know. Each of these can be sent and answered.
NAMES: dict[int, str] = {
    serving_pb2.DT_FLOAT: "float32",
    serving_pb2.DT_DOUBLE: "float64",
    serving_pb2.DT_HALF: "float16",
    serving_pb2.DT_BFLOAT16: "bfloat16",
    serving_pb2.DT_INT8: "int8",
    serving_pb2.DT_INT16: "int16",
    serving_pb2.DT_INT32: "int32",
    serving_pb2.DT_INT64: "int64",
    serving_pb2.DT_UINT8: "uint8",
    serving_pb2.DT_UINT16: "uint16",
    serving_pb2.DT_UINT32: "uint32",
    serving_pb2.DT_UINT64: "uint64",
    serving_pb2.DT_BOOL: "bool",
    serving_pb2.DT_STRING: "string",
}
NUMBERS: dict[str, int] = {name: number for number, name in NAMES.items()}
FLOATS = frozenset({"float32", "float64", "float16", "bfloat16"})


def name_of(number: int) -> str:
    """Return a dtype's name; one that cannot travel keeps upstream's (`DT_VARIANT`)."""
    if number in NAMES:
        return NAMES[number]
    known = serving_pb2.DataType.DESCRIPTOR.values_by_number.get(number)
    return known.name if known is not None else f"DT_{number}"
