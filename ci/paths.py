"""Where things are: the repository, and the cache that survives a clean checkout."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CHART = ROOT / "charts" / "tensorflow-model"


def cache() -> Path:
    """Return (and create) the cache folder: $TENSORFLOW_MODEL_CACHE, else the user's cache folder."""
    named = os.environ.get("TENSORFLOW_MODEL_CACHE")
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = Path(named) if named else base / "tensorflow-model"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
