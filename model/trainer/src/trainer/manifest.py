"""The manifest beside a SavedModel: what it was made from, how good it is, and the digest of every file."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

FILE_NAME = "manifest.json"
FORMAT = 1


def files(folder: Path) -> list[dict[str, Any]]:
    """Return path, size_bytes and sha256 of every file below a folder but the manifest, sorted by path."""
    listed = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != FILE_NAME)
    return [
        {
            "path": path.relative_to(folder).as_posix(),
            "size_bytes": path.stat().st_size,
            "sha256": _sha256(path),
        }
        for path in listed
    ]


def digest(listed: Sequence[dict[str, Any]]) -> str:
    """Return the model's digest: SHA-256 of the canonical JSON of its list of files."""
    return hashlib.sha256(json.dumps(listed, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def render(facts: dict[str, Any], folder: Path) -> str:
    """Return the manifest of the files in a folder as JSON text, with `facts` about how they came to be."""
    listed = files(folder)
    content = {"format": FORMAT, **facts, "files": listed, "digest": digest(listed)}
    return json.dumps(content, indent=2) + "\n"


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
