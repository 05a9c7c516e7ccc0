"""A version's model.tflite, run by LiteRT interpreters."""

from __future__ import annotations

import queue
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf
from flatbuffers import flexbuffers
from google.protobuf.message import DecodeError
from tensorflow.core.protobuf import meta_graph_pb2
from tensorflow.lite.python import schema_py_generated as schema

from serving_codec.status import Code, ServingError, invalid_argument

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

FILE = "model.tflite"
DEFAULT_SIGNATURE = "serving_default"
METHOD = "tensorflow/serving/predict"
# Where a file keeps SignatureDefs (tensorflow/lite/tools/signature): a flexbuffer map from key to serialized message.
METADATA = b"signature_defs_metadata"


class LiteModel:
    """A LiteRT model; see saved_model.Runner. A run borrows one of its interpreters, which hold state."""

    def __init__(self, path: Path, interpreters: int) -> None:
        # For the life of the version.
        self.path = path
        content = (path / FILE).read_bytes()
        self._interpreters: queue.SimpleQueue[Any] = queue.SimpleQueue()
        try:
            made = [tf.lite.Interpreter(model_content=content, num_threads=1) for _ in range(interpreters)]
        except ValueError as error:
            raise ServingError(Code.INVALID_ARGUMENT, f"{path / FILE} is not a LiteRT model: {error}") from error
        for interpreter in made:
            self._interpreters.put(interpreter)
        details = made[0].get_tensor_details()
        self._indexes = {detail["name"]: detail["index"] for detail in details}
        self.signatures: Mapping[str, Any] = _signatures(made[0], _signature_defs(content, path))

    def run(
        self, feeds: Mapping[str, NDArray[Any]], fetches: Sequence[str], timeout_ms: int | None = None
    ) -> list[NDArray[Any]]:
        """Return the fetched tensors for fed ones; an interpreter that is not free in time is DEADLINE_EXCEEDED."""
        try:
            interpreter = self._interpreters.get(timeout=None if timeout_ms is None else timeout_ms / 1000)
        except queue.Empty:
            raise ServingError(Code.DEADLINE_EXCEEDED, "Timed out waiting for notification") from None
        try:
            for name, value in feeds.items():
                interpreter.resize_tensor_input(self._indexes[name], value.shape)
            interpreter.allocate_tensors()
            for name, value in feeds.items():
                interpreter.set_tensor(self._indexes[name], value)
            interpreter.invoke()
            return [np.array(interpreter.get_tensor(self._indexes[name])) for name in fetches]
        except (ValueError, RuntimeError) as error:
            raise invalid_argument(str(error)) from error
        finally:
            self._interpreters.put(interpreter)

    def is_quick(self, _feeds: Mapping[str, NDArray[Any]], _fetches: Sequence[str]) -> bool:
        """Return False: an interpreter may be busy."""
        return False

    def answers_much(self, _feeds: Mapping[str, NDArray[Any]], _fetches: Sequence[str]) -> bool:
        """Return False: it is not looked at."""
        return False

    def close(self) -> None:
        """Let go of the interpreters."""
        while not self._interpreters.empty():
            self._interpreters.get()


def _signature_defs(content: bytes, path: Path) -> dict[str, Any]:
    """Return the SignatureDefs in a file's metadata by key; raise INVALID_ARGUMENT for what cannot be read."""
    model = schema.Model.GetRootAs(content)
    for index in range(model.MetadataLength()):
        metadata = model.Metadata(index)
        if metadata.Name() == METADATA:
            buffer = model.Buffers(metadata.Buffer()).DataAsNumpy()
            try:
                found = flexbuffers.GetRoot(bytearray(buffer)).AsMap
                return {key: _parsed(found[key].AsStringBytes) for key in (key.AsKey for key in found.Keys)}
            except (DecodeError, LookupError, TypeError, ValueError) as error:
                raise invalid_argument(f"Invalid SignatureDefs found in TfLite model {path / FILE}: {error}") from error
    return {}


def _parsed(serialized: bytes) -> Any:
    definition = meta_graph_pb2.SignatureDef()
    definition.ParseFromString(bytes(serialized))
    return definition


def _signatures(interpreter: Any, definitions: Mapping[str, Any]) -> dict[str, Any]:
    """Return a model's signatures: its SignatureDefs, or else those its converter wrote, or serving_default by tensors.

    A SignatureDef's aliases stay as they are; shape and dtype are the tensors' own.
    """
    named = {detail["index"]: detail for detail in interpreter.get_tensor_details()}
    inputs = {detail["name"]: detail for detail in interpreter.get_input_details()}
    outputs = {detail["name"]: detail for detail in interpreter.get_output_details()}
    if definitions:
        found: dict[str, Any] = {}
        for name, definition in definitions.items():
            given = {alias: _tensor(info.name, inputs) for alias, info in definition.inputs.items()}
            wanted = {alias: _tensor(info.name, outputs) for alias, info in definition.outputs.items()}
            found[name] = _signature(given, wanted, named)
            found[name].method_name = definition.method_name or METHOD
        return found
    runners = {name: interpreter.get_signature_runner(name) for name in interpreter.get_signature_list()}
    if runners:
        return {
            name: _signature(runner.get_input_details(), runner.get_output_details(), named)
            for name, runner in runners.items()
        }
    return {DEFAULT_SIGNATURE: _signature(inputs, outputs, named)}


def _tensor(name: str, details: Mapping[str, Any]) -> Any:
    """Return a tensor's details by its name in a graph, whose `:0` LiteRT may have dropped."""
    for known in (name, name.partition(":")[0]):
        if known in details:
            return details[known]
    raise invalid_argument(f"SignatureDef names the tensor {name}, expected one of: {', '.join(sorted(details))}")


def _signature(inputs: Mapping[str, Any], outputs: Mapping[str, Any], named: Mapping[int, Any]) -> Any:
    signature = meta_graph_pb2.SignatureDef(method_name=METHOD)
    for target, details in ((signature.inputs, inputs), (signature.outputs, outputs)):
        for alias, detail in details.items():
            info = target[alias]
            info.name = named[detail["index"]]["name"]
            info.dtype = tf.dtypes.as_dtype(detail["dtype"]).as_datatype_enum
            sizes = detail.get("shape_signature", detail["shape"])
            for size in detail["shape"] if sizes is None or not len(sizes) else sizes:
                info.tensor_shape.dim.add(size=int(size))
    return signature
