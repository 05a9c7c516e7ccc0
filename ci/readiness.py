"""What demo and tests find ready: a cluster, the images in its registry, and the values that name them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from ci import paths, tools
from ci.cluster import docker_engine, node_image, providers
from ci.cluster import registry as own_registry
from ci.images import components
from ci.steps import StepError, side_by_side

if TYPE_CHECKING:
    from pathlib import Path


def ready(provider: str, registry: str = "") -> providers.Cluster:
    """Bring up the cluster, push the images to it, and write the values that name them by digest."""
    if provider == "kind":
        # A cluster that is made needs no image, nor they it, and each leaves a processor idle for most of its time.
        docker_engine.ensure()
        up, images = side_by_side(lambda: providers.up(provider), lambda: _pushed(registry))
    else:
        up = providers.up(provider)
        images = _pushed(_known(registry or up.registry, provider))
    components.write_values(images, values_file())
    return up


def ready_for_tests(provider: str, registry: str = "") -> providers.Cluster:
    """Do as `ready` does, and push what only tests need: an image that holds TensorFlow and nothing of this project."""
    up = ready(provider, registry)
    image = components.push_tensorflow(registry or up.registry)
    foreign_image_file().write_text(json.dumps(image) + "\n", encoding="utf-8")
    return up


def prepare() -> None:
    """Make all that a run of every session needs late but the cluster: programs in the order of asking, and images.

    A cluster takes a tenth of two processors though nothing is asked of it, and 45 s to make.
    """
    if not docker_engine.answers():
        docker_engine.ensure()
        # The engine starts its containers again, and nodes that went down with it come up damaged, and busy.
        providers.forget_nodes()
    side_by_side(tools.provide_all, _pushed)
    node_image.ensure()


def foreign_image_file() -> Path:
    """Return the file with the chart's `image` value of that image."""
    return paths.cache() / "foreign-image.json"


def values_file() -> Path:
    """Return the file with the chart values that name the pushed images."""
    return paths.cache() / "images-values.json"


def _known(registry: str, provider: str) -> str:
    if not registry:
        raise StepError(
            f"no registry is known for provider {provider}",
            why="the cluster pulls the images from a registry it can reach",
            hint="name one that you may push to: -- --provider existing --registry registry.example.com/team",
        )
    return registry


def _pushed(target: str = "") -> list[components.Image]:
    """Build the images and push them: to a registry, "" for this machine's own."""
    images = components.build()
    if not target:
        own_registry.up()
    return components.push(images, target or own_registry.ADDRESS)
