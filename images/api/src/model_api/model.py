"""The model as a caller sees it: what it takes, what it returns, where it comes from."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from model_api import messages
from model_api.errors import UnavailableError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import DTypeLike, NDArray

# tensorflow/core/framework/types.proto
DTYPES: dict[int, DTypeLike] = {1: np.float32, 2: np.float64, 3: np.int32, 4: np.uint8, 9: np.int64}
OUTPUT_DTYPES = (1, 2)


@dataclass(frozen=True)
class Signature:
    """One input (batch, *shape) of a numeric dtype and one output (batch, class) of scores."""

    input_name: str
    output_name: str
    shape: tuple[int, ...]
    dtype_number: int

    @property
    def dtype(self) -> np.dtype[Any]:
        """Return the input's dtype."""
        return np.dtype(DTYPES[self.dtype_number])

    @property
    def size(self) -> int:
        """Return how many numbers one image has."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class Model:
    """A served version: its signature, and what its manifest tells ({} where there is none)."""

    name: str
    version: int
    signature: Signature
    manifest: dict[str, Any]

    def label(self, index: int) -> str:
        """Return the name of a class: the manifest's label, or the index."""
        labels = self.manifest.get("labels") or []
        return str(labels[index]) if index < len(labels) else str(index)

    def facts(self) -> dict[str, Any]:
        """Return what `/v1/model` answers."""
        told = {name: self.manifest.get(name) for name in ("key", "digest", "metrics", "labels", "dataset", "created")}
        shape, dtype = list(self.signature.shape), self.signature.dtype.name
        return {"name": self.name, "version": self.version, **told, "input": {"shape": shape, "dtype": dtype}}


def read_manifest(path: Path | None) -> dict[str, Any]:
    """Return the manifest in a file, or {} when none is named; raise OSError or ValueError when it is broken."""
    if path is None:
        return {}
    content = json.loads(path.read_bytes())
    if not isinstance(content, dict):
        raise ValueError(f"{path} is not a manifest")  # noqa: TRY004 - the file's content is the value
    return content


def signature_of(response: Any, name: str) -> Signature:
    """Return a signature of a GetModelMetadataResponse; raise UnavailableError when it cannot be served as images."""
    signatures = messages.SignatureDefMap.FromString(response.metadata["signature_def"].value).signature_def
    if name not in signatures:
        raise UnavailableError(f"the model has no signature {name!r}; it has {', '.join(sorted(signatures)) or 'none'}")
    inputs, outputs = dict(signatures[name].inputs), dict(signatures[name].outputs)
    if len(inputs) != 1 or len(outputs) != 1:
        raise UnavailableError(
            f"signature {name!r} has {len(inputs)} inputs and {len(outputs)} outputs; one of each can be served"
        )
    (input_name, info), (output_name, output) = next(iter(inputs.items())), next(iter(outputs.items()))
    sizes = [dimension.size for dimension in info.tensor_shape.dim]
    if info.dtype not in DTYPES or output.dtype not in OUTPUT_DTYPES:
        raise UnavailableError(f"signature {name!r} does not go from numbers to scores of a float type")
    if info.tensor_shape.unknown_rank or not sizes or any(size < 1 for size in sizes[1:]):
        raise UnavailableError(f"input {input_name!r} has the shape {sizes}; all axes but the first must be fixed")
    return Signature(input_name, output_name, tuple(sizes[1:]), info.dtype)


def predict_request(
    model: str, version: int | None, signature_name: str, signature: Signature, images: NDArray[Any]
) -> bytes:
    """Return a serialized PredictRequest for `images` (batch, number), the numbers of each image in row order."""
    request = messages.PredictRequest()
    request.model_spec.name = model
    request.model_spec.signature_name = signature_name
    if version is not None:
        request.model_spec.version.value = version
    tensor = request.inputs[signature.input_name]
    tensor.dtype = signature.dtype_number
    for size in (len(images), *signature.shape):
        tensor.tensor_shape.dim.add(size=size)
    tensor.tensor_content = images.astype(signature.dtype.newbyteorder("<"), copy=False).tobytes()
    serialized: bytes = request.SerializeToString()
    return serialized


def scores_of(response: Any, signature: Signature, count: int) -> NDArray[np.float64]:
    """Return the scores (batch, class) of a PredictResponse for `count` images; raise UnavailableError otherwise."""
    tensor = response.outputs[signature.output_name]
    if tensor.tensor_content:
        flat = np.frombuffer(tensor.tensor_content, np.dtype(DTYPES[tensor.dtype]).newbyteorder("<"))
    else:
        flat = np.asarray(tensor.float_val or tensor.double_val)
    classes = flat.size // count
    if classes == 0 or flat.size % count:
        raise UnavailableError(f"the server returned {flat.size} scores for {count} images")
    return flat.astype(np.float64).reshape(count, classes)
