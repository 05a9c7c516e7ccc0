"""Flags, paths, tensors and versions: the pure parts of the model server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from tensorflow.core.framework import tensor_pb2, types_pb2

from model_server import flags, rest, tensors, versions
from model_server.manager import Choice
from model_server.status import ServingError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


def test_last_flag_wins_and_booleans_may_be_bare() -> None:
    parsed = flags.parse(["--port=1", "--port=2", "--enable_grpc_healthcheck_service", "--enable_model_warmup=FALSE"])
    assert (parsed.port, parsed.enable_grpc_healthcheck_service, parsed.enable_model_warmup) == (2, True, False)


def test_unknown_argument_is_told_and_not_fatal() -> None:
    assert flags.parse(["--no_such_flag=1", "--port", "9"]).unknown == ("--no_such_flag=1", "--port", "9")


@pytest.mark.parametrize("argument", ["--port=x", "--enable_model_warmup=maybe"])
def test_bad_value_is_an_error(argument: str) -> None:
    with pytest.raises(flags.FlagError):
        flags.parse([argument])


def test_all_48_flags_of_upstream_are_known() -> None:
    assert len(flags.DEFAULTS) == 48


@pytest.mark.parametrize(
    ("method", "path", "wanted"),
    [
        ("GET", "/v1/models/m", rest.Request("status", "m", Choice())),
        ("GET", "/V1/Models/m/versions/3/metadata", rest.Request("metadata", "m", Choice(3))),
        ("POST", "/v1/models/a%2Fb/labels/x%3A:predict", rest.Request("predict", "a/b", Choice(label="x:"))),
        ("GET", "/v1/models/m?x=1", rest.Request("status", "m?x=1", Choice())),
        ("GET", f"/v1/models/m/versions/{2**63}", None),
    ],
)
def test_path_is_understood(method: str, path: str, wanted: rest.Request | None) -> None:
    assert rest.parse_path(method, path) == wanted


@pytest.mark.parametrize(
    ("method", "path", "told"),
    [
        ("GET", "/v1/models", "Missing model name in request."),
        ("GET", "/v1/models/m:predict", "Malformed request: GET /v1/models/m:predict"),
        ("POST", "/v1/models/m/metadata", "Malformed request"),
        ("POST", "/v1/models/m:PREDICT", "Malformed request"),
        ("GET", "/v1/models/m/", "Malformed request"),
        ("HEAD", "/v1/models/m", "Malformed request"),
        ("POST", "/v1/models/m/versions/1/labels/a:predict", "Malformed request"),
    ],
)
def test_malformed_path_is_told(method: str, path: str, told: str) -> None:
    with pytest.raises(ServingError) as refused:
        rest.parse_path(method, path)
    assert told in refused.value.message


def written(array: NDArray[Any], dtype: int, *, as_content: bool = False) -> tensor_pb2.TensorProto:
    """Return a TensorProto of an array."""
    proto = tensor_pb2.TensorProto()
    tensors.fill(proto, array, dtype, as_content=as_content)
    return proto


@pytest.mark.parametrize("dtype", [tf.float32, tf.float64, tf.int32, tf.int64, tf.uint8, tf.bool, tf.half, tf.bfloat16])
def test_tensors_survive_the_way_there_and_back(dtype: tf.DType) -> None:
    array = np.array([[0, 1], [2, 3]]).astype(dtype.as_numpy_dtype)
    proto = written(array, dtype.as_datatype_enum)
    assert not proto.tensor_content
    np.testing.assert_array_equal(tensors.to_numpy(proto), array)
    content = written(array, dtype.as_datatype_enum, as_content=True)
    assert content.tensor_content
    for other in (content, tf.make_tensor_proto(array)):
        np.testing.assert_array_equal(tensors.to_numpy(other), array)
    np.testing.assert_array_equal(tf.make_ndarray(proto), array)


def test_strings_keep_their_trailing_zeros() -> None:
    array = np.array([b"a\x00", b""], object)
    assert tensors.to_numpy(written(array, types_pb2.DT_STRING)).tolist() == [b"a\x00", b""]


def test_last_value_repeats() -> None:
    proto = tensor_pb2.TensorProto(dtype=types_pb2.DT_FLOAT, float_val=[1, 2])
    proto.tensor_shape.dim.add(size=4)
    assert tensors.to_numpy(proto).tolist() == [1, 2, 2, 2]


@pytest.mark.parametrize("sizes", [[2**62], [2**16, 2**16], [0, 2**62], [2**31]])
def test_a_shape_no_message_can_carry_is_refused(sizes: list[int]) -> None:
    proto = tensor_pb2.TensorProto(dtype=types_pb2.DT_FLOAT, float_val=[1])
    for size in sizes:
        proto.tensor_shape.dim.add(size=size)
    with pytest.raises(ServingError, match="is larger than 2147483648 bytes"):
        tensors.to_numpy(proto)


@given(st.binary(max_size=12), st.lists(st.integers(-2, 4), max_size=3), st.sampled_from([1, 3, 7, 23, 99]))
def test_any_tensor_is_read_or_refused(content: bytes, sizes: list[int], dtype: int) -> None:
    proto = tensor_pb2.TensorProto(dtype=dtype, tensor_content=content)
    for size in sizes:
        proto.tensor_shape.dim.add(size=size)
    try:
        assert list(tensors.to_numpy(proto).shape) == sizes
    except ServingError as error:
        assert error.message.startswith("tensor parsing error")


def test_numbered_directories_are_versions(tmp_path: Path) -> None:
    for name in ("1", "00000123", "x", "-3", "1.0", "99999999999999999999"):
        (tmp_path / name).mkdir()
    (tmp_path / "7").write_text("a file")
    assert sorted(versions.discover(tmp_path)) == [1, 123]
