"""The life of a release: what upgrades train, what they leave alone, what rollback and uninstall do.

The tests tell one story in order; each leaves the release as the next expects it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from kubernetes import client

from tests.e2e import clients, jobs, quick
from tests.e2e.waiting import wait_for

if TYPE_CHECKING:
    from tests.e2e.digits import Digits
    from tests.e2e.release import Release

GONE_TIMEOUT_SECONDS = 120
SWITCH_TIMEOUT_SECONDS = 60


def values(**server: Any) -> dict[str, Any]:
    """Return values for a quick training, with a fixed number of pods."""
    # Nobody asks while pods stop, so that they need not go on answering.
    fixed = {**quick.FIXED, "resources": quick.LITTLE_CPU, "preStopSleepSeconds": 1}
    training = {"params": {"epochs": 1, "batch_size": 256}, "resources": quick.LITTLE_CPU}
    return {"training": training, "server": {**fixed, **server}, "api": {**fixed, "drainSeconds": 1}}


@pytest.fixture(scope="module")
def installed(release: Release) -> Release:
    """Return the release after its first install."""
    release.upgrade(values())
    return release


def job_uids(release: Release) -> list[str]:
    """Return the UIDs of all training Jobs, oldest first."""
    return [job.metadata.uid for job in release.jobs()]


def wait_for_version(release: Release, version: int) -> None:
    """Return when the api answers from a version: it follows new server pods within the time names are cached."""
    wait_for(lambda: clients.served_model(release)["version"] == version, f"version {version}", SWITCH_TIMEOUT_SECONDS)


def test_unchanged_values_leave_the_job_alone(installed: Release) -> None:
    before = job_uids(installed)
    installed.upgrade(values())
    assert job_uids(installed) == before


def test_replica_count_leaves_the_job_alone(installed: Release) -> None:
    before = job_uids(installed)
    installed.upgrade(values(replicaCount=2))
    installed.wait_for_rollout("server")
    assert job_uids(installed) == before
    wait_for(lambda: len(installed.endpoints("server")) == 2, "two endpoints", 60)


def test_training_resources_make_a_job_that_trains_nothing(installed: Release) -> None:
    changed = values()
    changed["training"]["resources"] = {"requests": {"cpu": "60m", "memory": "1Gi"}, "limits": {"memory": "3Gi"}}
    before = job_uids(installed)
    installed.upgrade(changed)
    job = installed.wait_for_job()
    assert job.metadata.uid not in before
    assert "already published: mnist/" in jobs.log(installed, "check")
    assert not jobs.log(installed, "training"), "user code ran"
    # Nothing of training is started: this takes seconds.
    took = job.status.completion_time - job.status.start_time
    assert took.total_seconds() < 30


def test_epochs_train_once_and_the_new_version_is_served(installed: Release, digits: Digits) -> None:
    changed = values()
    changed["training"]["params"]["epochs"] = 2
    installed.upgrade(changed)
    job = installed.wait_for_job()
    for component in ("server", "api"):
        installed.wait_for_rollout(component)
    log = installed.kubectl("logs", f"job/{job.metadata.name}")
    assert log.count("epoch 2/2") == 1
    wait_for_version(installed, 2)
    assert [answer["prediction"] for answer in clients.predict(installed, digits.first(1).images)] == ["7"]


def test_rollback_serves_the_first_version_and_trains_nothing(installed: Release) -> None:
    installed.helm("rollback", installed.name, "1", "--wait", "--timeout=300s")
    for component in ("server", "api"):
        installed.wait_for_rollout(component)
    wait_for_version(installed, 1)
    installed.wait_for_job()
    assert "already published: mnist/" in jobs.log(installed, "check")


def test_uninstall_leaves_the_model_volume_and_nothing_else(installed: Release) -> None:
    installed.helm("uninstall", installed.name, "--wait", "--timeout=120s")
    expected = [f"PersistentVolumeClaim/{installed.named('model-store')}"]
    wait_for(lambda: _left(installed) == expected, "only the model volume is left", GONE_TIMEOUT_SECONDS)


def _left(release: Release) -> list[str]:
    """Return what the namespace holds, but for what every namespace has and the test hook's pod."""
    api = release.core.api_client
    listed = {
        "PersistentVolumeClaim": release.core.list_namespaced_persistent_volume_claim,
        "Pod": release.core.list_namespaced_pod,
        "Service": release.core.list_namespaced_service,
        "ConfigMap": release.core.list_namespaced_config_map,
        "Secret": release.core.list_namespaced_secret,
        "ServiceAccount": release.core.list_namespaced_service_account,
        "Deployment": release.apps.list_namespaced_deployment,
        "ReplicaSet": release.apps.list_namespaced_replica_set,
        "Job": release.batch.list_namespaced_job,
        "HorizontalPodAutoscaler": release.autoscaling.list_namespaced_horizontal_pod_autoscaler,
        "PodDisruptionBudget": client.PolicyV1Api(api).list_namespaced_pod_disruption_budget,
        "NetworkPolicy": client.NetworkingV1Api(api).list_namespaced_network_policy,
    }
    own = {"ConfigMap/kube-root-ca.crt", "ServiceAccount/default"}
    found = [
        f"{kind}/{item.metadata.name}" for kind, items in listed.items() for item in items(release.namespace).items
    ]
    return [name for name in found if name not in own]
