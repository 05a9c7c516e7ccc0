"""A signature of a SavedModel: its tensors, and what may be sent in one call."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING

from model_description import dtypes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from model_description.protos import serving_pb2


@dataclass(frozen=True)
class TensorSpec:
    """One tensor: its dtype by name, its shape with None for an open axis, or no shape at all for an unknown rank."""

    name: str
    dtype: str
    shape: tuple[int | None, ...] | None

    @property
    def first_axis(self) -> int | None:
        """Return the size of the first axis: -1 where it is open, None where there is none."""
        if not self.shape:
            return None
        return -1 if self.shape[0] is None else self.shape[0]

    @property
    def row_shape(self) -> tuple[int | None, ...] | None:
        """Return the shape of one row, the axes but the first; None where the rank is unknown."""
        return None if self.shape is None else self.shape[1:]

    def __str__(self) -> str:
        """Return it as people write it: `float32 (?, 28, 28)`."""
        if self.shape is None:
            return f"{self.dtype} of any shape"
        axes = ", ".join("?" if size is None else str(size) for size in self.shape)
        return f"{self.dtype} ({axes}{',' if len(self.shape) == 1 else ''})"


@dataclass(frozen=True)
class Signature:
    """The inputs and outputs of one signature by name; `optional` inputs have a default in the model."""

    name: str
    inputs: Mapping[str, TensorSpec]
    outputs: Mapping[str, TensorSpec]
    method_name: str = ""
    optional: frozenset[str] = frozenset()

    @cached_property
    def joins_rows(self) -> bool:
        """Tell whether rows of several requests may travel together: the first axis is open on every tensor."""
        tensors = (*self.inputs.values(), *self.outputs.values())
        return bool(self.inputs) and all(tensor.first_axis == -1 for tensor in tensors)

    @cached_property
    def fixed_rows(self) -> int | None:
        """Return how many rows every call must carry, where all tensors say the same number; else None."""
        sizes = {tensor.first_axis for tensor in (*self.inputs.values(), *self.outputs.values())}
        size = next(iter(sizes)) if len(sizes) == 1 and self.inputs else None
        return size if size is not None and size > 0 else None

    @cached_property
    def has_rows(self) -> bool:
        """Tell whether an input's first axis counts rows: it is open, or the same fixed number, on every input."""
        sizes = {tensor.first_axis for tensor in self.inputs.values()}
        return len(sizes) == 1 and None not in sizes


def of(name: str, definition: serving_pb2.SignatureDef) -> Signature:
    """Return a SignatureDef's signature; TensorFlow's own messages will do as well."""
    return Signature(
        name=name,
        inputs=MappingProxyType({alias: _spec(alias, info) for alias, info in sorted(definition.inputs.items())}),
        outputs=MappingProxyType({alias: _spec(alias, info) for alias, info in sorted(definition.outputs.items())}),
        method_name=definition.method_name,
        optional=frozenset(definition.defaults) & frozenset(definition.inputs),
    )


def _spec(name: str, info: serving_pb2.TensorInfo) -> TensorSpec:
    shape = info.tensor_shape
    sizes = None if shape.unknown_rank else tuple(dim.size if dim.size >= 0 else None for dim in shape.dim)
    return TensorSpec(name, dtypes.name_of(info.dtype), sizes)
