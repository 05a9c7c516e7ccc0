"""Bodies: what is taken, what is refused, and in which words."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_api import body
from model_api.errors import ApiError, InputError, NotJsonError
from model_api.model import Signature

SIGNATURE = Signature("pixels", "probabilities", (2, 3), 1)
VECTOR = Signature("x", "y", (4,), 1)


def parse(content: object, signature: Signature = SIGNATURE) -> body.Images:
    """Parse JSON text or an object."""
    raw = content if isinstance(content, bytes) else json.dumps(content).encode()
    return body.parse(raw, signature, most=3)


@pytest.mark.parametrize("image", [[0, 1, 2, 3, 4, 255.5], [[0, 1, 2], [3, 4, 255.5]]])
def test_image_may_be_flat_or_nested(image: list[Any]) -> None:
    images = parse({"input": image})
    assert images.is_single
    np.testing.assert_array_equal(images.numbers, np.array([[0, 1, 2, 3, 4, 255.5]], np.float32))


def test_images_may_be_several() -> None:
    images = parse({"inputs": [[0] * 6, [[1] * 3] * 2]})
    assert (images.is_single, images.numbers.shape) == (False, (2, 6))


@pytest.mark.parametrize(
    ("content", "error", "told"),
    [
        (b"", NotJsonError, "not JSON"),
        (b'{"input": [1,', NotJsonError, "not JSON"),
        (b"\xff", NotJsonError, "not JSON"),
        (b"[" * 100_000, NotJsonError, "not JSON"),
        ([1], NotJsonError, "got a list of 1"),
        ({}, InputError, "exactly one of"),
        ({"input": [], "inputs": []}, InputError, "exactly one of"),
        ({"input": 7}, InputError, "input: expected 6 numbers, flat or nested 2x3, got 7"),
        ({"input": []}, InputError, "got 0 values"),
        ({"input": [1] * 7}, InputError, "got 7 values"),
        ({"input": [1, 2, 3, "4", 5, 6]}, InputError, 'got "4" at position 3'),
        ({"input": [1, 2, True, 4, 5, 6]}, InputError, "got true at position 2"),
        ({"input": [1, None, 3, 4, 5, 6]}, InputError, "got null at position 1"),
        ({"input": [[1, 2, 3]]}, InputError, "got a list of 1 where 2 belong"),
        ({"input": [[1, 2, 3], [4, 5]]}, InputError, "got a list of 2 where 3 belong"),
        ({"input": [[1, 2, 3], 4]}, InputError, "got 4 where a list belongs"),
        ({"input": [float("nan")] * 6}, InputError, "got NaN"),
        ({"input": [float("inf")] * 6}, InputError, "got Infinity"),
        (b'{"input": [1e39, 1, 1, 1, 1, 1]}', InputError, "finite numbers that fit float32"),
        ({"inputs": []}, InputError, "non-empty list"),
        ({"inputs": [[0] * 6] * 4}, InputError, "at most 3 images, got 4"),
        ({"inputs": [[0] * 6, [0] * 5]}, InputError, "inputs[1]: expected 6 numbers"),
    ],
)
def test_bad_body_is_refused_in_words(content: object, error: type[ApiError], told: str) -> None:
    with pytest.raises(error) as refused:
        parse(content)
    assert told in str(refused.value)


def test_integer_model_takes_whole_numbers_only() -> None:
    whole = Signature("x", "y", (2,), 4)
    assert parse({"input": [0, 255]}, whole).numbers.dtype == np.uint8
    for value in (256, -1, 0.5):
        with pytest.raises(InputError, match="whole numbers that fit uint8"):
            parse({"input": [0, value]}, whole)


numbers = st.one_of(st.integers(-(2**70), 2**70), st.floats(allow_nan=True, allow_infinity=True))
values = st.recursive(st.one_of(numbers, st.booleans(), st.none(), st.text(max_size=3)), st.lists, max_leaves=8)


@given(
    st.one_of(values, st.fixed_dictionaries({"input": st.one_of(values, st.lists(numbers, min_size=4, max_size=4))}))
)
def test_any_json_is_an_image_or_a_refusal(content: object) -> None:
    try:
        images = parse(content, VECTOR)
    except ApiError:
        return
    # What is taken is what a slow and obvious reading takes.
    assert isinstance(content, dict)
    expected = [float(value) for value in content["input"]]
    np.testing.assert_array_equal(images.numbers[0], np.array(expected).astype(np.float32))
    assert np.isfinite(images.numbers).all()


@given(st.binary(max_size=40))
def test_any_bytes_are_an_image_or_a_refusal(content: bytes) -> None:
    with pytest.raises(ApiError):
        parse(content, VECTOR)
