"""Large answers of whole numbers are read as protobuf reads them, without what that takes."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest

from model_description import dtypes
from model_description.protos import serving_pb2
from serving_codec import replies, tensors
from serving_codec.status import ServingError

WHOLE = sorted(set(dtypes.NUMBERS) - {"float32", "float64", "string"})


def reply_of(**outputs: tuple[Any, str]) -> bytes:
    """Return a reply with these outputs in typed fields, each an array and its dtype."""
    reply = serving_pb2.PredictResponse()
    reply.model_spec.version.value = 300
    for name, (array, dtype) in outputs.items():
        tensors.fill(reply.outputs[name], array, dtype, as_content=False)
    return reply.SerializeToString()


def arrays_in(reply: bytes) -> dict[str, Any]:
    """Return the outputs as they are read."""
    response, packed = replies.read(reply)
    assert response.model_spec.version.value == 300
    return {name: tensors.to_numpy(one, packed=packed.get(name)) for name, one in response.outputs.items()}


@pytest.mark.parametrize("dtype", WHOLE)
@pytest.mark.parametrize("count", [0, 1, 7, 200_000])
def test_numbers_are_what_protobuf_reads(dtype: str, count: int) -> None:
    values = np.random.default_rng(3).integers(-(2**63), 2**63 - 1, count)
    # Of every length, from one byte on.
    bits, kind = values >> (np.arange(count) % 64), tensors.NUMPY[dtype]
    array = (bits.astype(np.uint16).view(kind) if dtype.endswith("float16") else bits.astype(kind)).reshape(1, count)
    reply = reply_of(one=(array, dtype), two=(array[:, ::-1], dtype))
    parsed = serving_pb2.PredictResponse.FromString(reply).outputs
    found = arrays_in(reply)
    for name in ("one", "two"):
        expected = tensors.to_numpy(parsed[name])
        assert (found[name].dtype, found[name].shape) == (expected.dtype, expected.shape)
        assert found[name].tobytes() == expected.tobytes()


def test_others_beside_them_are_as_they_were() -> None:
    texts = np.array([b"a", b"\0"], object)
    reply = reply_of(s=(texts, "string"), f=(np.ones(3, np.float32), "float32"), i=(np.arange(-2, 2), "int64"))
    found = arrays_in(reply)
    assert {name: array.tolist() for name, array in found.items()} == {
        "s": [b"a", b"\0"],
        "f": [1.0, 1.0, 1.0],
        "i": [-2, -1, 0, 1],
    }


def test_fewer_than_the_shape_has_repeat_the_last_and_more_are_refused() -> None:
    reply = serving_pb2.PredictResponse()
    reply.model_spec.version.value = 300
    tensors.fill(reply.outputs["y"], np.array([1, 5]), "int64", as_content=False)
    reply.outputs["y"].tensor_shape.dim[0].size = 4
    assert arrays_in(reply.SerializeToString())["y"].tolist() == [1, 5, 5, 5]
    reply.outputs["y"].tensor_shape.dim[0].size = 1
    with pytest.raises(ServingError, match="do not fit"):
        arrays_in(reply.SerializeToString())


@pytest.mark.parametrize("cut", range(1, 40))
def test_what_is_cut_off_is_refused_as_the_parser_does(cut: int) -> None:
    reply = reply_of(y=(np.arange(20), "int64"))[:-cut]
    try:
        expected = serving_pb2.PredictResponse.FromString(reply)
    except Exception as error:  # noqa: BLE001 - whatever it is
        with pytest.raises(type(error)):
            replies.read(reply)
    else:
        response, packed = replies.read(reply)
        assert response.model_spec == expected.model_spec
        for name, one in expected.outputs.items():
            assert (tensors.to_numpy(response.outputs[name], packed=packed[name]) == tensors.to_numpy(one)).all()


def test_small_numbers_take_what_they_are_read_into() -> None:
    reply = reply_of(y=(np.ones(8 << 20, np.uint8), "uint8"))
    tracemalloc.start()
    try:
        (array,) = arrays_in(reply).values()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert array.nbytes == 8 << 20
    # And as an int32 each, beside it, where protobuf reads them.
    assert peak < 1.5 * array.nbytes
