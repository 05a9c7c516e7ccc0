"""What a model answers to one call: its outputs, and what they take."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from model_api.room import check_fits
from model_description.protos import serving_pb2
from serving_codec import replies, tensors

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

# Larger ones are read, and counted, with care.
SMALL_REPLY_BYTES = 64 << 10
# A text takes as long as so many bytes of numbers; so does an output, or an input, by itself.
TEXT_BYTES, TENSOR_BYTES = 16, 128


@dataclass(frozen=True)
class Result:
    """A model's outputs by name, the version that gave them, and about how many bytes of numbers they are as long as.

    A text counts with its bytes, an output with what it costs to begin with, and a list of nothing as one text.
    """

    outputs: Mapping[str, NDArray[Any]]
    version: int
    size: int


def read(reply: bytes, most_bytes: int) -> Result:
    """Return the result in a serialized PredictResponse; raise NeverFitsError where it would take too many bytes."""
    if len(reply) <= SMALL_REPLY_BYTES:
        response = serving_pb2.PredictResponse.FromString(reply)
        packed: dict[str, memoryview] = {}
    else:
        response, packed = replies.read(reply)
        # Before they are read: a number of eight bytes may be one of the reply, and a text of none two.
        check_fits(sum(map(tensors.claimed_bytes, response.outputs.values())), most_bytes)
    outputs = {
        name: tensors.to_numpy(tensor, packed=packed.get(name)) for name, tensor in sorted(response.outputs.items())
    }
    size = max(len(reply), sum(map(_bytes_of, outputs.values())))
    return Result(outputs, response.model_spec.version.value, size)


def _bytes_of(value: NDArray[Any]) -> int:
    """Return what a tensor takes, and to write: of nothing there may be millions of lists."""
    if not value.size and value.ndim:
        return TEXT_BYTES * math.prod(value.shape[: value.shape.index(0)])
    # Of a text an array has but the address.
    return value.size * tensors.STRING_BYTES if value.dtype == object else value.nbytes


def held(result: Result) -> list[tuple[NDArray[Any], int]]:
    """Return the arrays of a result with the bytes of each: what numbers do not take of the whole, texts do."""
    arrays = list(result.outputs.values())
    sizes = list(map(_bytes_of, arrays))
    texts = [index for index, array in enumerate(arrays) if array.dtype == object] or [0]
    rest = (result.size - sum(sizes)) // len(texts)
    for index in texts[: len(sizes)]:
        sizes[index] += rest
    return list(zip(arrays, sizes, strict=True))
