"""The text files of the server: their messages are those of config.proto, and errors name them as upstream does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from model_server import config_messages
from model_server.protos import config_pb2
from serving_codec.status import ServingError

PROTO = Path(config_pb2.__file__).with_name("config.proto")


def test_generated_messages_are_those_of_the_proto_file() -> None:
    text = re.sub(r"//.*", "", PROTO.read_text(encoding="utf-8"))
    written = {
        (message, name, int(number))
        for message, body in re.findall(r"message (\w+) \{(.*?)\}", text, re.DOTALL)
        for name, number in re.findall(r"(\w+) = (\d+);", body)
    }
    generated = {
        (message.name, field.name, field.number)
        for message in config_pb2.DESCRIPTOR.message_types_by_name.values()
        for field in message.fields
    }
    assert generated == written
    assert len(generated) == 16


def test_fields_are_read_by_upstreams_names(tmp_path: Path) -> None:
    path = tmp_path / "batching.txt"
    path.write_text("max_batch_size { value: 8 }, allowed_batch_sizes: [4, 8]; thread_pool_name: { value: 'p' }")
    found = config_messages.read(path, config_messages.BatchingParameters)
    assert (found.max_batch_size.value, found.allowed_batch_sizes[:], found.thread_pool_name.value) == (8, [4, 8], "p")
    assert not found.HasField("max_enqueued_batches")


def test_a_file_that_cannot_be_read_is_told_in_upstreams_words(tmp_path: Path) -> None:
    path = tmp_path / "ssl.txt"
    path.write_text("sever_key: ''")
    with pytest.raises(ServingError) as refused:
        config_messages.read(path, config_messages.SSLConfig)
    told = f"Invalid protobuf file: '{path}': Error parsing text-format tensorflow.serving.SSLConfig: "
    assert refused.value.message.startswith(told)
    with pytest.raises(ServingError, match="Invalid protobuf file: '/no/such/file': "):
        config_messages.read("/no/such/file", config_messages.MonitoringConfig)
