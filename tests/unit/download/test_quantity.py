"""Kubernetes' quantities of bytes."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies

from model_download import quantity


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [
        ("4Gi", 4 << 30),
        ("500M", 500_000_000),
        ("1.5Ki", 1536),
        ("128974848", 128_974_848),
        ("129e6", 129_000_000),
        ("123E3", 123_000),
        ("2E", 2 * 10**18),
        ("1Ei", 1 << 60),
        (".5k", 500),
        ("1500m", 2),
        ("+1", 1),
    ],
)
def test_quantity_is_bytes(text: str, size_bytes: int) -> None:
    assert quantity.parse(text) == size_bytes


@pytest.mark.parametrize(
    "text",
    ["", "Gi", "-1", "1 Gi", "1gi", "1KB", "0x10", "1e", "1e3Gi", "\N{ARABIC-INDIC DIGIT ONE}", "1²", "inf"],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected a quantity"):
        quantity.parse(text)


@given(strategies.text(alphabet="0123456789.eE+-KMGTPinumk ", max_size=12))
def test_no_text_is_more_than_refused(text: str) -> None:
    try:
        assert quantity.parse(text) >= 0
    except ValueError as error:
        assert "expected a quantity" in str(error)


def test_sizes_are_shown_in_mib() -> None:
    assert [quantity.shown(size) for size in (12, 1 << 20, 5_000_000_000)] == ["12 bytes", "1.0 MiB", "4768.4 MiB"]
