"""Images the Docker Engine has, can pull, or gets from Debian packages where no registry is in reach."""

from __future__ import annotations

import functools
import hashlib
import shutil
import subprocess

from ci import paths, versions
from ci.cluster import docker_engine
from ci.steps import StepError, run, step, succeeds

LEFT_OUT = ("/usr/share/doc/*", "/usr/share/info/*", "/usr/share/locale/*", "/usr/share/man/*")
PULL_TIMEOUT_SECONDS = 600


def has(image: str) -> bool:
    """Tell whether the Docker Engine has an image."""
    return succeeds([docker_engine.client(), "image", "inspect", image])


def pulls(image: str) -> bool:
    """Pull an image; tell whether that worked."""
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
            print("  it cannot be pulled here; it is made from packages instead", flush=True)
        return done.returncode == 0


@functools.cache
def rootfs(name: str, packages: tuple[str, ...]) -> str:
    """Return an image of a minimal Debian with these packages, made once with mmdebstrap."""
    arguments = [
        "--quiet",
        "--variant=essential",
        f"--include={','.join(packages)}",
        *(f"--dpkgopt=path-exclude={pattern}" for pattern in LEFT_OUT),
        versions.CLUSTER["debian_suite"],
    ]
    digest = hashlib.sha256("\0".join(arguments).encode()).hexdigest()[:12]
    image = f"tensorflow-model-{name}:{digest}"
    if has(image):
        return image
    if shutil.which("mmdebstrap") is None:
        raise StepError(
            f"{image} must be made from Debian packages and mmdebstrap is not installed",
            hint="apt-get install mmdebstrap, or give Docker access to a registry with the public image",
        )
    archive = paths.cache() / f"{name}-{digest}.tar"
    with step(f"make {image} from Debian packages"):
        if not archive.exists():
            partial = archive.with_suffix(".partial.tar")
            run(["mmdebstrap", *arguments, partial], hint="check that apt-get update works on this machine")
            partial.rename(archive)
        run([docker_engine.client(), "import", archive, image])
    return image
