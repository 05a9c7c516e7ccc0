"""TensorFlow's messages are silenced without changing what it computes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from trainer import quiet

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("flags", "asked"),
    [("fpu avx2 avx512_vnni", "1"), ("fpu avx_vnni", "1"), ("fpu avx2 avx512f", None), ("", None)],
)
def test_onednn_is_asked_for_where_it_is_used_anyway(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, flags: str, asked: str | None
) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text(f"processor\t: 0\nflags\t\t: {flags}\n", encoding="ascii")
    monkeypatch.setattr(quiet, "CPUINFO", cpuinfo)
    monkeypatch.setattr(os, "environ", {})
    quiet.set_environment()
    assert (os.environ.get(quiet.ONEDNN), os.environ[quiet.LEVEL]) == (asked, "3")


def test_what_is_set_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", {quiet.ONEDNN: "0", quiet.LEVEL: "0"})
    quiet.set_environment()
    assert os.environ == {quiet.ONEDNN: "0", quiet.LEVEL: "0"}
