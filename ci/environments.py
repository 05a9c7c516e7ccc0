"""Environments of the nox sessions: one folder for one set of locks, kept beside the tools for the next checkout.

`python3 -m ci.environments` makes nox's own, the first, with nothing but the standard library, and prints its folder.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import shutil
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from ci import paths
from ci.turns import turn

if TYPE_CHECKING:
    from pathlib import Path

LOCKS = ("ci/locks/*.txt", "images/*/requirements*.txt")
NOX_LOCK = paths.ROOT / "ci" / "locks" / "nox.txt"
# As noxfile.py has them, which imports nothing of `ci`.
STAMP, LOCK = "installed.txt", "installed.lock"
KEPT_SECONDS = 14 * 24 * 3600


def folder() -> Path:
    """Return the folder of the environments for this Python and these locks."""
    digest = hashlib.sha256(f"{sys.version} {sys.base_prefix}".encode())
    for path in sorted(path for pattern in LOCKS for path in paths.ROOT.glob(pattern)):
        digest.update(str(path.relative_to(paths.ROOT)).encode() + b"\0" + path.read_bytes())
    return paths.cache() / "environments" / digest.hexdigest()[:12]


def bootstrap() -> Path:
    """Return nox's environment, made where it is not there whole, and remove those that nobody can use.

    They are what a run that was killed has left half made, which nox would take for whole, and what was used two weeks
    ago for the last time. Raise CalledProcessError when nox's cannot be made: pip has said why.
    """
    used = folder()
    home = used / "nox"
    with turn(used.with_suffix(".lock")):
        complete = home / "complete"
        if not complete.exists():
            print(f"ci/nox: preparing nox in {home}", file=sys.stderr, flush=True)
            subprocess.run([sys.executable, "-m", "venv", "--clear", home], check=True)
            pip = (home / "bin" / "python", "-m", "pip", "--quiet", "--disable-pip-version-check")
            subprocess.run((*pip, "install", "--require-hashes", "--no-deps", "-r", NOX_LOCK), check=True)
            complete.touch()
        _forget_unfinished(used)
        used.touch()
    _forget_unused(used)
    return home


def _forget_unfinished(used: Path) -> None:
    """Remove environments of sessions without the stamp that noxfile.py's `install` leaves, unless it is at work."""
    for environment in used.glob("*/"):
        if environment.name == "nox" or (environment / STAMP).exists():
            continue
        with contextlib.suppress(BlockingIOError), (environment / LOCK).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(environment, ignore_errors=True)


def _forget_unused(used: Path) -> None:
    for other in used.parent.iterdir():
        if other != used and other.is_dir() and time.time() - other.stat().st_mtime > KEPT_SECONDS:
            shutil.rmtree(other, ignore_errors=True)
            other.with_suffix(".lock").unlink(missing_ok=True)


if __name__ == "__main__":
    print(bootstrap())
