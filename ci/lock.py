"""Pin every requirement file with hashes, for all platforms at once, without naming an index."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ci import paths
from ci.steps import run, step

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

PYTHON_VERSION = "3.11"
IMAGES = paths.ROOT / "images"
LOCKS = paths.ROOT / "ci" / "locks"


@dataclass(frozen=True)
class Lock:
    """One lock file: the requirement files and dependency groups it pins, and the locks it must agree with."""

    output: Path
    sources: tuple[Path, ...] = ()
    group: str = ""
    constraints: tuple[Path, ...] = ()
    overrides: tuple[Path, ...] = ()
    # Locks of the layer below in the image: what they pin is there already, and left out.
    below: tuple[Path, ...] = ()

    def arguments(self) -> list[str]:
        """Return what `uv pip compile` needs to write this lock."""
        return [
            *(str(source.relative_to(paths.ROOT)) for source in self.sources),
            *(["--group", f"pyproject.toml:{self.group}"] if self.group else []),
            *(f"--constraints={path.relative_to(paths.ROOT)}" for path in self.constraints),
            *(f"--overrides={path.relative_to(paths.ROOT)}" for path in self.overrides),
            *(f"--no-emit-package={name}" for path in self.below for name in _names(path)),
            f"--output-file={self.output.relative_to(paths.ROOT)}",
        ]


def _names(lock: Path) -> list[str]:
    """Return the names of the packages a lock pins."""
    return sorted(set(re.findall(r"^([a-z0-9-]+)==", lock.read_text(encoding="utf-8"), re.MULTILINE)))


TENSORFLOW = IMAGES / "tensorflow" / "requirements"
SERVER = IMAGES / "server" / "requirements"
API = IMAGES / "api" / "requirements"
LOADER = IMAGES / "loader" / "requirements"
TRAINING = IMAGES / "training" / "requirements"
PUBLISHER = IMAGES / "publisher" / "requirements"
TENSORBOARD = IMAGES / "tensorboard" / "requirements"

TENSORFLOW_LOCK = TENSORFLOW.with_suffix(".txt")
API_LOCK = API.with_suffix(".txt")

LOCK_FILES = (
    Lock(LOCKS / "nox.txt", group="nox"),
    Lock(LOCKS / "build.txt", group="build"),
    Lock(LOCKS / "protos.txt", group="protos"),
    Lock(TENSORFLOW_LOCK, sources=(TENSORFLOW.with_suffix(".in"),)),
    Lock(
        TENSORFLOW.with_name("requirements-gpu.txt"),
        sources=(TENSORFLOW.with_name("requirements-gpu.in"),),
        constraints=(TENSORFLOW_LOCK,),
    ),
    Lock(
        SERVER.with_suffix(".txt"),
        sources=(SERVER.with_suffix(".in"),),
        constraints=(TENSORFLOW_LOCK,),
        overrides=(SERVER.with_name("overrides.txt"),),
    ),
    Lock(
        TRAINING.with_suffix(".txt"),
        sources=(TRAINING.with_suffix(".in"),),
        constraints=(TENSORFLOW_LOCK,),
        below=(TENSORFLOW_LOCK,),
    ),
    Lock(API_LOCK, sources=(API.with_suffix(".in"),), constraints=(TENSORFLOW_LOCK,)),
    Lock(LOADER.with_suffix(".txt"), sources=(LOADER.with_suffix(".in"),), constraints=(API_LOCK,)),
    Lock(PUBLISHER.with_suffix(".txt"), sources=(PUBLISHER.with_suffix(".in"),), constraints=(API_LOCK,)),
    Lock(
        TENSORBOARD.with_suffix(".txt"),
        sources=(TENSORBOARD.with_suffix(".in"),),
        constraints=(TENSORFLOW_LOCK, TRAINING.with_suffix(".txt")),
    ),
    # Installed beside an image's lock, so they must agree with it.
    Lock(LOCKS / "test.txt", group="test", constraints=(TENSORFLOW_LOCK, API_LOCK)),
    Lock(
        LOCKS / "clients.txt",
        group="clients",
        constraints=(TENSORFLOW_LOCK, API_LOCK, SERVER.with_suffix(".txt"), LOCKS / "test.txt"),
    ),
    Lock(LOCKS / "chart.txt", group="chart"),
    Lock(LOCKS / "e2e.txt", group="e2e", constraints=(API_LOCK,)),
    Lock(LOCKS / "lint.txt", group="lint", constraints=(API_LOCK,)),
    Lock(LOCKS / "manifests.txt", group="manifests"),
    Lock(LOCKS / "load.txt", group="load", constraints=(API_LOCK,)),
    # TensorFlow's version is the project's, its dependencies are not: MLServer wants an older protobuf.
    *(
        Lock(LOCKS / f"peers-{name}.txt", sources=(TENSORFLOW.with_suffix(".in"),), group=f"peers-{name}")
        for name in ("flask", "litserve", "mlserver")
    ),
    *(Lock(LOCKS / f"peers-{name}.txt", group=f"peers-{name}", constraints=(API_LOCK,)) for name in ("floors", "http")),
)


def write(extra: Sequence[str] = ()) -> None:
    """Write every lock file; `extra` goes to `uv pip compile`, for example `--upgrade`."""
    for lock in LOCK_FILES:
        with step(f"lock {lock.output.relative_to(paths.ROOT)}"):
            run(
                [
                    # Of the environment that runs nox.
                    sys.executable,
                    "-m",
                    "uv",
                    "pip",
                    "compile",
                    "--quiet",
                    "--universal",
                    f"--python-version={PYTHON_VERSION}",
                    "--generate-hashes",
                    "--no-header",
                    "--no-emit-index-url",
                    "--no-annotate",
                    *lock.arguments(),
                    *extra,
                ],
                cwd=paths.ROOT,
            )
