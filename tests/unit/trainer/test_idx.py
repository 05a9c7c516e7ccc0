"""IDX files in, arrays out, damage named."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tests.unit.trainer.conftest import idx
from trainer.errors import InputError
from trainer.recipes.idx import parse_idx


@given(arrays.arrays(np.uint8, arrays.array_shapes(min_dims=3, max_dims=3, max_side=6)))
def test_what_is_written_is_read(array: np.ndarray) -> None:
    np.testing.assert_array_equal(parse_idx(idx(array), 3, "file"), array)


@given(st.binary(max_size=64))
def test_any_bytes_are_an_array_or_named_as_damaged(content: bytes) -> None:
    try:
        assert parse_idx(content, 1, "file").ndim == 1
    except InputError as error:
        assert str(error).startswith("file is damaged")


@pytest.mark.parametrize("cut", [1, 5, 20])
def test_truncated_file_is_named(cut: int) -> None:
    with pytest.raises(InputError, match="file is damaged"):
        parse_idx(idx(np.zeros((2, 3, 3), np.uint8))[:-cut], 3, "file")
