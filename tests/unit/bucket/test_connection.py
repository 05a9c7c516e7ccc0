"""Where a bucket is: addresses, authorities, and what is told when it is not reached."""

from __future__ import annotations

import urllib.request
from typing import TYPE_CHECKING

import pytest

from model_bucket.connection import Connection
from model_bucket.objects import Bucket
from model_bucket.settings import Settings
from model_bucket.store import BucketStore
from model_store import StoreError, Wanted
from tests.processes import free_port
from tests.s3_server import BUCKET, running
from tests.unit.bucket.conftest import KEY, publish

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.bucket.conftest import Place


@pytest.mark.parametrize(
    ("settings", "start"),
    [
        (Settings(region="eu-central-1"), "https://models.s3.eu-central-1.amazonaws.com/a/b?"),
        (Settings(region="eu-central-1", path_style=True), "https://s3.eu-central-1.amazonaws.com/models/a/b?"),
        (Settings("https://s3.example.com"), "https://s3.example.com/models/a/b?"),
        (Settings("https://s3.example.com", path_style=False), "https://models.s3.example.com/a/b?"),
        (Settings("http://minio:9000"), "http://minio:9000/models/a/b?"),
    ],
)
def test_address_has_the_bucket_where_it_belongs(settings: Settings, start: str) -> None:
    assert Connection(settings).address("models", "a/b").startswith(start)


def test_address_is_read_without_credentials(place: Place, model: Path) -> None:
    publish(place.store(), model)
    address = Connection(Settings(place.server.endpoint)).address(
        BUCKET, f"{place.prefix}/mnist/{KEY}/1/saved_model.pb"
    )
    with urllib.request.urlopen(address, timeout=20) as reply:  # noqa: S310 - the server of the test
        assert reply.read() == b"graph"


def test_own_authority_is_trusted_when_it_is_given(tmp_path: Path, model: Path, certificate: Path) -> None:
    with running(tmp_path / "s3", certificate) as server:
        assert publish(BucketStore(Bucket(Settings(server.endpoint, BUCKET, ca_bundle=certificate))), model) == 1
        with pytest.raises(StoreError, match=r"is not trusted \(UnknownIssuer\): .*modelStore.s3.caBundle"):
            BucketStore(Bucket(Settings(server.endpoint, BUCKET))).find(Wanted("mnist"))


def test_authorities_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"authorities in .*/none.pem cannot be read"):
        Bucket(Settings("https://s3.example.com", BUCKET, ca_bundle=tmp_path / "none.pem"))


def test_endpoint_nobody_listens_at_is_named() -> None:
    endpoint = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(StoreError, match=rf"s3://models/mnist cannot be listed: {endpoint}/.*Connection refused"):
        BucketStore(Bucket(Settings(endpoint, BUCKET))).find(Wanted("mnist"))
