"""The ends a release under Argo CD can come to: a deadline that passed, and its deletion."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.e2e.argocd.objects import names
from tests.e2e.argocd.values import values
from tests.e2e.waiting import wait_for

if TYPE_CHECKING:
    from tests.e2e.argocd.application import Application
    from tests.e2e.release import Release

# Less than TensorFlow takes to be imported.
PASSED_DEADLINE_SECONDS = 2
GONE_TIMEOUT_SECONDS = 120


def test_passed_deadline_is_told_and_healed_by_a_change_of_values(application: Application, release: Release) -> None:
    application.create(values(activeDeadlineSeconds=PASSED_DEADLINE_SECONDS))
    application.wait_for("Synced", "Degraded")
    [failed] = release.jobs()
    [state] = [one for one in failed.status.conditions if one.type == "Failed"]
    assert state.reason == "DeadlineExceeded"

    application.change(values(activeDeadlineSeconds=600))
    application.wait_for("Synced", "Healthy")
    [job] = release.jobs()
    assert job.metadata.name != failed.metadata.name
    assert job.status.succeeded == 1


def test_deletion_keeps_the_models(application: Application, release: Release) -> None:
    if not application.exists():
        application.create(values())
    application.wait_for("Synced", "Healthy")
    claim = f"{release.fullname}-model-store"
    before = release.core.read_namespaced_persistent_volume_claim(claim, release.namespace)
    application.delete()
    after = release.core.read_namespaced_persistent_volume_claim(claim, release.namespace)
    assert after.metadata.uid == before.metadata.uid
    assert after.metadata.deletion_timestamp is None
    assert after.status.phase == "Bound"
    kept = [f"persistentvolumeclaim/{claim}"]
    wait_for(lambda: names(release) == kept, f"of the release there is only {kept}", GONE_TIMEOUT_SECONDS)
