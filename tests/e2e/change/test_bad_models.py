"""Models that must not be served: the old one goes on serving, the reason is where people look, a good run heals it.

The release's server has an autoscaler, which is made to add pods meanwhile: those that serve serve the old model.
"""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from tests.e2e import clients, jobs, node_work, own_model, quick, traffic
from tests.e2e.change.serving import merged
from tests.e2e.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.release import Release
    from tests.e2e.traffic import Traffic

GATES = [{"metric": "accuracy", "min": 0.8}]
QUESTIONS = traffic.Questions(
    "quick", [('{"input": [1, 1, 1, 1]}', "leaves"), ('{"input": [-1, -1, -1, -1]}', "stays")]
)
AUTOSCALED = {"autoscaling": {"enabled": True, "maxReplicas": 20, "targetCPUUtilizationPercentage": 1000}}
TOLD_TIMEOUT_SECONDS = 150
DISK_BYTES = 4 << 20
STORE = "small-store"
FILL = """\
import sys
with open(sys.argv[1] + "/filler", "wb", buffering=0) as file:
    try:
        while True:
            file.write(bytes(4096))
    except OSError as error:
        print(error)
"""
EMPTY = "import os, sys; os.unlink(sys.argv[1] + '/filler')"
FLIP = """\
import sys
with open(sys.argv[1], "r+b") as file:
    byte = file.read(1)[0]
    file.seek(0)
    file.write(bytes([byte ^ 1]))
"""
REMOVE = "import os, sys; os.unlink(sys.argv[1])"


def values(params: dict[str, Any] | None = None, **training_values: Any) -> dict[str, Any]:
    """Return values of a quick model behind gates, in a store that can be full, with servers that an HPA scales."""
    over = {
        "server": {"replicaCount": 2, **AUTOSCALED},
        "api": {"service": {"type": "NodePort"}},
        "modelStore": {"pvc": {"existingClaim": STORE}},
    }
    return merged(quick.values(params, **{"gates": GATES, **training_values}), over)


def limited(**limits: str) -> dict[str, Any]:
    """Return training's resources with these limits."""
    return {
        **quick.SMALL,
        "limits": {**quick.SMALL["limits"], **{key.replace("_", "-"): limits[key] for key in limits}},
    }


class Bad(NamedTuple):
    """What is trained, which container ends it, how, and what is told."""

    values: dict[str, Any]
    container: str
    exit_code: int
    told: str


TRAINED = {
    "below its gate": Bad(values({"score": 0.7}), "publisher", 3, r"accuracy.*0\.7.*0\.8.*nothing was published"),
    "not blessed": Bad(values({"score": 0.91, "error": 0.01}), "publisher", 3, r"output_0.*nothing was published"),
    "trainer killed": Bad(values({"score": 0.92, "killed": True}), "training", 137, r"^Error: "),
    "out of memory": Bad(
        values({"score": 0.93, "memory_mib": 1500}, resources=limited(memory="1Gi")), "training", 137, r"^OOMKilled: "
    ),
}


class Place(NamedTuple):
    """Where the release's volume is: the pod's namespace on its node, and its path there."""

    namespace: str
    path: str


@pytest.fixture(scope="module")
def place(release: Release) -> Iterator[Place]:
    """Yield the release's store, on a node's small disk."""
    worker = release.core.list_node(label_selector="!node-role.kubernetes.io/control-plane").items
    node = (worker or release.core.list_node().items)[0].metadata.name
    with (
        node_work.on_node(release, node) as namespace,
        node_work.small_disk(release, namespace, node, STORE, DISK_BYTES) as path,
    ):
        yield Place(namespace, path)
        release.helm("uninstall", release.name, "--wait", "--timeout=120s")


@pytest.fixture(scope="module")
def installed(release: Release, place: Place) -> Release:
    """Return the release with a good model in service."""
    assert place.path
    release.upgrade(values())
    return release


@pytest.fixture(scope="module")
def seen(installed: Release) -> Iterator[Traffic]:
    """Yield what steady traffic sees while the module runs."""
    with traffic.steady(installed, QUESTIONS) as seen:
        seen.watch("before anything changes", 5).assert_faultless()
        yield seen


def add_pods(release: Release, given: dict[str, Any], more: int) -> None:
    """Have the autoscaler want more servers than there are, and change nothing else."""
    count = release.apps.read_namespaced_deployment(release.named("server"), release.namespace).spec.replicas + more
    release.upgrade(merged(given, {"server": {"autoscaling": {"minReplicas": count}}}), wait=False)

    def are_wanted() -> bool:
        deployment = release.apps.read_namespaced_deployment(release.named("server"), release.namespace)
        return bool(deployment.spec.replicas == count)

    wait_for(are_wanted, f"{count} servers are wanted", TOLD_TIMEOUT_SECONDS)


