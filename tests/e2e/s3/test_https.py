"""A bucket behind a certificate of an own authority, and pods that follow what is published there without helm.

The tests tell one story in order; each leaves the release as the next expects it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trustme

from ci.addons import s3_server
from tests.e2e import certificates, clients, jobs
from tests.e2e.s3.conftest import Server, publish_again, put_authority, put_credentials, values

if TYPE_CHECKING:
    from tests.e2e.release import Release

AUTHORITY = "own-authority"


@pytest.fixture(scope="module")
def server(release: Release) -> Server:
    """Return an S3 server that speaks https alone; its authority is in a ConfigMap."""
    authority = trustme.CA()
    certificates.put(release, authority, "s3-tls", "s3")
    put_authority(release, authority, AUTHORITY)
    put_credentials(release)
    server = Server(release)
    server.install()
    return server


def secured(**s3: Any) -> dict[str, Any]:
    """Return values of a release that retrains when told to, in the bucket behind https."""
    given = values(schedule={"cron": "0 0 1 1 *"})
    given["modelStore"]["s3"] |= {"endpoint": f"https://s3:{s3_server.PORT}", **s3}
    return given


def test_certificate_of_a_stranger_is_refused_before_training(release: Release, server: Server) -> None:
    release.upgrade(secured(), wait=False)
    end = jobs.failure(release, "check")
    assert end.exit_code == 4
    assert "is not trusted" in end.message
    assert "modelStore.s3.caBundle" in end.message
    assert server.versions() == []


def test_own_authority_is_trusted_by_all_who_speak_to_the_bucket(release: Release, server: Server) -> None:
    release.upgrade(secured(caBundle={"configMapName": AUTHORITY}))
    assert len(server.versions()) == 1
    assert clients.served_model(release)["version"] == 1


def test_version_that_is_published_later_is_followed_by_every_pod(release: Release, server: Server) -> None:
    publish_again(release, "again", 2)
    assert len(server.versions()) == 2
