"""The Python bases images are built on: the public one, or one made from Debian packages where it cannot be pulled."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from dataclasses import dataclass

from ci import docker_engine, paths
from ci.steps import StepError, run, step, succeeds

# Debian bookworm's Python is the same minor version as the public image's, so one lock serves both.
PUBLIC_IMAGE = "python:3.11-slim-bookworm"
PULL_TIMEOUT_SECONDS = 300
SUITE = "bookworm"
# TensorFlow's and gRPC's wheels need the C++ runtime, as the public image has it.
RUNTIME_PACKAGES = ("ca-certificates", "libstdc++6", "python3")
BUILD_PACKAGES = (*RUNTIME_PACKAGES, "python3-pip", "python3-venv")
LEFT_OUT = ("/usr/share/doc/*", "/usr/share/info/*", "/usr/share/locale/*", "/usr/share/man/*")


@dataclass(frozen=True)
class Bases:
    """Names of two images of one Python: `runtime` is what ships, `build` also has pip."""

    runtime: str
    build: str


def ensure() -> Bases:
    """Return bases that are present in the Docker Engine; raise StepError where neither way is open."""
    if _has(PUBLIC_IMAGE) or _pull(PUBLIC_IMAGE):
        return Bases(PUBLIC_IMAGE, PUBLIC_IMAGE)
    if shutil.which("mmdebstrap") is None:
        raise StepError(
            f"no base image: {PUBLIC_IMAGE} cannot be pulled and mmdebstrap is not installed",
            hint="give Docker access to a registry that has it, or: apt-get install mmdebstrap",
        )
    return Bases(_from_packages("runtime", RUNTIME_PACKAGES), _from_packages("build", BUILD_PACKAGES))


def _from_packages(name: str, packages: tuple[str, ...]) -> str:
    arguments = [
        "--quiet",
        "--variant=essential",
        f"--include={','.join(packages)}",
        *(f"--dpkgopt=path-exclude={pattern}" for pattern in LEFT_OUT),
        SUITE,
    ]
    digest = hashlib.sha256("\0".join(arguments).encode()).hexdigest()[:12]
    image = f"tensorflow-model-python-{name}:{SUITE}-{digest}"
    if _has(image):
        return image
    with step(f"make {image} from Debian packages"):
        archive = paths.cache() / f"python-{name}-{digest}.tar"
        if not archive.exists():
            partial = archive.with_suffix(".partial.tar")
            run(["mmdebstrap", *arguments, partial], hint="check that apt-get update works on this machine")
            partial.rename(archive)
        run([docker_engine.client(), "import", archive, image])
    return image


def _has(image: str) -> bool:
    return succeeds([docker_engine.client(), "image", "inspect", image])


def _pull(image: str) -> bool:
    with step(f"pull {image}"):
        try:
            done = subprocess.run(
                [docker_engine.client(), "pull", "--quiet", image],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=PULL_TIMEOUT_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return False
        if done.returncode != 0:
            print("  it cannot be pulled here: a base is made from Debian packages instead", flush=True)
        return done.returncode == 0
