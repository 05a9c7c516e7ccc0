"""TensorProto to numpy and back."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_description.protos import serving_pb2
from serving_codec import tensors
from serving_codec.status import ServingError
from serving_codec.tensors import FILLED_BYTES, NUMPY, fill, to_numpy, to_proto

if TYPE_CHECKING:
    from numpy.typing import NDArray


def written(array: NDArray[Any], dtype: str) -> serving_pb2.TensorProto:
    """Return a TensorProto of an array, its values in typed fields."""
    proto = serving_pb2.TensorProto()
    fill(proto, array, dtype, as_content=False)
    return proto


@pytest.mark.parametrize("dtype", sorted(set(NUMPY) - {"string"}))
def test_tensors_survive_the_way_there_and_back(dtype: str) -> None:
    array = np.array([[0, 1], [2, 3]]).astype(NUMPY[dtype])
    typed = written(array, dtype)
    content = to_proto(array, dtype)
    assert (bool(typed.tensor_content), bool(content.tensor_content)) == (False, True)
    for proto in (typed, content):
        found = to_numpy(proto)
        assert found.dtype == NUMPY[dtype]
        np.testing.assert_array_equal(found, array)


def test_a_dtype_is_written_whatever_holds_it() -> None:
    assert to_numpy(to_proto(np.array([1, 2], np.int64), "int32")).tolist() == [1, 2]
    assert to_numpy(written(np.array([1, 2], np.float64), "bfloat16")).tolist() == [1, 2]


@pytest.mark.parametrize("dtype", ["complex64", serving_pb2.DT_VARIANT])
def test_a_dtype_that_cannot_travel_is_refused(dtype: str | int) -> None:
    with pytest.raises(ServingError, match="cannot be written"):
        to_proto(np.zeros(1), dtype)


def test_strings_keep_their_trailing_zeros() -> None:
    array = np.array([b"a\x00", b""], object)
    assert to_numpy(written(array, "string")).tolist() == [b"a\x00", b""]


def test_last_value_repeats() -> None:
    proto = serving_pb2.TensorProto(dtype=serving_pb2.DT_FLOAT, float_val=[1, 2])
    proto.tensor_shape.dim.add(size=4)
    assert to_numpy(proto).tolist() == [1, 2, 2, 2]


@pytest.mark.parametrize("sizes", [[2**62], [2**16, 2**16], [0, 2**62], [2**31]])
def test_a_shape_no_message_can_carry_is_refused(sizes: list[int]) -> None:
    proto = serving_pb2.TensorProto(dtype=serving_pb2.DT_FLOAT, float_val=[1])
    for size in sizes:
        proto.tensor_shape.dim.add(size=size)
    with pytest.raises(ServingError, match="is larger than 2147483648 bytes"):
        to_numpy(proto)


def short(dtype: str, sizes: list[int], *values: object) -> serving_pb2.TensorProto:
    """Return a TensorProto of a shape with some of its values."""
    proto = written(np.array(values, NUMPY[dtype]), dtype)
    del proto.tensor_shape.dim[:]
    for size in sizes:
        proto.tensor_shape.dim.add(size=size)
    return proto


def test_few_bytes_are_filled_up_to_a_bound() -> None:
    assert to_numpy(short("float32", [FILLED_BYTES // 4], 1)).size == FILLED_BYTES // 4
    for proto in (
        short("float32", [FILLED_BYTES // 4 + 1], 1),
        short("string", [FILLED_BYTES // 32 + 2], b"x"),
        short("string", [100], b"x" * 10**6),
    ):
        with pytest.raises(ServingError, match=r"the last value is repeated up to \d+ bytes only"):
            to_numpy(proto)
    assert to_numpy(short("float32", [2**23], 1), 2**31).size == 2**23


def test_more_dimensions_than_numpy_has_are_refused_at_once() -> None:
    with pytest.raises(ServingError, match="at most 64 are allowed"):
        to_numpy(short("float32", [2**62] * 200_000, 1))


@given(st.binary(max_size=12), st.lists(st.integers(-2, 4), max_size=3), st.sampled_from([1, 3, 7, 23, 99]))
def test_any_tensor_is_read_or_refused(content: bytes, sizes: list[int], dtype: int) -> None:
    proto = serving_pb2.TensorProto(tensor_content=content)
    # 99 is nothing the generated message has a name for.
    proto.MergeFromString(bytes([8, dtype]))
    for size in sizes:
        proto.tensor_shape.dim.add(size=size)
    try:
        assert list(to_numpy(proto).shape) == sizes
    except ServingError as error:
        assert error.message.startswith("tensor parsing error")


def test_strings_that_are_many_times_what_they_came_as_are_refused() -> None:
    tensors.check_read(900_000, tensors.READ_STRING_BYTES, 1, "strings")
    tensors.check_read(8_000_000, tensors.READ_STRING_BYTES, 80 << 20, "strings")
    with pytest.raises(ServingError, match="8000000 strings in 16000000 bytes would take 560000000 bytes to read"):
        tensors.check_read(8_000_000, tensors.READ_STRING_BYTES, 16_000_000, "strings")


@pytest.mark.parametrize("count", [0, 1, 100, 200_000])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "int64", "uint8", "bool", "float16", "string"])
def test_typed_values_are_read_as_they_are_however_many(dtype: str, count: int) -> None:
    values = np.arange(count) % 2 if dtype == "bool" else np.arange(count) % 100
    array = values.astype(str).astype(object) if dtype == "string" else values.astype(dtype)
    read = to_numpy(written(array, dtype))
    wanted = [str(value).encode() for value in values] if dtype == "string" else array.tolist()
    assert read.dtype == NUMPY[dtype]
    assert read.tolist() == wanted


def test_floats_behind_which_others_follow_are_read_as_they_are() -> None:
    proto = serving_pb2.TensorProto(dtype=serving_pb2.DT_FLOAT, float_val=[1, 2, 3], int_val=[7], double_val=[8])
    proto.tensor_shape.dim.add(size=3)
    # A field nobody knows, too.
    read = serving_pb2.TensorProto.FromString(proto.SerializeToString() + b"\xa2\x06\x01x")
    assert to_numpy(read).tolist() == [1, 2, 3]


def test_a_million_floats_are_no_wait() -> None:
    proto = written(np.ones(1_000_000, np.float32), "float32")
    start = time.process_time()
    for _ in range(5):
        to_numpy(proto)
    # One by one each would take 100 ms.
    assert (time.process_time() - start) / 5 < 0.05
