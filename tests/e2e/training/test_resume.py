"""A training that is killed goes on where it was, and ends as one that was not."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e import clients, jobs

if TYPE_CHECKING:
    from tests.e2e.release import Release

EPOCHS = 6
KILLED_AFTER = 3


def values() -> dict[str, Any]:
    """Return values for a training of some epochs, long enough to be killed between two of them."""
    fixed = {"autoscaling": {"enabled": False}}
    return {"training": {"params": {"epochs": EPOCHS}, "backoffLimit": 2}, "server": fixed, "api": fixed}


def told_epochs(log: str) -> list[int]:
    """Return the numbers of the epochs a log tells of."""
    return [int(number) for number in re.findall(rf"^epoch (\d+)/{EPOCHS}:", log, re.MULTILINE)]


def test_killed_training_resumes_and_ends_like_an_unbroken_one(release: Release) -> None:
    broken, unbroken = (release.beside(name) for name in ("broken", "unbroken"))
    broken.upgrade(values(), wait=False)
    pod = jobs.wait_for_line(broken, f"epoch {KILLED_AFTER}/{EPOCHS}").metadata.name
    broken.kubectl("delete", "pod", pod, "--grace-period=0", "--force")
    broken.wait_for_job()
    resumed = told_epochs(jobs.log(broken))
    assert resumed[-1] == EPOCHS
    assert resumed[0] > KILLED_AFTER, "epochs that were done were not done again"
    unbroken.upgrade(values())
    assert told_epochs(jobs.log(unbroken)) == list(range(1, EPOCHS + 1))
    broken.wait_for_rollout("api")
    metrics = [clients.served_model(one)["metrics"] for one in (broken, unbroken)]
    assert metrics[0] == pytest.approx(metrics[1], rel=1e-5)
