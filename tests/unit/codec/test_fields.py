"""What a message costs its parser is told from its bytes, whatever they are, without parsing them."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_description.protos import serving_pb2
from serving_codec import fields
from serving_codec.fields import FIELD, MAP_ENTRY, MESSAGE
from serving_codec.varint import varint

PREDICT = serving_pb2.PredictRequest.DESCRIPTOR
MIB = 1 << 20


def work(message: bytes, descriptor: Any = PREDICT) -> int:
    """Return the least bound that a message's work is within."""
    low, high = -1, 1 << 24
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fields.is_more_work(message, descriptor, middle) else (low, middle)
    return high


def in_field(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content


def tensor(content: bytes) -> bytes:
    """Return a PredictRequest whose input x has these fields."""
    return in_field(2, in_field(1, b"x") + in_field(2, content))


# An entry of the map, its key, its tensor.
AROUND = MAP_ENTRY + FIELD + MESSAGE


@pytest.mark.parametrize(
    ("message", "wanted"),
    [
        (b"", 0),
        (tensor(b""), AROUND),
        (tensor(b"\x08\x01" + in_field(4, bytes(1000))), AROUND + 2 * FIELD),
        (tensor(in_field(5, bytes(4000))), AROUND + FIELD),
        (tensor(in_field(2, in_field(2, b"\x08\x03") * 4)), AROUND + MESSAGE + 4 * (MESSAGE + FIELD)),
        (tensor(b"\x42\x00" * 1000), AROUND + 1000 * FIELD),
        (tensor(b"\x2d\0\0\0\0" * 10 + b"\x31" + bytes(8)), AROUND + 11 * FIELD),
        (in_field(2, in_field(1, b"x")) * 50, 50 * (MAP_ENTRY + FIELD)),
        (b"\xfb\x07\xfc\x07" * 5, 10 * FIELD),
        (b"\xa2\x06\x00" * 7, 7 * FIELD),
    ],
    ids=["nothing", "empty", "content", "packed", "shape", "strings", "unpacked", "map", "groups", "unknown"],
)
def test_fields_count_where_they_are(message: bytes, wanted: int) -> None:
    assert work(message) == wanted


def test_a_message_that_contains_its_own_kind_is_counted_to_its_depth() -> None:
    from google.protobuf import descriptor_pb2  # noqa: PLC0415 - the only one here that does

    message = b""
    for _ in range(100):
        message = in_field(3, message)
    assert work(message, descriptor_pb2.DescriptorProto.DESCRIPTOR) == 100 * MESSAGE


@given(st.binary(max_size=300))
def test_bytes_that_are_no_message_are_counted_as_far_as_they_go(message: bytes) -> None:
    assert work(message) <= len(message) * MAP_ENTRY


@given(st.binary(max_size=200))
def test_what_parses_is_counted_to_its_end(message: bytes) -> None:
    request = serving_pb2.PredictRequest()
    for number in range(3):
        request.inputs[f"{number}"].string_val.extend([message] * number)
    assert work(request.SerializeToString()) >= 3 * AROUND


def test_what_is_too_much_is_known_long_before_the_end() -> None:
    message = tensor(b"\x42\x00" * (32 * MIB))
    start = time.process_time()
    assert fields.is_more_work(message, PREDICT, 10_000)
    assert time.process_time() - start < 0.5


def test_strings_that_hold_something_are_never_too_many() -> None:
    message = tensor(in_field(8, bytes(16)) * (3 * MIB))
    assert not fields.is_more_work(message, PREDICT, fields.allowed(len(message)))
    assert fields.is_more_work(tensor(b"\x42\x00" * (8 * MIB)), PREDICT, fields.allowed(16 * MIB))
