"""Data sets: only files with the right digest count."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ci.images import datasets

if TYPE_CHECKING:
    from pathlib import Path


def test_missing_and_wrong_files_do_not_count(tmp_path: Path) -> None:
    assert not datasets.is_complete("mnist", tmp_path)
    for name in datasets.FILES:
        (tmp_path / name).write_bytes(b"something else")
    assert not datasets.is_complete("mnist", tmp_path)


def test_both_data_sets_have_the_four_original_files() -> None:
    assert {name: sorted(files) for name, files in datasets.DIGESTS.items()} == dict.fromkeys(
        ("mnist", "fashion-mnist"), sorted(datasets.FILES)
    )
