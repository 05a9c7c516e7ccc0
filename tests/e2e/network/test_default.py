"""The default: what reaches the server and training is bounded, and nothing else is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from ci.cluster import registry
from tests.e2e import clients, quick
from tests.e2e.network import callers
from tests.e2e.release import API_PORT, SERVER_GRPC_PORT, SERVER_REST_PORT

if TYPE_CHECKING:
    from tests.e2e.network.callers import Caller
    from tests.e2e.release import Release

OUTSIDE, OUTSIDE_PORT = registry.IN_CLUSTER.split(":")


@pytest.fixture(scope="module")
def installed(release: Release, stranger: Caller) -> Release:
    """Return the release installed with nothing said of policies."""
    assert stranger
    release.upgrade(quick.values())
    return release


def test_release_answers_and_passes_its_test(installed: Release) -> None:
    [answer] = clients.predict(installed, np.ones((1, 4), np.uint8))
    assert answer["prediction"] == "leaves"
    assert "Phase:          Succeeded" in installed.helm("test", installed.name)


def test_stranger_does_not_reach_the_server(installed: Release, stranger: Caller) -> None:
    [server] = installed.endpoints("server")
    assert stranger.reaches(installed.named("api"), API_PORT)
    assert not stranger.gets_through(server, SERVER_GRPC_PORT)
    assert not stranger.gets_through(server, SERVER_REST_PORT)


@pytest.mark.parametrize("component", ["server", "api"])
def test_components_reach_what_they_like(installed: Release, component: str) -> None:
    assert callers.of_release(installed, component).reaches(OUTSIDE, int(OUTSIDE_PORT))
