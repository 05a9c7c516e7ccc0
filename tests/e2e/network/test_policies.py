"""With everything bounded: who reaches whom, and what the values add."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from ci.cluster import registry
from tests.e2e import clients, quick
from tests.e2e.network import callers
from tests.e2e.release import API_PORT, SERVER_GRPC_PORT, SERVER_REST_PORT

if TYPE_CHECKING:
    from tests.e2e.network.callers import Caller
    from tests.e2e.release import Release

BOTH = ["Ingress", "Egress"]
# Outside of the cluster, and reachable from it where no policy is against it.
OUTSIDE, OUTSIDE_PORT = registry.IN_CLUSTER.split(":")


def values(namespace: str, **policies: Any) -> dict[str, Any]:
    """Return values that bound everything, and let a namespace scrape the server."""
    scraping = {
        "from": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}}],
        "ports": [{"port": SERVER_REST_PORT}],
    }
    bounded: dict[str, Any] = {
        "training": {"policyTypes": BOTH},
        "server": {"policyTypes": BOTH, "ingress": [scraping]},
        "api": {"policyTypes": BOTH},
    }
    # A gate that compares makes the publisher ask the server.
    gates = [{"metric": "accuracy", "notWorseThan": "served", "by": 0.5}]
    return {**quick.values(gates=gates), "networkPolicy": {**bounded, **policies}}


@pytest.fixture(scope="module")
def bounded(release: Release, stranger: Caller, elsewhere: str) -> Release:
    """Return the release trained, published and served with everything bounded."""
    assert stranger
    release.upgrade(values(elsewhere))
    return release


@pytest.fixture(scope="module")
def server(bounded: Release) -> str:
    """Return the address of the server's pod: Services are no way around a policy, and none is needed."""
    [address] = bounded.endpoints("server")
    return address


def test_release_trains_publishes_and_answers(bounded: Release) -> None:
    assert bounded.current_job().status.succeeded == 1
    [answer] = clients.predict(bounded, np.ones((1, 4), np.uint8))
    assert answer["prediction"] == "leaves"


def test_helm_test_passes(bounded: Release) -> None:
    assert "Phase:          Succeeded" in bounded.helm("test", bounded.name)


def test_stranger_reaches_the_api_and_not_the_server(bounded: Release, stranger: Caller, server: str) -> None:
    [api] = bounded.endpoints("api")
    assert stranger.reaches(api, API_PORT)
    assert stranger.reaches(bounded.named("api"), API_PORT)
    assert not stranger.gets_through(server, SERVER_GRPC_PORT)
    assert not stranger.gets_through(server, SERVER_REST_PORT)
    assert not stranger.gets_through(bounded.named("server"), SERVER_GRPC_PORT)


def test_api_reaches_the_servers_grpc_and_nothing_else(bounded: Release, stranger: Caller, server: str) -> None:
    api = callers.of_release(bounded, "api")
    assert api.reaches(server, SERVER_GRPC_PORT)
    assert api.reaches(f"{bounded.named('server')}.{bounded.namespace}.svc", SERVER_GRPC_PORT)
    assert not api.gets_through(server, SERVER_REST_PORT)
    assert not api.gets_through(callers.address(bounded, "stranger"), 8080)
    assert stranger.reaches(OUTSIDE, int(OUTSIDE_PORT))
    assert not api.gets_through(OUTSIDE, int(OUTSIDE_PORT))


def test_server_reaches_nothing(bounded: Release, server: str) -> None:
    assert server
    caller = callers.of_release(bounded, "server")
    [api] = bounded.endpoints("api")
    assert not caller.gets_through(api, API_PORT)
    assert not caller.gets_through(callers.address(bounded, "stranger"), 8080)


def test_scraper_that_is_named_reaches_the_metrics_and_nothing_else(
    bounded: Release, elsewhere: str, server: str
) -> None:
    scraper = callers.pod(bounded, "scraper", {"app": "scraper"}, elsewhere)
    assert scraper.reaches(server, SERVER_REST_PORT)
    assert not scraper.gets_through(server, SERVER_GRPC_PORT)


def test_training_reaches_names_and_the_served_model(bounded: Release, server: str) -> None:
    # What runs in training's pod, whichever container: a policy bounds the pod.
    training = callers.pod(bounded, "training-like", callers.labels(bounded, "training"))
    assert training.reaches(f"{bounded.named('server')}.{bounded.namespace}.svc", SERVER_REST_PORT)
    assert not training.gets_through(server, SERVER_GRPC_PORT)
    assert not training.gets_through(OUTSIDE, int(OUTSIDE_PORT))
    [api] = bounded.endpoints("api")
    assert not training.gets_through(api, API_PORT)


def test_training_reaches_what_the_values_add(bounded: Release, elsewhere: str) -> None:
    training = callers.pod(bounded, "training-more", callers.labels(bounded, "training"))
    assert not training.gets_through(OUTSIDE, int(OUTSIDE_PORT))
    added = {"policyTypes": BOTH, "egress": [{"ports": [{"port": int(OUTSIDE_PORT)}]}]}
    bounded.upgrade(values(elsewhere, training=added))
    assert training.reaches(OUTSIDE, int(OUTSIDE_PORT))
    bounded.upgrade(values(elsewhere))
    assert bounded.current_job().status.succeeded == 1
