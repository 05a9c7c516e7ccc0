"""Images of add-ons: programs on a small Debian, built once for what they are made of, and pushed to the registry."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from ci.cluster import docker_engine
from ci.images import components, local_images
from ci.steps import run, step

if TYPE_CHECKING:
    from collections.abc import Mapping


def ensure(name: str, recipe: Path, programs: Mapping[str, Path], base: str, registry: str) -> str:
    """Return `registry/repository@digest` of an add-on's image, built and pushed where it is not there.

    `recipe` is the folder with its Dockerfile and the files that go into it; the programs are in bin/ by their names.
    """
    files = sorted(path for path in recipe.iterdir() if path.is_file())
    tag = f"{components.PREFIX}{name}:{_digest(files, programs, base)}"
    if not local_images.has(tag):
        _build(tag, files, programs, base)
    [pushed] = components.push([components.Image(name, tag, components.size_bytes(tag))], registry)
    return pushed.pushed


def _build(tag: str, files: list[Path], programs: Mapping[str, Path], base: str) -> None:
    with step(f"build {tag}"), tempfile.TemporaryDirectory() as folder:
        context = Path(folder)
        (context / "bin").mkdir()
        for path in files:
            shutil.copy(path, context)
        for name, path in programs.items():
            shutil.copy(path, context / "bin" / name)
        command = [docker_engine.client(), "build", "--progress=plain", f"--build-arg=ROOTFS={base}", f"--tag={tag}"]
        run([*command, context], env={"DOCKER_BUILDKIT": "1"})


def _digest(files: list[Path], programs: Mapping[str, Path], base: str) -> str:
    """Return a digest of what an image is made of; programs have theirs in their names."""
    digest = hashlib.sha256("\0".join([base, *(f"{name}={path.name}" for name, path in programs.items())]).encode())
    for path in files:
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:12]
