"""Arrays written in pieces are what they are when written at once."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import orjson
import pytest

from serving_codec import json_arrays, json_tensors
from serving_codec.json_tensors import Output

PIECE = json_arrays.PIECE_ELEMENTS


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64, np.uint8, np.bool_])
@pytest.mark.parametrize(
    "shape", [(0,), (3,), (PIECE,), (PIECE + 1,), (3 * PIECE + 5,), (2, PIECE + 1), (PIECE + 3, 2), (5, 3, PIECE // 4)]
)
def test_pieces_say_what_the_whole_says(shape: tuple[int, ...], dtype: Any) -> None:
    values = np.random.default_rng(1).normal(size=shape)
    array = (values * 100).astype(dtype)
    told = orjson.dumps({"y": json_arrays.fragment(array)}, option=orjson.OPT_SERIALIZE_NUMPY)
    assert told == orjson.dumps({"y": array}, option=orjson.OPT_SERIALIZE_NUMPY)


def test_what_is_no_number_is_null_in_a_piece_too() -> None:
    array = np.full(PIECE + 2, math.nan)
    assert set(orjson.loads(orjson.dumps(json_arrays.fragment(array)))) == {None}


@pytest.mark.parametrize(
    ("number", "dtype"), [(1, np.float32), (2, np.float64), (9, np.int64), (10, np.bool_), (7, np.object_)]
)
def test_rests_own_words_are_the_same_in_pieces(monkeypatch: pytest.MonkeyPatch, number: int, dtype: Any) -> None:
    values = np.random.default_rng(2).normal(size=(7, 5)) * 50
    array = (
        values.astype(dtype) if dtype is not np.object_ else np.vectorize(lambda v: str(v).encode(), [object])(values)
    )
    outputs = [Output("y", number, array)]
    rows, columns = json_tensors.write_rows(outputs), json_tensors.write_columns(outputs)
    monkeypatch.setattr(json_tensors, "PIECE_ELEMENTS", 4)
    assert (json_tensors.write_rows(outputs), json_tensors.write_columns(outputs)) == (rows, columns)
