"""Fetching from a folder: an exact copy, held to the manifest in it."""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
from typing import TYPE_CHECKING

from model_store import tree
from model_store.errors import StoreError, VerificationError
from model_store.manifest import FILE_NAME, MAXIMUM_BYTES, File, Manifest
from model_store.names import shown
from model_store.store import Fetched

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def read_manifest(folder: Path) -> Manifest | None:
    """Return the manifest in a version's folder, None where there is none; raise VerificationError for a broken one."""
    content = tree.read(folder, FILE_NAME, MAXIMUM_BYTES)
    return None if content is None else Manifest.parse(content, str(folder / FILE_NAME))


def listed_files(manifest: Manifest, content: bytes) -> dict[str, File]:
    """Return what a copy is held to by path, its manifest, which has this content, included."""
    # What is handed over is the manifest that was read.
    itself = File(FILE_NAME, len(content), hashlib.sha256(content).hexdigest())
    return {**{file.path: file for file in manifest.files}, FILE_NAME: itself}


def peek_manifest(folder: Path) -> Manifest | None:
    """Return the manifest in a version's folder, None where there is none that can be read."""
    try:
        return read_manifest(folder)
    except StoreError:
        return None


def whole(folder: Path) -> Manifest | None:
    """Return the manifest in a version's folder where every file it lists is there in its size, None otherwise.

    What this is about is a version that was removed in part; bytes are not read. Raise StoreError when the store cannot
    be.
    """
    try:
        manifest = read_manifest(folder)
    except VerificationError:
        return None
    if manifest is None:
        return None
    with tree.telling(f"{shown(folder)} cannot be read"):
        return manifest if all(_is_there(folder, file) for file in manifest.files) else None


def _is_there(folder: Path, file: File) -> bool:
    try:
        found = (folder / file.path).lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return stat.S_ISREG(found.st_mode) and found.st_size == file.size_bytes


@contextlib.contextmanager
def _staying(folder: Path) -> Iterator[None]:
    """Have what fails because a version was removed meanwhile be a store that could not be read just now."""
    before = _stat(folder)
    try:
        yield
    except VerificationError as error:
        after = _stat(folder)
        if before is not None and (after is None or not os.path.samestat(before, after)):
            raise StoreError(f"{shown(folder)} was removed while it was copied") from error
        raise


def _stat(folder: Path) -> os.stat_result | None:
    try:
        return folder.lstat()
    except OSError:
        return None


def fetch(
    folder: Path,
    version: int,
    target: Path,
    *,
    verify: bool,
    needs_manifest: bool,
    limit_bytes: int | None,
    left_out: frozenset[str] = frozenset(),
) -> Fetched:
    """Copy a version's folder as Store.fetch promises; `needs_manifest` refuses to verify one that has none."""
    with _staying(folder):
        return _fetch(folder, version, target, verify, needs_manifest, limit_bytes, left_out)


def _fetch(  # noqa: PLR0917 - what `fetch` takes
    folder: Path,
    version: int,
    target: Path,
    verify: bool,  # noqa: FBT001 - ditto
    needs_manifest: bool,  # noqa: FBT001 - ditto
    limit_bytes: int | None,
    left_out: frozenset[str],
) -> Fetched:
    content = tree.read(folder, FILE_NAME, MAXIMUM_BYTES) if verify else None
    if content is None:
        if verify and needs_manifest:
            raise VerificationError(f"{shown(folder)} has no {FILE_NAME}: it cannot be verified")
        copied = tree.copy(folder, target, listed=None, limit_bytes=limit_bytes, left_out=left_out)
        return Fetched(version, target, peek_manifest(target), False, copied.file_count, copied.size_bytes)  # noqa: FBT003 - a field
    manifest = Manifest.parse(content, str(folder / FILE_NAME))
    listed = listed_files(manifest, content)
    copied = tree.copy(folder, target, listed=listed, limit_bytes=limit_bytes, left_out=left_out)
    return Fetched(version, target, manifest, True, copied.file_count, copied.size_bytes)  # noqa: FBT003 - a field
