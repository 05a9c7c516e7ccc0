"""Environments: a folder for each set of locks, and none that nobody uses any more."""

from __future__ import annotations

import fcntl
import os
import time
from typing import TYPE_CHECKING

import pytest

from ci import environments, paths

if TYPE_CHECKING:
    from pathlib import Path

ROOT = paths.ROOT


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


@pytest.fixture
def used(tree: Path) -> Path:
    """Return the folder of that checkout's environments, with nox's."""
    folder = environments.folder()
    assert folder.is_relative_to(tree.parent / "cache")
    (folder / "nox").mkdir(parents=True)
    (folder / "nox" / "complete").touch()
    return folder


def test_environment_that_was_left_half_made_is_made_anew_and_others_are_left_alone(used: Path) -> None:
    for name in ("half", "whole", "at-work"):
        (used / name / "bin").mkdir(parents=True)
        (used / name / environments.LOCK).touch()
    (used / "whole" / environments.STAMP).touch()
    with (used / "at-work" / environments.LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        environments.bootstrap()
    assert sorted(path.name for path in used.iterdir()) == ["at-work", "nox", "whole"]


def test_noxfile_calls_stamp_and_lock_the_same() -> None:
    noxfile = (ROOT / "noxfile.py").read_text()
    assert f'"{environments.STAMP}"' in noxfile
    assert f'"{environments.LOCK}"' in noxfile


def test_environments_in_use_are_kept_and_others_are_forgotten(used: Path) -> None:
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
