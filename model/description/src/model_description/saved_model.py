"""saved_model.pb: its signatures and its description, read and written without TensorFlow."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from google.protobuf.message import DecodeError

from model_description import description as description_json
from model_description import signature as signatures
from model_description.errors import SavedModelError
from model_description.protos import serving_pb2

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from model_description.description import Description
    from model_description.signature import Signature

FILE_NAME = "saved_model.pb"
WEIGHTS = "variables"
# The MetaGraph that servers load unless told otherwise (tf.saved_model.SERVING).
TAGS = frozenset({"serve"})
# protobuf takes no larger message.
MAXIMUM_BYTES = 2**31 - 1
_SCOPE = "model_description"
# What is no business of clients: ours, and those TensorFlow writes for itself.
_HIDDEN = frozenset({description_json.SIGNATURE, "__saved_model_init_op", "__saved_model_train_op"})


def read_signatures(folder: Path) -> dict[str, Signature]:
    """Return the signatures of a SavedModel's serving graph that clients may call; raise SavedModelError."""
    return signatures_of(_serving_graph(_read(folder / FILE_NAME), folder).signature_def)


def read_description(folder: Path) -> Description | None:
    """Return what a SavedModel says of itself, None where it says nothing.

    Raise SavedModelError when it cannot be read, DescriptionError when what it says is not a description.
    """
    graph = _serving_graph(_read(folder / FILE_NAME), folder)
    if description_json.SIGNATURE not in graph.signature_def:
        return None
    for node in graph.graph_def.node:
        if node.name == f"{_SCOPE}/value" and node.op == "Const":
            return description_json.parse(b"".join(node.attr["value"].tensor.string_val))
    raise SavedModelError(f"{folder / FILE_NAME} has the signature {description_json.SIGNATURE!r} of somebody else")


def describe(folder: Path, description: Description) -> None:
    """Have a SavedModel answer with a description, in the place of one it has; raise SavedModelError.

    A constant, and a signature of a string vector in and the description as often as that is long out, are added to
    the serving graph; nothing else changes.
    """
    path = folder / FILE_NAME
    saved_model = _read(path)
    graph = _serving_graph(saved_model, folder)
    nodes = [node for node in graph.graph_def.node if not node.name.startswith(f"{_SCOPE}/")]
    del graph.graph_def.node[:]
    graph.graph_def.node.extend([*nodes, *_nodes(description.render())])
    graph.signature_def[description_json.SIGNATURE].CopyFrom(_signature())
    partial = path.with_name(f".{path.name}.partial")
    partial.write_bytes(saved_model.SerializeToString(deterministic=True))
    partial.replace(path)


def weights_sha256(folder: Path) -> str:
    """Return a digest of the SavedModel's variables: SHA-256 over the names and bytes of their files."""
    digest = hashlib.sha256()
    for path in sorted((folder / WEIGHTS).glob("*")):
        with path.open("rb") as file:
            digest.update(f"{path.name} {hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return digest.hexdigest()


def signatures_of(definitions: Mapping[str, serving_pb2.SignatureDef]) -> dict[str, Signature]:
    """Return the signatures of a graph, or of a server's metadata, that clients may call, by name."""
    return {name: signatures.of(name, definition) for name, definition in definitions.items() if name not in _HIDDEN}


def _read(path: Path) -> serving_pb2.SavedModel:
    try:
        if path.stat().st_size > MAXIMUM_BYTES:
            raise SavedModelError(f"{path} is larger than {MAXIMUM_BYTES} bytes, which protobuf takes at most")
        return serving_pb2.SavedModel.FromString(path.read_bytes())
    except OSError as error:
        raise SavedModelError(f"{path} cannot be read: {error.strerror}") from error
    except DecodeError as error:
        raise SavedModelError(f"{path} is not a SavedModel: {error}") from error


def _serving_graph(saved_model: serving_pb2.SavedModel, folder: Path) -> serving_pb2.MetaGraphDef:
    for graph in saved_model.meta_graphs:
        if set(graph.meta_info_def.tags) == TAGS:
            return graph
    found = ", ".join("{" + ",".join(graph.meta_info_def.tags) + "}" for graph in saved_model.meta_graphs) or "none"
    raise SavedModelError(f"{folder / FILE_NAME} has no graph with the tag 'serve'; it has {found}")


def _signature() -> serving_pb2.SignatureDef:
    signature = serving_pb2.SignatureDef(method_name="tensorflow/serving/predict")
    for tensors, alias, name in (
        (signature.inputs, description_json.REQUEST, "request"),
        (signature.outputs, description_json.ANSWER, "answer"),
    ):
        tensors[alias].name = f"{_SCOPE}/{name}:0"
        tensors[alias].dtype = serving_pb2.DT_STRING
        tensors[alias].tensor_shape.dim.add(size=-1)
    return signature


def _nodes(content: bytes) -> Iterable[serving_pb2.NodeDef]:
    """Return the graph: `answer` is `value` as often as `request` is long."""
    type_of, attribute = serving_pb2.AttrValue, serving_pb2.NodeDef
    string, int32 = type_of(type=serving_pb2.DT_STRING), type_of(type=serving_pb2.DT_INT32)
    vector = serving_pb2.TensorShapeProto(dim=[serving_pb2.TensorShapeProto.Dim(size=-1)])
    value = serving_pb2.TensorProto(
        dtype=serving_pb2.DT_STRING, tensor_shape=serving_pb2.TensorShapeProto(), string_val=[content]
    )
    request, size, constant = f"{_SCOPE}/request", f"{_SCOPE}/size", f"{_SCOPE}/value"
    return (
        attribute(name=request, op="Placeholder", attr={"dtype": string, "shape": type_of(shape=vector)}),
        attribute(name=size, op="Shape", input=[request], attr={"T": string, "out_type": int32}),
        attribute(name=constant, op="Const", attr={"dtype": string, "value": type_of(tensor=value)}),
        attribute(name=f"{_SCOPE}/answer", op="Fill", input=[size, constant], attr={"T": string, "index_type": int32}),
    )
