"""Making a verified version visible to the containers that use it."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from model_loader.store import MANIFEST

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def link_version(folder: Path, target: Path) -> Path:
    """Link a version's directory into `target`, replacing what is there; return the link."""
    target.mkdir(parents=True, exist_ok=True)
    link = target / folder.name
    _replace(link, lambda partial: partial.symlink_to(folder))
    return link


def copy_manifest(folder: Path, target: Path) -> Path:
    """Copy a version's manifest into `target`; return the copy."""
    target.mkdir(parents=True, exist_ok=True)
    copy = target / MANIFEST
    _replace(copy, lambda partial: shutil.copyfile(folder / MANIFEST, partial))
    return copy


def _replace(path: Path, make: Callable[[Path], object]) -> None:
    partial = path.with_name(f".{path.name}.partial")
    partial.unlink(missing_ok=True)
    make(partial)
    partial.replace(path)
