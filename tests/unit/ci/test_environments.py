"""Environments: a folder for each set of locks, and none that nobody uses any more."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest

from ci import environments, paths

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a checkout with a lock, whose environments are kept beside it."""
    root = tmp_path / "tree"
    (root / "ci" / "locks").mkdir(parents=True)
    (root / "ci" / "locks" / "nox.txt").write_text("nox==1\n")
    monkeypatch.setattr(paths, "ROOT", root)
    monkeypatch.setenv("TENSORFLOW_MODEL_CACHE", str(tmp_path / "cache"))
    return root


@pytest.mark.parametrize("lock", ["ci/locks/nox.txt", "ci/locks/test.txt", "images/api/requirements.txt"])
def test_folder_changes_with_every_lock_and_with_nothing_else(tree: Path, lock: str) -> None:
    before = environments.folder()
    (tree / "noxfile.py").write_text("import nox\n")
    assert environments.folder() == before
    (tree / lock).parent.mkdir(parents=True, exist_ok=True)
    (tree / lock).write_text("nox==2\n")
    assert environments.folder() != before


@pytest.mark.usefixtures("tree")
def test_environments_in_use_are_kept_and_others_are_forgotten() -> None:
    used = environments.folder()
    (used / "nox").mkdir(parents=True)
    (used / "nox" / "complete").touch()
    long_ago = time.time() - environments.KEPT_SECONDS - 60
    for name, seen in (("older", long_ago), ("other", time.time())):
        (used.parent / name).mkdir()
        (used.parent / f"{name}.lock").touch()
        os.utime(used.parent / name, (seen, seen))
    os.utime(used, (long_ago, long_ago))
    assert environments.bootstrap() == used / "nox"
    assert sorted(path.name for path in used.parent.iterdir()) == sorted(
        [used.name, f"{used.name}.lock", "other", "other.lock"]
    )
