"""A bucket that pods speak to with their own identity, which a role trusts; the release is given no Secret.

The tests tell one story in order; each leaves the release as the next expects it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trustme

from ci.addons import s3_server
from tests.e2e import certificates, clients, jobs, quick
from tests.e2e.s3.conftest import Server, publish_again, put_authority, put_credentials, values
from tests.e2e.s3.identities import Identities

if TYPE_CHECKING:
    from tests.e2e.release import Release

AUTHORITY = "own-authority"
SPEAKING = {"check", "publisher", "loader", "follower"}
# Tells what it finds before it trains, as a program that looks for credentials would.
LOOKING = ["/bin/sh", "-c", 'env; ls /; exec "$@"', "training", quick.PYTHON, f"/code/{quick.PROGRAM.name}"]
OBJECTS = "pods,jobs,cronjobs,deployments,replicasets,configmaps,events"


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """Return the authority of everybody's certificate."""
    return trustme.CA()


@pytest.fixture(scope="module")
def identities(release: Release, authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Identities:
    """Return the service of identities of the release's namespace."""
    put_credentials(release)
    path = tmp_path_factory.mktemp("authority") / "ca.crt"
    authority.cert_pem.write_to_path(str(path))
    identities = Identities(release, path)
    identities.install(authority)
    return identities


@pytest.fixture(scope="module")
def server(release: Release, authority: trustme.CA, identities: Identities) -> Server:
    """Return an S3 server that asks the service of identities who speaks; their authority is in a ConfigMap."""
    del identities
    certificates.put(release, authority, "s3-tls", "s3")
    put_authority(release, authority, AUTHORITY)
    server = Server(release)
    server.install()
    return server


@pytest.fixture(scope="module")
def role(release: Release, identities: Identities) -> str:
    """Return the role that trusts the release's service account."""
    return identities.role("models", release.fullname)


def with_role(role: str, **identity: str) -> dict[str, Any]:
    """Return values of a release without a Secret that retrains when told to."""
    given = values(schedule={"cron": "0 0 1 1 *"}, command=LOOKING)
    del given["modelStore"]["s3"]["existingSecret"]
    given["modelStore"]["s3"] |= {
        "endpoint": f"https://s3:{s3_server.PORT}",
        "caBundle": {"configMapName": AUTHORITY},
        "webIdentity": {
            "roleArn": role,
            "stsEndpoint": f"https://identities:{s3_server.IDENTITIES_PORT}",
            **identity,
        },
    }
    return given


def all_containers(release: Release) -> dict[str, list[dict[str, Any]]]:
    """Return the containers of the pods of the release that there are, by name, as the API server has them."""
    selector = f"app.kubernetes.io/instance={release.name}"
    found: dict[str, list[dict[str, Any]]] = {}
    for pod in release.core.list_namespaced_pod(release.namespace, label_selector=selector).items:
        for container in [*(pod.spec.init_containers or ()), *pod.spec.containers]:
            found.setdefault(container.name, []).append(container.to_dict())
    return found


def test_role_of_another_service_account_is_refused_before_training(
    release: Release, server: Server, identities: Identities
) -> None:
    release.upgrade(with_role(identities.role("strangers", "somebody")), wait=False)
    end = jobs.failure(release, "check")
    assert end.exit_code == 4
    assert "exchanges the pods' token for credentials answers 4" in end.message
    assert "must trust the pods' service account (serviceAccount.name)" in end.message
    assert "modelStore.s3.webIdentity.roleArn" in end.message
    assert server.versions() == []


def test_token_for_another_audience_is_refused_before_training(release: Release, server: Server, role: str) -> None:
    release.upgrade(with_role(role, audience="somebody.example.com"), wait=False)
    end = jobs.failure(release, "check")
    assert end.exit_code == 4
    assert "(InvalidIdentityToken: " in end.message
    assert "the token's audience: see modelStore.s3.webIdentity.roleArn and .audience" in end.message
    assert server.versions() == []


def test_release_trains_publishes_and_serves_without_a_secret(release: Release, server: Server, role: str) -> None:
    release.upgrade(with_role(role))
    assert len(server.versions()) == 1
    assert clients.served_model(release)["version"] == 1
    for containers in all_containers(release).values():
        assert "secret_key_ref': {" not in str(containers)


def test_role_is_no_other_service_accounts(release: Release, identities: Identities, role: str) -> None:
    assert identities.exchange(role, release.fullname).ok
    assert "InvalidIdentityToken" in identities.exchange(role, "default").text


def test_only_who_speaks_to_the_bucket_has_the_token(release: Release) -> None:
    containers = all_containers(release)
    assert {"training", "server", "api"} <= set(containers)
    for name, found in containers.items():
        for container in found:
            assert ("s3-token" in str(container["volume_mounts"])) == (name in SPEAKING), name
            assert ("AWS_" in str(container["env"])) == (name in SPEAKING), name


def test_training_code_finds_neither_token_nor_role(release: Release) -> None:
    told = jobs.log(release)
    assert "MODEL_KEY=" in told
    assert "AWS_" not in told
    assert "s3-" not in told


def test_server_finds_neither_token_nor_role(release: Release) -> None:
    told = release.exec("server", "sh", "-c", "env; ls /")
    assert "models" in told
    assert "AWS_" not in told
    assert "s3-" not in told


def test_version_that_is_published_later_is_followed_with_the_same_identity(release: Release, server: Server) -> None:
    publish_again(release, "again", 2)
    assert len(server.versions()) == 2


def test_tokens_and_keys_are_in_no_log_argument_or_config_map(release: Release, identities: Identities) -> None:
    sessions = identities.sessions()
    pod = release.pods("server")[0].metadata.name
    secrets = {release.kubectl("exec", pod, "--container=follower", "--", "cat", "/s3-token/token").strip()}
    secrets |= {session[name] for session in sessions for name in ("accessKeyId", "secretAccessKey", "sessionToken")}
    # Check, publisher, loader and follower took the role, for two versions and in two pods.
    assert len(secrets) > 3 * 4
    assert all(secrets)
    shown = release.kubectl("get", OBJECTS, "--output=json")
    for item in release.core.list_namespaced_pod(release.namespace).items:
        shown += release.kubectl("logs", item.metadata.name, "--all-containers", "--tail=-1")
    assert "version 2" in shown
    assert not [secret for secret in secrets if secret in shown]
