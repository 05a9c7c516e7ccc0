"""An S3 server for the test cluster: versitygw's image, and what makes a Deployment of it."""

from __future__ import annotations

from ci import paths, tools
from ci.addons import images
from ci.cluster import registry
from ci.images import base_image

NAME = "versitygw"
FOLDER = paths.ROOT / "ci" / "addons" / "s3"
PORT = 7070


def manifest() -> str:
    """Return the objects of a server, called s3 like the Secret with its credentials; its image is built and pushed."""
    # Python is there for tests that change a byte.
    base = base_image.ensure().runtime
    image = images.ensure(NAME, FOLDER, {NAME: tools.go_program(NAME)}, base, registry.ADDRESS)
    return (FOLDER / "server.yaml").read_text(encoding="utf-8").replace("@IMAGE@", image)
