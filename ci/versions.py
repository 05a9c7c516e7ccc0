"""The versions of ci/versions.toml."""

from __future__ import annotations

import tomllib
from typing import Any

from ci import paths

_ALL: dict[str, Any] = tomllib.loads((paths.ROOT / "ci" / "versions.toml").read_text(encoding="utf-8"))

CLUSTER: dict[str, str] = _ALL["cluster"]
MODULES: dict[str, str] = _ALL["modules"]


def of_module(name: str) -> str:
    """Return the version a Go module is pinned to, for example `v4.3.1`."""
    return MODULES[name].rpartition("@")[2]