def served_version(release: Release, seen: Traffic) -> str:
    """Return the version of the one model that answers; one that another test has left behind is healed first."""
    if len(seen.versions()) > 1 or release.current_job().status.failed:
        heal(release, seen, f"again-{time.monotonic():.0f}")
    return str(clients.served_model(release)["version"])


def heal(release: Release, seen: Traffic, revision: str) -> None:
    """Train a good model and return when it alone answers."""
    old = set(seen.versions())
    release.upgrade(values({"score": 0.9}, revision=revision))
    release.wait_for_rollout("server")
    wait_for(lambda: seen.versions() and not old & set(seen.versions()), "a good model answers", TOLD_TIMEOUT_SECONDS)


@pytest.mark.parametrize("name", TRAINED)
def test_model_that_must_not_be_served_is_not(installed: Release, seen: Traffic, name: str) -> None:
    bad = TRAINED[name]
    old = served_version(installed, seen)
    served = len(installed.endpoints("server"))
    with seen.window(name) as window:
        installed.upgrade(bad.values, wait=False)
        end = jobs.failure(installed, bad.container)
        add_pods(installed, bad.values, 2)
        # Deployments share what is added between the pods that serve and those that wait (see NOTES).
        wait_for(lambda: len(installed.endpoints("server")) > served, "more pods serve", TOLD_TIMEOUT_SECONDS)
    assert end.exit_code == bad.exit_code
    described = f"{end.reason}: {end.message}"
    assert re.search(bad.told, described, re.DOTALL), described
    window.assert_faultless()
    assert window.versions == {old}
    with seen.window(f"{name}: a good run") as healed:
        heal(installed, seen, name.replace(" ", "-"))
    healed.assert_faultless()


def test_evicted_trainer_says_so(installed: Release, seen: Traffic) -> None:
    old = served_version(installed, seen)
    given = values({"disk_mib": 64}, resources=limited(ephemeral_storage="16Mi"))
    with seen.window("evicted") as window:
        installed.upgrade(given, wait=False)

        def evicted() -> str | None:
            for pod in jobs.pods(installed, installed.current_job().metadata.name):
                if pod.status.reason == "Evicted":
                    return str(pod.status.message)
            return None

        message = wait_for(evicted, "the trainer is evicted", TOLD_TIMEOUT_SECONDS)
    assert "ephemeral" in message
    window.assert_faultless()
    assert window.versions == {old}
    heal(installed, seen, "evicted")


def test_full_volume_is_a_storage_fault(installed: Release, seen: Traffic, place: Place) -> None:
    old = served_version(installed, seen)
    node_work.run_on_node(installed, place.namespace, FILL, place.path)
    with seen.window("volume full") as window:
        installed.upgrade(values({"score": 0.94}), wait=False)
        # Before anything is trained in vain.
        end = jobs.failure(installed, "check")
    assert end.exit_code == 4
    assert "No space left" in end.message, end.message
    window.assert_faultless()
    assert window.versions == {old}
    node_work.run_on_node(installed, place.namespace, EMPTY, place.path)
    heal(installed, seen, "volume-full")


@pytest.mark.parametrize("damage", ["one flipped bit", "a missing file"])
def test_damaged_model_is_not_served_by_pods_that_are_added(
    installed: Release, seen: Traffic, place: Place, damage: str
) -> None:
    served_version(installed, seen)
    facts = clients.served_model(installed)
    damaged = f"quick/{facts['key']}/{facts['version']}/saved_model.pb"
    script = FLIP if damage == "one flipped bit" else REMOVE
    with seen.window(damage) as window:
        node_work.run_on_node(installed, place.namespace, script, f"{place.path}/{damaged}")
        add_pods(installed, dict(installed.values), 1)
        told = wait_for(lambda: own_model.loader_messages(installed), "the loader refuses", TOLD_TIMEOUT_SECONDS)
        assert damaged in told[0]
        described = installed.kubectl("describe", "pods", f"--selector=app.kubernetes.io/instance={installed.name}")
        assert damaged in described
    window.assert_faultless()
    assert window.versions == {str(facts["version"])}
    with seen.window(f"{damage}: a good run") as healed:
        heal(installed, seen, damage.replace(" ", "-"))
    healed.assert_faultless()
