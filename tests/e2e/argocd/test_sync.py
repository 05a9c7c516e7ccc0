"""A release under Argo CD from its creation on: healthy, in sync, and trained once for each of its inputs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.e2e import clients
from tests.e2e.argocd.objects import generations
from tests.e2e.argocd.values import busy, values
from tests.e2e.waiting import wait_for

if TYPE_CHECKING:
    from tests.e2e.argocd.application import Application, State
    from tests.e2e.release import Release

HEAL_TIMEOUT_SECONDS = 60
# A metric is there a minute after its pod, and looked at every 15 seconds.
SCALE_TIMEOUT_SECONDS = 180
VALUES = busy(values({"score": 0.9}))


@pytest.fixture(scope="module")
def synced(application: Application) -> Application:
    """Return the Application created, and Synced and Healthy for the first time."""
    application.create(VALUES)
    application.wait_for("Synced", "Healthy")
    return application


@pytest.fixture
def healthy(synced: Application) -> State:
    """Return the state from which a test goes on: Synced and Healthy with the module's values."""
    return synced.wait_for("Synced", "Healthy")


def job_uids(release: Release) -> list[str]:
    """Return the UIDs of the release's training Jobs."""
    return [job.metadata.uid for job in release.jobs()]


def assert_never_degraded(application: Application, states: list[State]) -> None:
    """Fail with all that Argo CD said where it said Degraded."""
    assert "Degraded" not in [state.health for state in states], application.told()


def test_becomes_synced_and_healthy_with_training_inside(synced: Application, release: Release) -> None:
    [job] = release.jobs()
    assert job.status.succeeded == 1
    [state] = [state for state in synced.states if (state.sync, state.health) == ("Synced", "Healthy")][:1]
    assert state.phase == "Succeeded", synced.told()
    assert_never_degraded(synced, synced.states)
    [answer] = clients.predict(release, np.ones((1, 4), np.uint8))
    assert answer["prediction"] == "leaves"


def test_hard_refresh_leaves_the_job_alone(synced: Application, healthy: State, release: Release) -> None:
    before = job_uids(release)
    synced.hard_refresh()
    assert synced.state().sync == "Synced", synced.told()
    assert [state.sync for state in synced.since(healthy) if state.sync != "Synced"] == []
    assert job_uids(release) == before


def test_second_sync_changes_nothing(synced: Application, healthy: State, release: Release) -> None:
    before = job_uids(release)
    unchanged = generations(release)
    operation = synced.sync()
    assert operation["phase"] == "Succeeded", operation
    assert generations(release) == unchanged
    assert job_uids(release) == before
    assert_never_degraded(synced, synced.since(healthy))


def test_self_heal_leaves_the_job_alone(synced: Application, healthy: State, release: Release) -> None:
    before = job_uids(release)
    name = release.named("server")
    release.core.delete_namespaced_service(name, release.namespace)

    def is_back() -> bool:
        return name in [item.metadata.name for item in release.core.list_namespaced_service(release.namespace).items]

    wait_for(is_back, f"Service {name} is back", HEAL_TIMEOUT_SECONDS)
    synced.wait_for("Synced", "Healthy")
    assert job_uids(release) == before
    assert_never_degraded(synced, synced.since(healthy))


def test_autoscaler_at_work_is_no_difference(synced: Application, healthy: State, release: Release) -> None:
    def replicas() -> int:
        return int(
            release.apps.read_namespaced_deployment(release.named("api"), release.namespace).status.ready_replicas
        )

    wait_for(lambda: replicas() == 2, "the autoscaler has added a pod", SCALE_TIMEOUT_SECONDS)
    synced.hard_refresh()
    assert synced.state().sync == "Synced", synced.told()
    outs = [state for state in synced.since(healthy) if state.sync != "Synced"]
    assert outs == [], synced.told()
    assert_never_degraded(synced, synced.since(healthy))
    assert replicas() == 2


def test_changed_parameters_train_once_and_the_old_job_is_pruned(
    synced: Application, healthy: State, release: Release
) -> None:
    [before] = job_uids(release)
    synced.change(busy(values({"score": 0.8})))
    synced.wait_for("Synced", "Healthy")
    [job] = release.jobs()
    assert job.metadata.uid != before
    assert job.status.succeeded == 1
    synced.hard_refresh()
    synced.wait_for("Synced", "Healthy")
    assert job_uids(release) == [job.metadata.uid]
    assert_never_degraded(synced, synced.since(healthy))
