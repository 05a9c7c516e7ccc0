"""Versions on disk: the numbered directories of a model's base path."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

# What C++'s strtoint64 takes for a directory name.
NUMBER = re.compile(r"[0-9]{1,19}")
INT64_MAXIMUM = 2**63 - 1


def discover(base_path: Path) -> dict[int, Path]:
    """Return every version below a base path with its directory; raise OSError when the path cannot be read.

    "00000123" is version 123; of two names for one number the last in name order wins.
    """
    found = {}
    for path in sorted(base_path.iterdir()):
        if NUMBER.fullmatch(path.name) and int(path.name) <= INT64_MAXIMUM and path.is_dir():
            found[int(path.name)] = path
    return found
