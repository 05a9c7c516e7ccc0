"""A store in a bucket of a real S3 server, with and without a proxy that plays faults."""

from __future__ import annotations

import subprocess
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from ci import tools
from model_bucket.objects import Bucket, Patience
from model_bucket.settings import Settings
from model_bucket.store import BucketStore
from tests.s3_server import BUCKET, CREDENTIALS, S3Server, running
from tests.unit.bucket import proxy
from tests.unit.store.conftest import write_model

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KEY = "0123456789ab"


@dataclass(frozen=True)
class Place:
    """A prefix of the bucket that one test has for itself, and the folder the server keeps it in."""

    server: S3Server
    prefix: str
    folder: Path

    def store(self, endpoint: str = "", patience: Patience | None = None) -> BucketStore:
        """Return the store there, spoken to at an endpoint."""
        return BucketStore(Bucket(Settings(endpoint or self.server.endpoint, BUCKET, self.prefix), patience))


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the client find the server's credentials where it looks for them."""
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """Yield a server that runs. Without Go there is none, and the tests fail: nothing else shows that S3 works."""
    if not tools.has_go():
        pytest.fail("the S3 server of these tests is built with Go 1.26 or newer, which is not on PATH: install it")
    with running(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture
def place(server: S3Server) -> Place:
    """Return a prefix of its own."""
    prefix = f"team/{uuid.uuid4().hex[:8]}"
    return Place(server, prefix, server.bucket / prefix)


@pytest.fixture
def store(place: Place) -> BucketStore:
    """Return an empty store."""
    return place.store()


@pytest.fixture
def faults() -> proxy.Faults:
    """Return what goes wrong: nothing yet."""
    return proxy.Faults()


@pytest.fixture
def proxied(server: S3Server, faults: proxy.Faults) -> Iterator[str]:
    """Yield the address of a proxy that plays the faults."""
    with proxy.in_front_of(server, faults) as address:
        yield address


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Return a folder with a small model."""
    return write_model(tmp_path / "model")


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """Return a certificate of the loopback that nothing but itself signs; its key is beside it."""
    certificate = tmp_path / "ca.crt"
    # No authority itself: nothing but its own name signs it.
    extensions = ("subjectAltName=IP:127.0.0.1", "basicConstraints=critical,CA:FALSE")
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=127.0.0.1"]
    command += [argument for extension in extensions for argument in ("-addext", extension)]
    command += ["-keyout", str(certificate.with_suffix(".key")), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    return certificate


def publish(store: BucketStore, model: Path, name: str = "mnist", key: str = KEY, revision: str = "") -> int:
    """Publish a model and return its version."""
    publisher = store.publisher(name, key)
    publisher.prepare()
    return publisher.publish(model, created="2026-01-02T03:04:05Z", packages={}, revision=revision)
