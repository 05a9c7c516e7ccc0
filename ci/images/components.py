"""The images of the chart's components: built, sized, pushed, and named by digest for the chart."""

from __future__ import annotations

import json
import os
import re
import ssl
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ci import paths
from ci.cluster import docker_engine
from ci.images import base_image, datasets
from ci.steps import CommandError, run, step
from ci.turns import turn

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

COMPONENTS = ("training", "publisher", "loader", "server", "api", "tensorboard")
# Those whose lowest layer is TensorFlow.
ON_TENSORFLOW = frozenset({"training", "server"})
GPU_SUFFIX = "-gpu"
PREFIX = "tensorflow-model-"
# The layer training and server share; built first, never pushed by itself.
TENSORFLOW_IMAGE = f"{PREFIX}tensorflow"
MEBIBYTE = 1 << 20
PUSH_ATTEMPTS = 10
PUSH_PAUSE_SECONDS = 3.0


@dataclass(frozen=True)
class Image:
    """A built image: its component and tag here and, once pushed, `registry/repository@digest`."""

    component: str
    tag: str
    size_bytes: int
    pushed: str = ""

    def values(self) -> dict[str, object]:
        """Return the chart's `image` value that pins this pushed image by its digest."""
        name, _, digest = self.pushed.partition("@")
        registry, _, repository = name.partition("/")
        return {"registry": registry, "repository": repository, "digest": digest}


def version() -> str:
    """Return the chart's appVersion, which is the default tag of every image."""
    chart = (paths.CHART / "Chart.yaml").read_text(encoding="utf-8")
    found = re.search(r'^appVersion: "?([^"\s]+)"?\s*$', chart, flags=re.MULTILINE)
    if found is None:
        raise ValueError(f"{paths.CHART}/Chart.yaml has no appVersion")
    return found[1]


def build(components: Sequence[str] = COMPONENTS, *, gpu: bool = False) -> list[Image]:
    """Build the images, bases and data sets first; print and return their names and sizes.

    With `gpu` those that hold TensorFlow hold NVIDIA's libraries too, and their tags end in -gpu.
    """
    docker_engine.ensure()
    with turn(paths.cache() / "images.lock", step("wait for another run, which builds the images")):
        return _build_all(components, gpu=gpu)


def _build_all(components: Sequence[str], *, gpu: bool) -> list[Image]:
    bases = base_image.ensure()
    with step("data sets inside the training image"):
        datasets.fetch(paths.ROOT / "images" / "training" / "data")
    below = f"{TENSORFLOW_IMAGE}{GPU_SUFFIX * gpu}"
    arguments = {
        "PYTHON_IMAGE": bases.runtime,
        "PYTHON_BUILD_IMAGE": bases.build,
        "TENSORFLOW_IMAGE": below,
        "TENSORFLOW_REQUIREMENTS": "requirements-gpu.txt" if gpu else "requirements.txt",
    }
    tags = {one: f"{_tag(one)}{GPU_SUFFIX * (gpu and one in ON_TENSORFLOW)}" for one in components}
    with _secrets() as secrets:
        if ON_TENSORFLOW & set(components):
            _build("tensorflow", below, arguments, secrets)
        for component, tag in tags.items():
            _build(component, tag, arguments, secrets)
    built = [Image(component, tag, size_bytes(tag)) for component, tag in tags.items()]
    for image in built:
        print(f"  {image.tag}: {image.size_bytes / MEBIBYTE:.0f} MiB")
    print(f"  (training and server share {below}: {size_bytes(below) / MEBIBYTE:.0f} MiB)")
    return built


def push(images: Sequence[Image], registry: str) -> list[Image]:
    """Push the images to `registry/`; return them with the digests it knows them by."""
    return [_push(image, registry) for image in images]


def push_tensorflow(registry: str) -> dict[str, object]:
    """Push the layer that training and server share, TensorFlow and nothing of ours; return its `image` value."""
    tag = f"{TENSORFLOW_IMAGE}:{version()}"
    run([docker_engine.client(), "tag", TENSORFLOW_IMAGE, tag])
    return _push(Image("tensorflow", tag, size_bytes(tag)), registry).values()


def values(images: Sequence[Image]) -> dict[str, object]:
    """Return chart values that name every pushed image by digest."""
    return {image.component: {"image": image.values()} for image in images}


def write_values(images: Sequence[Image], path: Path) -> None:
    """Write `values` as JSON, which Helm reads as YAML."""
    path.write_text(json.dumps(values(images), indent=2) + "\n", encoding="utf-8")


def _tag(component: str) -> str:
    return f"{PREFIX}{component}:{version()}"


def _build(component: str, tag: str, arguments: Mapping[str, str], secrets: Sequence[str]) -> None:
    with step(f"build {tag}"):
        run(
            [
                docker_engine.client(),
                "build",
                "--progress=plain",
                "--network=host",
                f"--file=images/{component}/Dockerfile",
                f"--tag={tag}",
                *(f"--build-arg={name}={value}" for name, value in _declared(component, arguments).items()),
                *secrets,
                ".",
            ],
            cwd=paths.ROOT,
            env={"DOCKER_BUILDKIT": "1"},
            hint="behind a proxy or a private mirror, see 'Building the images' in README.md",
        )


def _declared(component: str, arguments: Mapping[str, str]) -> dict[str, str]:
    """Keep the build arguments the component's Dockerfile declares; the builder complains about others."""
    text = (paths.ROOT / "images" / component / "Dockerfile").read_text(encoding="utf-8")
    return {name: value for name, value in arguments.items() if re.search(rf"^ARG {name}=", text, re.MULTILINE)}


@contextmanager
def _secrets() -> Iterator[list[str]]:
    """Give the machine's certificate bundle and package mirror to builds, never to an image."""
    bundle = os.environ.get("PIP_CERT") or os.environ.get("SSL_CERT_FILE") or ssl.get_default_verify_paths().cafile
    with tempfile.TemporaryDirectory() as folder:
        found = [f"--secret=id=ca-bundle,src={bundle}"] if bundle and Path(bundle).is_file() else []
        index = os.environ.get("PIP_INDEX_URL")
        if index:
            conf = Path(folder) / "pip.conf"
            conf.write_text(f"[global]\nindex-url = {index}\n", encoding="utf-8")
            found.append(f"--secret=id=pip-conf,src={conf}")
        yield found


def _push(image: Image, registry: str) -> Image:
    repository = f"{registry.rstrip('/')}/{image.tag.partition(':')[0]}"
    target = f"{repository}:{image.tag.partition(':')[2] or version()}"
    client = docker_engine.client()
    with step(f"push {target}"):
        run([client, "tag", image.tag, target])
        _push_again_if_interrupted(client, target, registry)
        digests = json.loads(run([client, "image", "inspect", "--format={{json .RepoDigests}}", target]))
    pushed = next(digest for digest in digests if digest.startswith(f"{repository}@"))
    return Image(image.component, image.tag, image.size_bytes, pushed)


def _push_again_if_interrupted(client: str, target: str, registry: str) -> None:
    """Push; a registry that has just come up may close a connection, and what was pushed is not pushed again."""
    for attempt in range(PUSH_ATTEMPTS):
        try:
            run([client, "push", "--quiet", target], hint=f"docker login {registry.partition('/')[0]}")
        except CommandError:
            if attempt + 1 == PUSH_ATTEMPTS:
                raise
            time.sleep(PUSH_PAUSE_SECONDS)
        else:
            return


def size_bytes(tag: str) -> int:
    """Return the size of an image that the Docker Engine has."""
    return int(run([docker_engine.client(), "image", "inspect", "--format={{.Size}}", tag]))
