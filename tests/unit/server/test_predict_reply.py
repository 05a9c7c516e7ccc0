"""PredictResponse by hand is what protobuf writes, for every dtype and shape."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tensorflow.core.framework import types_pb2
from tensorflow_serving.apis import predict_pb2

from model_server import predict_reply
from serving_codec import pieces, tensors
from serving_codec.json_tensors import Output
from serving_codec.status import Code, ServingError
from serving_codec.varint import varint

if TYPE_CHECKING:
    from numpy.typing import NDArray


def built(outputs: list[Output], *, as_content: bool) -> Any:
    """Return the reply as messages are built."""
    reply = predict_pb2.PredictResponse()
    reply.model_spec.name, reply.model_spec.signature_name = "modèle", "serving_default"
    reply.model_spec.version.value = 2**62
    for output in outputs:
        tensors.fill(reply.outputs[output.alias], output.value, output.dtype, as_content=as_content)
    return reply


def by_hand(outputs: list[Output], *, as_content: bool) -> Any:
    """Return the reply as it is written by hand."""
    content = predict_reply.serialized("modèle", 2**62, "serving_default", outputs, as_content=as_content)
    return predict_pb2.PredictResponse.FromString(content)


@given(st.lists(st.integers(0, 300), max_size=2), st.booleans())
def test_floats_of_any_shape_are_what_protobuf_writes(shape: list[int], as_content: bool) -> None:  # noqa: FBT001
    value: NDArray[Any] = np.arange(int(np.prod(shape)), dtype=np.float32).reshape(shape)
    outputs = [Output("scores", types_pb2.DT_FLOAT, value), Output("", types_pb2.DT_FLOAT, value.T)]
    assert by_hand(outputs, as_content=as_content) == built(outputs, as_content=as_content)


@pytest.mark.parametrize("dtype", ["double", "int32", "int64", "half", "bool", "string", "uint8"])
def test_other_dtypes_are_what_protobuf_writes(dtype: str) -> None:
    number = types_pb2.DataType.Value(f"DT_{dtype.upper()}")
    values = [b"a\x00", b""] if dtype == "string" else [0, 1]
    outputs = [Output("y", number, np.array(values).astype(tensors.NUMPY_BY_NUMBER[number]))]
    assert by_hand(outputs, as_content=False) == built(outputs, as_content=False)


@pytest.mark.parametrize("as_content", [False, True])
@pytest.mark.parametrize("dtype", ["float", "double", "int32", "int64", "half", "bfloat16", "bool", "string", "uint64"])
def test_many_values_are_what_protobuf_writes(dtype: str, as_content: bool, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: FBT001
    monkeypatch.setattr(tensors, "WRITTEN_ELEMENTS", 4)
    monkeypatch.setattr(tensors, "PIECE_BYTES", 8)
    number = types_pb2.DataType.Value(f"DT_{dtype.upper()}")
    values: list[Any] = list(range(9))
    if dtype == "string":
        values = [b"", b"a\x00", *(b"x" * size for size in range(7))]
    array = np.array(values, object).astype(tensors.NUMPY_BY_NUMBER[number]).reshape(3, 3)
    outputs = [Output("y", number, array), Output("z", number, array.T)]
    assert by_hand(outputs, as_content=as_content) == built(outputs, as_content=as_content)


def test_long_texts_are_what_protobuf_writes() -> None:
    outputs = [Output("y", types_pb2.DT_STRING, np.array([b"x" * pieces.PIECE_BYTES, b"", b"y"], object))]
    assert by_hand(outputs, as_content=False) == built(outputs, as_content=False)


def test_more_than_a_message_may_have_is_refused_before_it_is_put_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(predict_reply, "MOST_BYTES", 100_000)
    outputs = [Output("y", types_pb2.DT_FLOAT, np.zeros(25_000, np.float32))] * 2
    with pytest.raises(ServingError, match="Failed to serialize message") as told:
        by_hand(outputs, as_content=False)
    assert told.value.code is Code.INTERNAL


def test_a_batchs_tensor_of_another_layout_is_written_in_order() -> None:
    value = np.asfortranarray(np.arange(6, dtype=np.float32).reshape(2, 3))
    written = by_hand([Output("y", types_pb2.DT_FLOAT, value)], as_content=False).outputs["y"]
    assert written.float_val[:] == [0, 1, 2, 3, 4, 5]


@given(st.integers(0, 2**63 - 1))
def test_varints_are_protobufs(value: int) -> None:
    message = predict_pb2.PredictRequest()
    message.model_spec.version.value = value
    size = message.model_spec.version.SerializeToString()
    assert size == (b"\x08" + varint(value) if value else b"")
