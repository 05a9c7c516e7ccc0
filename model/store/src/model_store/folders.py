"""Folders of versions: which versions they hold, and what is in them instead of what was looked for."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from model_store import fetching, names, tree
from model_store.errors import StoreError
from model_store.names import is_ours, listed, shown
from model_store.store import Found, newest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from model_store.store import Wanted

# What a version's folder holds one of (tensorflow/cc/saved_model/constants.h, and tflite_session.cc of TensorFlow
# Serving).
MODEL_FILES = ("saved_model.pb", "saved_model.pbtxt", "model.tflite")
# How far a model in the wrong place is looked for.
_SEARCH_DEPTH = 3
_SEARCH_FOLDERS = 200


def versions(home: Path) -> dict[int, Path]:
    """Return the folders of versions in a folder by number, none where it is none; links to folders are none."""
    return {version: home / name for version, name in names.versions(tree.folders(home)).items()}


def has_model(folder: Path) -> bool:
    """Tell whether a folder holds one of MODEL_FILES."""
    return any(tree.is_file(folder / name) for name in MODEL_FILES)


def pick(candidates: Iterable[Mapping[int, Path]], wanted: Wanted, is_complete: Callable[[Path], bool]) -> Found | None:
    """Return the complete version that is wanted, the highest of several; the first of equals."""
    best = newest(candidates, wanted, is_complete)
    return None if best is None else found_in(best[1], best[0])


def found_in(folder: Path, version: int) -> Found:
    """Return the version that is in a folder."""
    return Found(version, shown(folder), fetching.peek_manifest(folder), folder)


def folder_of(found: Found) -> Path:
    """Return the folder a version was found in; raise StoreError when another kind of store found it."""
    if not isinstance(found.handle, Path):
        raise StoreError(f"{found.place} was found by another store: fetch it from that one")
    return found.handle


def contents(folder: Path) -> str:
    """Return what a folder holds, as the rest of a sentence; raise nothing."""
    try:
        with os.scandir(folder) as entries:
            inside = sorted(
                f"{entry.name} (a link, not followed)" if entry.is_symlink() else entry.name + "/" * entry.is_dir()
                for entry in entries
                if is_ours(entry.name)
            )
    except FileNotFoundError:
        there = next((parent for parent in folder.parents if parent.is_dir()), folder)
        return f"{shown(folder)} is not there" + ("" if there == folder else f"; {contents(there)}")
    except NotADirectoryError:
        return f"{shown(folder)} is not a folder"
    except OSError as error:
        return f"{shown(folder)} cannot be read: {error.strerror}"
    return f"{shown(folder)} has {listed(inside)}" if inside else f"{shown(folder)} is empty"


def models_below(folder: Path) -> list[str]:
    """Return where below a folder there are models, as paths from it; not further than is worth waiting for."""
    found = []
    for below in _nearest(folder):
        try:
            if has_model(below):
                found.append(below.relative_to(folder).as_posix())
        except StoreError:
            continue
    return found


def _nearest(folder: Path) -> Iterator[Path]:
    """Yield a folder and those below it, nearest first."""
    level, count = [folder], 0
    for _ in range(_SEARCH_DEPTH + 1):
        further = []
        for here in level:
            count += 1
            if count > _SEARCH_FOLDERS:
                return
            yield here
            try:
                further += [here / name for name in tree.folders(here) if is_ours(name)]
            except StoreError:
                continue
        level = further
