"""Where a bucket is: addresses, authorities, and what is told when it is not reached."""

from __future__ import annotations

import subprocess
import urllib.request
from typing import TYPE_CHECKING

import pytest

from model_bucket import Bucket, BucketStore, Connection
from model_bucket.connection import split
from model_store import StoreError, Wanted
from tests.processes import free_port
from tests.s3_server import BUCKET, running
from tests.unit.bucket.conftest import KEY, publish

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.bucket.conftest import Place


@pytest.mark.parametrize(
    "uri",
    ["", "s3://", "s3://b", "s3://bucket", "s3://bucket/", "https://bucket/key", "s3://bucket/a/../b", "s3://b u/k"],
)
def test_uri_that_is_none_is_refused(uri: str) -> None:
    with pytest.raises(ValueError, match="s3://bucket/key"):
        split(uri)


@pytest.mark.parametrize(
    ("connection", "start"),
    [
        (Connection(region="eu-central-1"), "https://models.s3.eu-central-1.amazonaws.com/a/b?"),
        (Connection(region="eu-central-1", path_style=True), "https://s3.eu-central-1.amazonaws.com/models/a/b?"),
        (Connection("https://s3.example.com"), "https://s3.example.com/models/a/b?"),
        (Connection("https://s3.example.com", path_style=False), "https://models.s3.example.com/a/b?"),
        (Connection("http://minio:9000"), "http://minio:9000/models/a/b?"),
    ],
)
def test_address_has_the_bucket_where_it_belongs(connection: Connection, start: str) -> None:
    assert connection.address("models", "a/b").startswith(start)


def test_address_is_read_without_credentials(place: Place, model: Path) -> None:
    publish(place.store(), model)
    address = Connection(place.server.endpoint).address(BUCKET, f"{place.prefix}/mnist/{KEY}/1/saved_model.pb")
    with urllib.request.urlopen(address, timeout=20) as reply:  # noqa: S310 - the server of the test
        assert reply.read() == b"graph"


def test_own_authority_is_trusted_when_it_is_given(tmp_path: Path, model: Path) -> None:
    certificate = tmp_path / "ca.crt"
    # No authority itself: nothing but its own name signs it.
    extensions = ("subjectAltName=IP:127.0.0.1", "basicConstraints=critical,CA:FALSE")
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=127.0.0.1"]
    command += [argument for extension in extensions for argument in ("-addext", extension)]
    command += ["-keyout", str(certificate.with_suffix(".key")), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    with running(tmp_path / "s3", certificate) as server:
        assert publish(BucketStore(Bucket(Connection(server.endpoint, ca_bundle=certificate), BUCKET)), model) == 1
        with pytest.raises(StoreError, match=r"is not trusted \(UnknownIssuer\): .*modelStore.s3.caBundle"):
            BucketStore(Bucket(Connection(server.endpoint), BUCKET)).find(Wanted("mnist"))


def test_authorities_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"authorities in .*/none.pem cannot be read"):
        Bucket(Connection("https://s3.example.com", ca_bundle=tmp_path / "none.pem"), BUCKET)


def test_endpoint_nobody_listens_at_is_named() -> None:
    endpoint = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(StoreError, match=rf"s3://models/mnist cannot be listed: {endpoint}/.*Connection refused"):
        BucketStore(Bucket(Connection(endpoint), BUCKET)).find(Wanted("mnist"))
