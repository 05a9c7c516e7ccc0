"""The Python bases images are built on: the public one, or one made from Debian packages where it cannot be pulled."""

from __future__ import annotations

from dataclasses import dataclass

from ci.images import local_images

# Debian bookworm's Python is the same minor version as the public image's, so one lock serves both.
PUBLIC_IMAGE = "python:3.11-slim-bookworm"
# TensorFlow's and gRPC's wheels need the C++ runtime, as the public image has it.
RUNTIME_PACKAGES = ("ca-certificates", "libstdc++6", "python3")
BUILD_PACKAGES = (*RUNTIME_PACKAGES, "python3-pip", "python3-venv")


@dataclass(frozen=True)
class Bases:
    """Names of two images of one Python: `runtime` is what ships, `build` also has pip."""

    runtime: str
    build: str


def ensure() -> Bases:
    """Return bases that are present in the Docker Engine; raise StepError where neither way is open."""
    if local_images.has(PUBLIC_IMAGE) or local_images.pulls(PUBLIC_IMAGE):
        return Bases(PUBLIC_IMAGE, PUBLIC_IMAGE)
    return Bases(
        local_images.rootfs("python-runtime", RUNTIME_PACKAGES),
        local_images.rootfs("python-build", BUILD_PACKAGES),
    )
