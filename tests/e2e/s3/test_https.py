"""A bucket behind a certificate of an own authority, and pods that follow what is published there without helm.

The tests tell one story in order; each leaves the release as the next expects it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trustme

from ci.addons import s3_server
from tests.e2e import certificates, clients, jobs
from tests.e2e.s3.conftest import Server, values
from tests.e2e.waiting import wait_for

if TYPE_CHECKING:
    from tests.e2e.release import Release

AUTHORITY = "own-authority"
FOLLOW_TIMEOUT_SECONDS = 90


@pytest.fixture(scope="module")
def server(release: Release) -> Server:
    """Return an S3 server that speaks https alone; its authority is in a ConfigMap."""
    authority = trustme.CA()
    certificates.put(release, authority, "s3-tls", "s3")
    certificate = {"ca.crt": authority.cert_pem.bytes().decode()}
    config_map = {"metadata": {"name": AUTHORITY}, "data": certificate}
    release.core.create_namespaced_config_map(release.namespace, config_map)
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
    pods = {pod.metadata.name for pod in release.pods("server")}
    jobs.run_now(release, "again")
    jobs.wait_for_end(release, "again", "Complete")
    assert len(server.versions()) == 2
    for name in pods:

        def is_followed(name: str = name) -> bool:
            return "version 2" in release.kubectl("logs", name, "--container=follower", "--tail=-1")

        wait_for(is_followed, f"{name} follows", FOLLOW_TIMEOUT_SECONDS)
    wait_for(lambda: clients.served_model(release)["version"] == 2, "the new version answers", FOLLOW_TIMEOUT_SECONDS)
    assert {pod.metadata.name for pod in release.pods("server")} == pods
