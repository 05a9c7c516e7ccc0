"""The check of a published model against its manifest; it fails closed."""

from __future__ import annotations

import hashlib
import json
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from model_loader.errors import VerificationError
from model_loader.store import MANIFEST

if TYPE_CHECKING:
    from pathlib import Path


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return the manifest of a published version; raise VerificationError when it is not one."""
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise VerificationError(f"{path} cannot be read: {error}") from error
    if not isinstance(manifest, dict) or not isinstance(manifest.get("files"), list) or not manifest["files"]:
        raise VerificationError(f"{path} is not a manifest: it lists no files")
    return manifest


def verify(folder: Path) -> int:
    """Check every file against the manifest and return how many there are.

    Raise VerificationError that names the first file that is missing, changed, or not in the manifest.
    """
    manifest = read_manifest(folder)
    listed = {_checked_path(entry): entry for entry in manifest["files"]}
    for name, entry in sorted(listed.items()):
        _verify_file(folder / name, entry)
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    for name in sorted(found - set(listed) - {MANIFEST}):
        raise VerificationError(f"{folder / name} is not in the manifest")
    digest = hashlib.sha256(json.dumps(manifest["files"], sort_keys=True, separators=(",", ":")).encode()).hexdigest()
    if digest != manifest.get("digest"):
        raise VerificationError(f"{folder / MANIFEST} is damaged: its digest is not that of its list of files")
    return len(listed)


def _checked_path(entry: object) -> str:
    """Return an entry's path; one that leaves the version's directory is refused."""
    path = entry.get("path") if isinstance(entry, dict) else None
    if not isinstance(path, str) or PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts:
        raise VerificationError(f"the manifest names a file that cannot be: {path!r}")
    return path


def _verify_file(path: Path, entry: dict[str, Any]) -> None:
    try:
        size_bytes = path.stat().st_size
        if size_bytes != entry.get("size_bytes"):
            raise VerificationError(f"{path} has {size_bytes} bytes, the manifest says {entry.get('size_bytes')}")
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise VerificationError(f"{path} cannot be read: {error.strerror}") from error
    if found != entry.get("sha256"):
        raise VerificationError(f"{path} has SHA-256 {found}, the manifest says {entry.get('sha256')}")
