"""Large outputs are written a piece at a time, and are what they would be at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving_codec import json_outputs, json_tensors, pieces
from serving_codec.json_tensors import Output
from serving_codec.status import ServingError

if TYPE_CHECKING:
    from collections.abc import Sequence

FLOAT, STRING = 1, 7
SHAPES = st.lists(st.integers(0, 7), min_size=1, max_size=4).map(tuple)
TEXTS = st.one_of(st.binary(max_size=40), st.text(max_size=30).map(str.encode))


@pytest.fixture(autouse=True)
def _small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_outputs, "PIECE_ELEMENTS", 3)
    monkeypatch.setattr(json_outputs, "TEXT_BYTES", 6)
    monkeypatch.setattr(pieces, "PIECE_BYTES", 2)


def at_once(outputs: Sequence[Output], *, is_rows: bool) -> bytes:
    write = json_tensors.write_rows if is_rows else json_tensors.write_columns
    return write(outputs).encode("utf-8", "surrogateescape")


def of(texts: Sequence[bytes], shape: tuple[int, ...]) -> Any:
    array = np.empty(len(texts), object)
    array[:] = texts
    return array.reshape(shape)


@settings(deadline=None)
@given(shape=SHAPES, other=SHAPES, data=st.data(), is_rows=st.booleans())
def test_pieces_are_what_is_written_at_once(
    shape: tuple[int, ...], other: tuple[int, ...], data: st.DataObject, *, is_rows: bool
) -> None:
    texts = data.draw(st.lists(TEXTS, min_size=int(np.prod(shape)), max_size=int(np.prod(shape))))
    numbers = np.arange(shape[0] * np.prod(other), dtype=np.float32).reshape((shape[0], *other)) / 3
    outputs = [Output("t", STRING, of(texts, shape)), Output("b_bytes", STRING, of(texts, shape))]
    outputs.append(Output("y", FLOAT, numbers))
    for some in (outputs, outputs[:1], outputs[1:2], outputs[2:]):
        assert json_outputs.written(some, is_rows=is_rows) == at_once(some, is_rows=is_rows)


@given(text=TEXTS)
def test_one_long_text_is_written_as_any(text: bytes) -> None:
    for alias in ("t", "t_bytes"):
        output = Output(alias, STRING, np.array(text * 40, object))
        assert json_outputs.written([output], is_rows=False) == at_once([output], is_rows=False)


@pytest.mark.parametrize("shapes", [[(), (9,)], [(9,), (8,)]])
def test_outputs_without_rows_in_common_are_refused_as_at_once(shapes: list[tuple[int, ...]]) -> None:
    outputs = [Output("y", FLOAT, np.zeros(shape, np.float32)) for shape in shapes]
    with pytest.raises(ServingError) as told:
        json_outputs.written(outputs, is_rows=True)
    with pytest.raises(ServingError) as expected:
        at_once(outputs, is_rows=True)
    assert told.value.message == expected.value.message


def test_parts_are_joined() -> None:
    parts: list[bytes | memoryview] = [b"", b"a", b"bcdef", memoryview(b"ghi")]
    assert pieces.joined(parts) == b"abcdefghi"
    assert pieces.joined([]) == b""
