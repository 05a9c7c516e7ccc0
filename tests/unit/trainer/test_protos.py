"""Our generated messages against TensorFlow's own: a field number that is not upstream's does not pass."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import pytest

from model_description.protos import serving_pb2

if TYPE_CHECKING:
    from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor

UPSTREAM = [
    "tensorflow.core.example.example_pb2",
    "tensorflow.core.example.feature_pb2",
    "tensorflow.core.framework.attr_value_pb2",
    "tensorflow.core.framework.graph_pb2",
    "tensorflow.core.framework.node_def_pb2",
    "tensorflow.core.framework.tensor_pb2",
    "tensorflow.core.framework.tensor_shape_pb2",
    "tensorflow.core.framework.types_pb2",
    "tensorflow.core.protobuf.meta_graph_pb2",
    "tensorflow.core.protobuf.saved_model_pb2",
    "tensorflow_serving.apis.classification_pb2",
    "tensorflow_serving.apis.get_model_metadata_pb2",
    "tensorflow_serving.apis.get_model_status_pb2",
    "tensorflow_serving.apis.inference_pb2",
    "tensorflow_serving.apis.input_pb2",
    "tensorflow_serving.apis.model_pb2",
    "tensorflow_serving.apis.predict_pb2",
    "tensorflow_serving.apis.prediction_log_pb2",
    "tensorflow_serving.apis.regression_pb2",
    "tensorflow_serving.apis.status_pb2",
]
# Enums that are numbers here, which is the same on the wire: canonical codes, of which TensorFlow has its own list.
NUMBERS = {"Code": "type 5"}
OURS: dict[str, Descriptor] = dict(serving_pb2.DESCRIPTOR.message_types_by_name)


def _upstream(kind: str) -> dict[str, Any]:
    """Return upstream's messages, or enums, at the top of their files by name."""
    found: dict[str, Any] = {}
    for name in UPSTREAM:
        found.update(getattr(importlib.import_module(name).DESCRIPTOR, kind))
    return found


THEIRS: dict[str, Descriptor] = _upstream("message_types_by_name")
THEIR_ENUMS: dict[str, EnumDescriptor] = _upstream("enum_types_by_name")


def _type_of(field: FieldDescriptor) -> str:
    """Return a field's type, by name without its package."""
    if field.message_type is not None:
        if field.message_type.GetOptions().map_entry:
            key, value = field.message_type.fields
            return f"map of {_type_of(key)} to {_type_of(value)}"
        return str(field.message_type.full_name.rpartition(".")[2])
    if field.enum_type is not None:
        return NUMBERS.get(field.enum_type.name, str(field.enum_type.name))
    return f"type {field.type}"


def _facts(field: FieldDescriptor) -> tuple[Any, ...]:
    """Return what makes a field's bytes."""
    return field.number, _type_of(field), field.is_repeated


def _check(ours: Descriptor, theirs: Descriptor) -> None:
    for name, field in ours.fields_by_name.items():
        assert name in theirs.fields_by_name, f"upstream has no field {ours.name}.{name}"
        assert _facts(field) == _facts(theirs.fields_by_name[name]), f"{ours.name}.{name}"
    for name, one_of in ours.oneofs_by_name.items():
        assert {field.name for field in one_of.fields} <= {field.name for field in theirs.oneofs_by_name[name].fields}
    for name, nested in ours.nested_types_by_name.items():
        if not nested.GetOptions().map_entry:
            _check(nested, theirs.nested_types_by_name[name])
    for name, enum in ours.enum_types_by_name.items():
        _check_enum(enum, theirs.enum_types_by_name[name])


def _check_enum(ours: EnumDescriptor, theirs: EnumDescriptor) -> None:
    for name, value in ours.values_by_name.items():
        assert theirs.values_by_name[name].number == value.number, f"{ours.name}.{name}"


@pytest.mark.parametrize("name", sorted(OURS))
def test_message_has_upstreams_names_numbers_and_types(name: str) -> None:
    assert name in THEIRS, f"no installed module of upstream has {name}"
    _check(OURS[name], THEIRS[name])


@pytest.mark.parametrize("name", sorted(serving_pb2.DESCRIPTOR.enum_types_by_name))
def test_enum_has_upstreams_names_and_numbers(name: str) -> None:
    _check_enum(serving_pb2.DESCRIPTOR.enum_types_by_name[name], THEIR_ENUMS[name])


def test_messages_stay_out_of_upstreams_package() -> None:
    assert serving_pb2.DESCRIPTOR.package == "tensorflow_model"
