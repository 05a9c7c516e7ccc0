"""Pin every requirement file with hashes, for all platforms at once, without naming an index."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ci import paths
from ci.steps import run, step

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

UV = "uv==0.13.9"
PYTHON_VERSION = "3.11"
IMAGES = paths.ROOT / "images"
LOCKS = paths.ROOT / "ci" / "locks"
# tensorflow-serving-api asks for `tensorflow`; the images carry tensorflow-cpu where there is one.
OVERRIDES = IMAGES / "tensorflow" / "overrides.txt"


@dataclass(frozen=True)
class Lock:
    """One lock file: the requirement files and dependency groups it pins, and the locks it must agree with."""

    output: Path
    sources: tuple[Path, ...] = ()
    group: str = ""
    constraints: tuple[Path, ...] = ()

    def arguments(self) -> list[str]:
        """Return what `uv pip compile` needs to write this lock."""
        return [
            *(str(source.relative_to(paths.ROOT)) for source in self.sources),
            *(["--group", f"pyproject.toml:{self.group}"] if self.group else []),
            *(f"--constraints={path.relative_to(paths.ROOT)}" for path in self.constraints),
            f"--output-file={self.output.relative_to(paths.ROOT)}",
        ]


TENSORFLOW = IMAGES / "tensorflow" / "requirements"
SERVER = IMAGES / "server" / "requirements"
API = IMAGES / "api" / "requirements"

LOCK_FILES = (
    Lock(LOCKS / "nox.txt", group="nox"),
    Lock(LOCKS / "build.txt", group="build"),
    Lock(TENSORFLOW.with_suffix(".txt"), sources=(TENSORFLOW.with_suffix(".in"),)),
    Lock(
        SERVER.with_suffix(".txt"),
        sources=(SERVER.with_suffix(".in"),),
        constraints=(TENSORFLOW.with_suffix(".txt"),),
    ),
    Lock(API.with_suffix(".txt"), sources=(API.with_suffix(".in"),)),
    Lock(LOCKS / "lint.txt", group="lint"),
    Lock(LOCKS / "chart.txt", group="chart"),
    Lock(LOCKS / "e2e.txt", group="e2e", constraints=(API.with_suffix(".txt"),)),
    Lock(
        LOCKS / "unit-slim.txt",
        sources=(API.with_suffix(".in"),),
        group="unit-slim",
        constraints=(API.with_suffix(".txt"),),
    ),
    Lock(
        LOCKS / "unit-tensorflow.txt",
        sources=(TENSORFLOW.with_suffix(".in"), SERVER.with_suffix(".in")),
        group="unit-tensorflow",
        constraints=(TENSORFLOW.with_suffix(".txt"), SERVER.with_suffix(".txt")),
    ),
)


def write(extra: Sequence[str] = ()) -> None:
    """Write every lock file; `extra` goes to `uv pip compile`, for example `--upgrade`."""
    home = paths.cache() / "uv"
    uv = home / "bin" / "uv"
    if not uv.exists():
        with step("install uv"):
            run([sys.executable, "-m", "venv", home])
            run([uv.with_name("python"), "-m", "pip", "install", "--quiet", UV])
    for lock in LOCK_FILES:
        with step(f"lock {lock.output.relative_to(paths.ROOT)}"):
            run(
                [
                    uv,
                    "pip",
                    "compile",
                    "--quiet",
                    "--universal",
                    f"--python-version={PYTHON_VERSION}",
                    "--generate-hashes",
                    "--no-header",
                    "--no-emit-index-url",
                    "--no-annotate",
                    f"--overrides={OVERRIDES.relative_to(paths.ROOT)}",
                    *lock.arguments(),
                    *extra,
                ],
                cwd=paths.ROOT,
            )
