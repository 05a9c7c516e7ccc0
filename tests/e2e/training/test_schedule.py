"""Retraining on a schedule: further versions under the release's key, through the same gates, served without helm.

The tests tell one story in order; each leaves the release as the next expects it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e import clients, jobs, own_model, quick, traffic
from tests.e2e.waiting import wait_for

if TYPE_CHECKING:
    from tests.e2e.release import Release

pytestmark = pytest.mark.traffic
CLAIM = "scores"
# A minute until the schedule's next one, a run, and its look by the server's pods.
RUN_TIMEOUT_SECONDS = 150
SWITCH_TIMEOUT_SECONDS = 60
BODY = {"input": [1, 1, 1, 1]}


def values(cron: str = "* * * * *", **training_values: Any) -> dict[str, Any]:
    """Return values that retrain each minute on a score that stands in a claim; two server pods."""
    given = quick.values(
        data={"existingClaim": CLAIM},
        gates=[{"metric": "accuracy", "min": 0.8}],
        schedule={"cron": cron},
        **training_values,
    )
    given["server"] = {**given["server"], "replicaCount": 2}
    given["modelStore"] = {"keep": {"versions": 2}}
    return given


def put_score(release: Release, score: float) -> None:
    """Change the data that the next run learns from, at once."""
    script = "import os, sys; open('/store/.s', 'w').write(sys.argv[1]); os.rename('/store/.s', '/store/score.txt')"
    own_model.in_store(release, "python3", "-c", script, str(score))


def accuracy(release: Release) -> float:
    """Return what the model in service says it reached."""
    return float(clients.served_model(release)["metrics"]["accuracy"])


def published(release: Release) -> list[str]:
    """Return the versions each server pod's loader can see under the release's key."""
    pod = release.pods("server")[0].metadata.name
    key = release.current_job().metadata.labels["tensorflow-model/model-key"]
    listed = release.kubectl("exec", pod, "--container=follower", "--", "ls", f"/model-store/quick/{key}")
    return sorted(listed.split())


@pytest.fixture(scope="module")
def installed(release: Release) -> Release:
    """Return the release after its first install."""
    own_model.claim(release, CLAIM)
    own_model.writer(release, CLAIM)
    put_score(release, 0.9)
    release.upgrade(values())
    return release


def test_schedule_publishes_a_version_that_every_pod_serves(installed: Release) -> None:
    put_score(installed, 0.95)
    with traffic.steady(installed, traffic.same(BODY)) as seen, seen.window("scheduled retraining") as window:
        # A run may have begun before the data changed.
        wait_for(lambda: accuracy(installed) == pytest.approx(0.95), "a model of the new data", RUN_TIMEOUT_SECONDS)
        wait_for(lambda: "1" not in seen.versions(), "every pod has left version 1", 60)
    window.assert_faultless()
    facts = clients.served_model(installed)
    assert facts["version"] >= 2
    assert facts["key"] == installed.current_job().metadata.labels["tensorflow-model/model-key"]


def test_run_below_the_gate_changes_nothing_and_says_why(installed: Release) -> None:
    installed.upgrade(values(cron="0 0 1 1 *"))
    before = clients.served_model(installed)["version"]
    put_score(installed, 0.5)
    jobs.run_now(installed, "worse")
    jobs.wait_for_end(installed, "worse", "Failed")
    end = jobs.ends(jobs.pods(installed, "worse")[-1])["publisher"]
    assert end.exit_code == 3
    assert "nothing was published" in end.message
    assert clients.served_model(installed)["version"] == before


def test_old_versions_go_and_numbers_are_not_used_again(installed: Release) -> None:
    before = clients.served_model(installed)["version"]
    put_score(installed, 0.97)
    jobs.run_now(installed, "better")
    jobs.wait_for_end(installed, "better", "Complete")
    wait_for(
        lambda: clients.served_model(installed)["version"] > before, "the new version answers", SWITCH_TIMEOUT_SECONDS
    )
    version = clients.served_model(installed)["version"]
    assert published(installed) == sorted([str(before), str(version)])


def test_rollback_returns_to_the_former_keys_newest(installed: Release) -> None:
    newest = clients.served_model(installed)["version"]
    revision = len(installed.helm("history", installed.name, "--output=json").split('"revision"')) - 1
    installed.upgrade(values(cron="0 0 1 1 *", revision="other"))
    installed.wait_for_rollout("server")
    wait_for(lambda: clients.served_model(installed)["version"] > newest, "the other key", SWITCH_TIMEOUT_SECONDS)
    installed.helm("rollback", installed.name, str(revision), "--wait", "--timeout=300s")
    wait_for(lambda: clients.served_model(installed)["version"] == newest, "the newest again", SWITCH_TIMEOUT_SECONDS)


def test_pin_holds_a_version_beside_the_schedule(installed: Release) -> None:
    version = clients.served_model(installed)["version"]
    installed.upgrade({**values(cron="0 0 1 1 *"), "model": {"name": "quick", "version": str(version)}})
    installed.wait_for_rollout("server")
    for name in ("after-pin-1", "after-pin-2"):
        jobs.run_now(installed, name)
        jobs.wait_for_end(installed, name, "Complete")
    assert clients.served_model(installed)["version"] == version
    installed.kubectl("rollout", "restart", f"deployment/{installed.named('server')}")
    installed.wait_for_rollout("server")
    assert clients.served_model(installed)["version"] == version, "a pinned version is not cleaned away"
