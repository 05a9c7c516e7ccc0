"""A published model made of small files."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def publish(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that publishes a version and returns its directory."""

    def published(key: str = "0123456789ab", version: int = 1) -> Path:
        folder = tmp_path / "store" / "mnist" / key / str(version)
        (folder / "variables").mkdir(parents=True)
        (folder / "saved_model.pb").write_bytes(b"graph")
        (folder / "variables" / "variables.index").write_bytes(b"index")
        files = [
            {
                "path": path.relative_to(folder).as_posix(),
                "size_bytes": path.stat().st_size,
                "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            }
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        ]
        digest = hashlib.sha256(json.dumps(files, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
        content = {"version": version, "files": files, "digest": digest}
        (folder / "manifest.json").write_text(json.dumps(content))
        return folder

    return published
