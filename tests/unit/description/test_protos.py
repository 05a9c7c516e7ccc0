"""The generated messages are those of serving.proto."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from model_description.protos import serving_pb2

if TYPE_CHECKING:
    from collections.abc import Iterator

    from google.protobuf.descriptor import Descriptor

PROTO = Path(serving_pb2.__file__).with_name("serving.proto")


def test_generated_fields_are_those_of_the_proto_file() -> None:
    text = re.sub(r"//.*", "", PROTO.read_text(encoding="utf-8"))
    messages = re.sub(r"enum \w+ \{.*?\}", "", text, flags=re.DOTALL)
    written = sorted((name, int(number)) for name, number in re.findall(r"(\w+) = (\d+);", messages))
    found = [field for top in serving_pb2.DESCRIPTOR.message_types_by_name.values() for field in _fields(top)]
    assert sorted(found) == written
    assert len(written) == 97


def test_generated_numbers_of_enums_are_those_of_the_proto_file() -> None:
    text = PROTO.read_text(encoding="utf-8")
    written = {
        (name, int(number))
        for body in re.findall(r"enum \w+ \{(.*?)\}", text, re.DOTALL)
        for name, number in re.findall(r"(\w+) = (\d+);", body)
    }
    states = serving_pb2.ModelVersionStatus.State.DESCRIPTOR.values
    generated = {(value.name, value.number) for value in (*serving_pb2.DataType.DESCRIPTOR.values, *states)}
    assert generated == written


def _fields(message: Descriptor) -> Iterator[tuple[str, int]]:
    yield from ((field.name, field.number) for field in message.fields)
    for nested in message.nested_types:
        # The entries of maps are the compiler's own.
        if not nested.GetOptions().map_entry:
            yield from _fields(nested)
