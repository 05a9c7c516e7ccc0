"""The text files tensorflow_model_server reads: their messages, and reading them.

tensorflow-serving-api ships ModelServerConfig alone. The others are described here by the names upstream gives them
(config/monitoring_config.proto, config/ssl_config.proto, servables/tensorflow/session_bundle_config.proto); text files
know fields by name, so the numbers are our own.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format, wrappers_pb2
from tensorflow.core.protobuf import config_pb2
from tensorflow_serving.config import model_server_config_pb2

from serving_codec.status import invalid_argument

if TYPE_CHECKING:
    from google.protobuf.message import Message

PACKAGE = "tensorflow.serving"
# Message -> field -> type: a scalar's, a wrapper message's, or one of these messages'; "[]" is a repeated field.
MESSAGES = {
    "PrometheusConfig": {"enable": "bool", "path": "string"},
    "MonitoringConfig": {"prometheus_config": "PrometheusConfig"},
    "SSLConfig": {"server_key": "string", "server_cert": "string", "custom_ca": "string", "client_verify": "bool"},
    "BatchingParameters": {
        "max_batch_size": "Int64Value",
        "batch_timeout_micros": "Int64Value",
        "max_enqueued_batches": "Int64Value",
        "num_batch_threads": "Int64Value",
        "thread_pool_name": "StringValue",
        "allowed_batch_sizes": "int64[]",
        "pad_variable_length_inputs": "bool",
        "enable_large_batch_splitting": "BoolValue",
        "max_execution_batch_size": "Int64Value",
    },
}


def _pool() -> descriptor_pool.DescriptorPool:
    wrappers = descriptor_pb2.FileDescriptorProto()
    wrappers_pb2.DESCRIPTOR.CopyToProto(wrappers)
    file = descriptor_pb2.FileDescriptorProto(
        name="model_server_text_files.proto", package=PACKAGE, syntax="proto3", dependency=[wrappers.name]
    )
    for name, fields in MESSAGES.items():
        message = file.message_type.add(name=name)
        for number, (field, kind) in enumerate(fields.items(), start=1):
            _add_field(message, number, field, kind)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(wrappers)
    pool.Add(file)
    return pool


def _add_field(message: Any, number: int, name: str, kind: str) -> None:
    kinds = descriptor_pb2.FieldDescriptorProto
    base = kind.removesuffix("[]")
    label = kinds.LABEL_REPEATED if kind.endswith("[]") else kinds.LABEL_OPTIONAL
    scalars = {"bool": kinds.TYPE_BOOL, "string": kinds.TYPE_STRING, "int64": kinds.TYPE_INT64}
    if base in scalars:
        message.field.add(name=name, number=number, label=label, type=scalars[base])
        return
    package = PACKAGE if base in MESSAGES else "google.protobuf"
    message.field.add(name=name, number=number, label=label, type=kinds.TYPE_MESSAGE, type_name=f".{package}.{base}")


_POOL = _pool()


def _class(name: str) -> Any:
    return message_factory.GetMessageClass(_POOL.FindMessageTypeByName(f"{PACKAGE}.{name}"))


MonitoringConfig = _class("MonitoringConfig")
SSLConfig = _class("SSLConfig")
BatchingParameters = _class("BatchingParameters")
ModelServerConfig = model_server_config_pb2.ModelServerConfig
SessionConfig = config_pb2.ConfigProto


def read(path: str | Path, kind: Any) -> Any:
    """Return the message of a text-format file; raise INVALID_ARGUMENT, `Invalid protobuf file: 'F'`, otherwise.

    What is wrong with it, and where, goes to the standard error stream's log as protobuf words it.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise invalid_argument(f"Invalid protobuf file: '{path}': {error}") from error
    message: Message = kind()
    try:
        text_format.Parse(text, message)
    except text_format.ParseError as error:
        raise invalid_argument(
            f"Invalid protobuf file: '{path}': Error parsing text-format {message.DESCRIPTOR.full_name}: {error}"
        ) from error
    return message
