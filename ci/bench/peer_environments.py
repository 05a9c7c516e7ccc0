"""Environments of the servers that are measured beside ours: one each, from hashed locks, kept in the cache."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from ci import paths
from ci.steps import run, step

if TYPE_CHECKING:
    from pathlib import Path

LOCKS = paths.ROOT / "ci" / "locks"
NAMES = ("flask", "floors", "http", "litserve", "mlserver")


def python(name: str) -> str:
    """Return the interpreter of a peer's environment, which is made where it is missing or of another lock."""
    lock = LOCKS / f"peers-{name}.txt"
    home = paths.cache() / "peers" / name
    stamp = home / "installed.txt"
    wanted = lock.read_text(encoding="utf-8")
    if not stamp.exists() or stamp.read_text(encoding="utf-8") != wanted:
        with step(f"install {name}"):
            run([sys.executable, "-m", "venv", "--clear", home])
            pip: list[str | Path] = [
                home / "bin" / "python",
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
            ]
            run([*pip, "--require-hashes", "--no-deps", "-r", lock], hint="the package index must be reachable")
        stamp.write_text(wanted, encoding="utf-8")
    return str(home / "bin" / "python")
