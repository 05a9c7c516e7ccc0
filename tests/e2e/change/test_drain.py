"""A node that is drained: pods move one by one as their budgets say, and spread again when it is back."""

from __future__ import annotations

import collections
import contextlib
from typing import TYPE_CHECKING, Any

import pytest

from ci.cluster import docker_engine
from ci.steps import run
from tests.e2e import own_model, traffic
from tests.e2e.change import serving
from tests.e2e.departures import Departures
from tests.e2e.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.e2e.release import Release

CLAIM = "made"
LABELS = ["stays", "leaves"]
QUESTIONS = [('{"input": [3, 3, 3, 3]}', "leaves"), ('{"input": [-3, -3, -3, -3]}', "stays")]
MOVE_TIMEOUT_SECONDS = 120
# Any node will do, and both of two are used; one that is drained counts no more.
ANYWHERE: dict[str, Any] = {
    "tolerations": [{"key": "node-role.kubernetes.io/control-plane", "operator": "Exists", "effect": "NoSchedule"}],
    "topologySpreadConstraints": [
        {
            "maxSkew": 1,
            "topologyKey": "kubernetes.io/hostname",
            "whenUnsatisfiable": "DoNotSchedule",
            "nodeTaintsPolicy": "Honor",
            # Pods of a former template, which are about to go, do not count.
            "matchLabelKeys": ["pod-template-hash"],
        }
    ],
}


@pytest.fixture
def spread(release: Release, tmp_path: Path) -> Release:
    """Return a release whose pods need no volume, so that they may be on any node."""
    # Drained by its name, which no other namespace's release may have.
    release = own_model.store(release.beside(release.namespace), CLAIM)
    own_model.copy_out(release, "churn", tmp_path)
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY churn /churn\n", encoding="utf-8")
    reference = f"localhost:5001/e2e/churn-{release.namespace}:1"
    run([docker_engine.client(), "build", f"--tag={reference}", str(tmp_path)], env={"DOCKER_BUILDKIT": "1"})
    run([docker_engine.client(), "push", "--quiet", reference])
    model = {"name": "churn", "task": "classification", "labels": LABELS}
    source = {"path": "churn", "image": {"reference": reference}}
    model_values = {"model": {**model, "source": source}, "training": {"enabled": False}}
    over = serving.merged(model_values, {"server": ANYWHERE, "api": ANYWHERE})
    release.upgrade(serving.values(over))
    return release


def nodes_of(release: Release, component: str) -> collections.Counter[str]:
    """Return how many pods of a component each node has."""
    return collections.Counter(pod.spec.node_name for pod in release.pods(component))


@contextlib.contextmanager
def drained(release: Release, node: str) -> Iterator[None]:
    """Take a node out of service for the release's pods, as `kubectl drain` does; back when the block ends."""
    try:
        release.kubectl(
            "drain",
            node,
            "--ignore-daemonsets",
            "--delete-emptydir-data",
            f"--pod-selector=app.kubernetes.io/instance={release.name}",
            f"--timeout={MOVE_TIMEOUT_SECONDS}s",
        )
        yield
    finally:
        release.kubectl("uncordon", node)


def test_drain_and_uncordon_lose_no_request(spread: Release) -> None:
    nodes = set(nodes_of(spread, "server"))
    if len(spread.core.list_node().items) > 1:
        assert len(nodes) == 2, "the pods are spread"
        assert set(nodes_of(spread, "api")) == nodes, "the api needs no common node"
    # Not the one that the traffic's pod prefers.
    workers = spread.core.list_node(label_selector="!node-role.kubernetes.io/control-plane").items
    node = workers[0].metadata.name
    questions = traffic.Questions("churn", QUESTIONS)
    with traffic.steady(spread, questions) as seen, Departures(spread) as departures:
        with seen.window("node drained") as window, drained(spread, node):
            serving.ready(spread)
            for component in ("server", "api"):
                assert node not in nodes_of(spread, component)
                spread.wait_for_endpoints(component, 2)
        window.assert_faultless()
        with seen.window("node back, pods spread again") as window:
            for component in ("server", "api"):
                spread.kubectl("rollout", "restart", f"deployment/{spread.named(component)}")
            serving.ready(spread)
            wait_for(lambda: len(nodes_of(spread, "server")) == 2, "spread again", MOVE_TIMEOUT_SECONDS)
        window.assert_faultless()
    departures.assert_in_time(least=4)
