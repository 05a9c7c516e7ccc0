"""An S3 server for the test cluster: versitygw's image, and what makes a Deployment of it."""

from __future__ import annotations

from ci import paths, tools
from ci.addons import images
from ci.cluster import registry
from ci.images import base_image

NAME = "versitygw"
FOLDER = paths.ROOT / "ci" / "addons" / "s3"
PORT = 7070
IDENTITIES_PORT = 7071


def manifest() -> str:
    """Return the objects of a server, called s3 like the Secret with its credentials; its image is built and pushed."""
    return _with_image("server.yaml")


def identities(issuer_host: str, issuer_address: str) -> str:
    """Return the objects of a service of identities, which servers made after it ask, and of an issuer's documents.

    The documents are in the ConfigMap issuer and shown at an address that is the Service's to have; certificates are in
    the Secrets identities-tls and issuer-tls.
    """
    text = _with_image("identities.yaml")
    return text.replace("@ISSUER_HOST@", issuer_host).replace("@ISSUER_ADDRESS@", issuer_address)


def _with_image(name: str) -> str:
    # Python is there for documents, and for tests that change a byte.
    base = base_image.ensure().runtime
    image = images.ensure(NAME, FOLDER, {NAME: tools.go_program(NAME)}, base, registry.ADDRESS)
    return (FOLDER / name).read_text(encoding="utf-8").replace("@IMAGE@", image)
