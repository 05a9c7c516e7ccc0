"""Fixtures of the suite of NetworkPolicies: a cluster that enforces them, and somebody who calls from elsewhere."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import pytest
from kubernetes import client

from tests.e2e.network import callers
from tests.e2e.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.network.callers import Caller
    from tests.e2e.release import Release

ENFORCED_TIMEOUT_SECONDS = 60
LISTENING_PORT = 8080
DENY_ALL: dict[str, Any] = {
    "metadata": {"name": "deny-all"},
    "spec": {"podSelector": {"matchLabels": {"app": "probed"}}},
}


@pytest.fixture(scope="module")
def stranger(release: Release) -> Caller:
    """Return a pod of the release's namespace that is not part of the release; the network has been seen to enforce.

    Where a policy that denies everything keeps nobody away, no test here could fail for the right reason.
    """
    stranger = callers.pod(release, "stranger", {"app": "stranger"})
    callers.pod(release, "probed", {"app": "probed"})
    probed = callers.address(release, "probed")
    assert stranger.reaches(probed, LISTENING_PORT), "pods do not reach each other even without a policy"
    client.NetworkingV1Api(release.core.api_client).create_namespaced_network_policy(release.namespace, DENY_ALL)
    wait_for(
        lambda: not stranger.gets_through(probed, LISTENING_PORT),
        "the network enforces a policy (`ci/nox -s network` installs what does)",
        ENFORCED_TIMEOUT_SECONDS,
    )
    return stranger


@pytest.fixture(scope="module")
def elsewhere(release: Release) -> Iterator[str]:
    """Yield a namespace for pods that watch, named in nobody's policy but by a rule of the values."""
    name = f"e2e-monitoring-{uuid.uuid4().hex[:5]}"
    release.core.create_namespace({"metadata": {"name": name}})
    yield name
    release.core.delete_namespace(name)
