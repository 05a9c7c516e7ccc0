"""JSON bodies of classify and regress: examples in, results out (upstream's util/json_tensor.cc)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from model_description.protos import serving_pb2
from serving_codec import b64, json_tensors
from serving_codec.status import invalid_argument
from serving_codec.tensors import as_objects, check_copies

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

INT64 = range(-(2**63), 2**63)
UINT64_MAXIMUM = 2**64 - 1
LISTS = {"bytes": "bytes_list", "float": "float_list", "int64": "int64_list"}


def read(document: dict[str, Any], method: str) -> NDArray[Any]:
    """Return the examples (example,) of a body as serialized tf.Examples, a `context` in front of each."""
    context = b""
    if "context" in document:
        context = _example(document["context"]).SerializeToString()
    if "examples" not in document:
        raise invalid_argument(f"When method is {method}, key 'examples' is expected and was not found")
    examples = document["examples"]
    if not isinstance(examples, list):
        raise invalid_argument(
            f"JSON Value: {json_tensors.shown(examples)} Expecting 'examples' value to be an list/array"
        )
    if not examples:
        raise invalid_argument("'examples' value is an empty array")
    serialized = [_example(example).SerializeToString() for example in examples]
    if not context:
        return as_objects(serialized)
    check_copies(len(context), len(examples), len(context) + sum(map(len, serialized)))
    return as_objects([context + example for example in serialized])


def write_classifications(result: Any) -> str:
    """Return `{"results": ...}` of a ClassificationResult: for each example a list of [label, score]."""
    if not result.classifications:
        raise invalid_argument("Classification result is empty.")
    return _results("[" + _pairs(row.classes) + "]" for row in result.classifications)


def _pairs(classes: Any) -> str:
    """Return [label, score] of each class, of a piece at once: one by one each score takes ten times as long."""
    pieces = []
    for start in range(0, len(classes), json_tensors.PIECE_ELEMENTS):
        piece = classes[start : start + json_tensors.PIECE_ELEMENTS]
        scores = json_tensors.float_texts(np.fromiter((one.score for one in piece), np.float32, len(piece)))
        labels = (json.dumps(one.label, ensure_ascii=False) for one in piece)
        pieces.append(", ".join(f"[{label}, {score}]" for label, score in zip(labels, scores, strict=True)))
    return ", ".join(pieces)


def write_regressions(result: Any) -> str:
    """Return `{"results": ...}` of a RegressionResult: one number for each example."""
    if not result.regressions:
        raise invalid_argument("Regression result is empty.")
    values = np.fromiter((one.value for one in result.regressions), np.float32, len(result.regressions))
    pieces = range(0, len(values), json_tensors.PIECE_ELEMENTS)
    return _results(
        ", ".join(json_tensors.float_texts(values[start : start + json_tensors.PIECE_ELEMENTS])) for start in pieces
    )


def _results(rows: Iterable[str]) -> str:
    return '{\n    "results": [' + ", ".join(rows) + "\n    ]\n}"


def _example(value: Any) -> serving_pb2.Example:
    if not isinstance(value, dict):
        raise invalid_argument(f"Example must be JSON object but got JSON {json_tensors.json_type(value)}")
    example = serving_pb2.Example()
    for name, content in value.items():
        _fill(example.features.feature[name], name, content if isinstance(content, list) else [content])
    return example


def _fill(feature: Any, name: str, values: list[Any]) -> None:
    if not values:
        return
    kind = _kind(name, values[0])
    target = getattr(feature, LISTS[kind]).value
    for value in values:
        if _kind(name, value) != kind:
            raise invalid_argument(f"Unexpected element type in feature: {name} expecting type: {kind}")
        target.append(_bytes(value) if kind == "bytes" else value)


def _kind(name: str, value: Any) -> str:
    if isinstance(value, str) or json_tensors.is_base64(value):
        return "bytes"
    if isinstance(value, float):
        return "float"
    # bool is an int: true and false are int64 too.
    if isinstance(value, int) and value in INT64:
        return "int64"
    if isinstance(value, int) and 0 <= value <= UINT64_MAXIMUM:
        raise invalid_argument(f"Feature: {name} has uint64_t element. Only int64_t is supported.")
    raise invalid_argument(f"Feature: {name} has element with unexpected JSON type: {json_tensors.json_type(value)}")


def _bytes(value: Any) -> bytes:
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape")
    return b64.decode(value["b64"])
