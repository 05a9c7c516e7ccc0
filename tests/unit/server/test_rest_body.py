"""A body is read once, whoever asks, and anew only for another model."""

from __future__ import annotations

from typing import Any
from unittest import mock

import numpy as np
import pytest

from model_server.rest_body import Body
from serving_codec import json_numbers, json_tensors

FLOAT = {"x": 1}
STRING = {"x": 7}


@pytest.mark.parametrize(
    ("content", "dtypes", "name", "values"),
    [
        (b'{"instances": [1, 2.5]}', FLOAT, "", [1.0, 2.5]),
        (b'{"inputs": ["a", "b"], "signature_name": "s"}', STRING, "s", [b"a", b"b"]),
        # Numbers that are not wanted: read as JSON, to be told why not or to be taken as they are.
        (b'{"instances": [[1], [2]]}', FLOAT, "", [[1.0], [2.0]]),
    ],
)
def test_body_is_read_once(content: bytes, dtypes: dict[str, int], name: str, values: list[Any]) -> None:
    body, model = Body(content), mock.Mock()
    with (
        mock.patch.object(json_numbers, "read", wraps=json_numbers.read) as quick,
        mock.patch.object(json_tensors, "parse", wraps=json_tensors.parse) as careful,
    ):
        for _ in range(2):
            assert body.signature_name() == name
            tensors, _ = body.inputs(model, name, dtypes)
            assert np.asarray(tensors["x"]).tolist() == values
        assert (quick.call_count, careful.call_count <= 1) == (1, True)


def test_another_model_is_read_for_anew() -> None:
    body = Body(b'{"instances": [1]}')
    first, _ = body.inputs(mock.Mock(), "", {"x": 1})
    second, _ = body.inputs(mock.Mock(), "", {"x": 3})
    assert [tensors["x"].dtype.name for tensors in (first, second)] == ["float32", "int32"]
