"""Examples in JSON take no more than a small multiple of what was sent."""

from __future__ import annotations

import pytest

from model_description.protos import serving_pb2
from serving_codec import json_examples
from serving_codec.status import ServingError


def test_context_is_in_front_of_each_example() -> None:
    found = json_examples.read({"context": {"x": 1.5}, "examples": [{}, {"x": 2.5}]}, "classify")
    values = [serving_pb2.Example.FromString(one).features.feature["x"].float_list.value[:] for one in found]
    assert values == [[1.5], [2.5]]


def test_context_in_front_of_many_examples_is_bounded() -> None:
    document = {"context": {"x": "c" * 100_000}, "examples": [{}] * 100_000}
    with pytest.raises(ServingError, match="in front of each of 100000 examples would take"):
        json_examples.read(document, "classify")
