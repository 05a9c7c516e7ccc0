"""The text files tensorflow_model_server reads: their messages, and reading them.

tensorflow-serving-api ships ModelServerConfig alone; the others are generated from protos/config.proto.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from google.protobuf import text_format
from tensorflow.core.protobuf import config_pb2
from tensorflow_serving.config import model_server_config_pb2

from model_server.protos.config_pb2 import BatchingParameters, MonitoringConfig, SSLConfig
from serving_codec.status import invalid_argument

if TYPE_CHECKING:
    from google.protobuf.message import Message

ModelServerConfig = model_server_config_pb2.ModelServerConfig
SessionConfig = config_pb2.ConfigProto
__all__ = ["BatchingParameters", "ModelServerConfig", "MonitoringConfig", "SSLConfig", "SessionConfig", "read"]


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
        # Ours are in a package of their own; people know them by upstream's.
        name = message.DESCRIPTOR.full_name.replace("model_server.", "tensorflow.serving.")
        raise invalid_argument(f"Invalid protobuf file: '{path}': Error parsing text-format {name}: {error}") from error
    return message
