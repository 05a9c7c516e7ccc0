"""Models nobody here trained: versions that follow each other, one that cannot be used, and a change of the name."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.e2e import clients, own_model, traffic
from tests.e2e.own_model import MOUNT, installed, values
from tests.e2e.waiting import wait_for

if TYPE_CHECKING:
    from tests.e2e.release import Release

CLAIM = "my-models"
TOLD = {"name": "churn", "task": "classification", "labels": ["stays", "leaves"]}
YES = traffic.same({"input": [3, 3, 3, 3]})
SWITCH_TIMEOUT_SECONDS = 90


@pytest.fixture(scope="module")
def store(release: Release) -> Release:
    """Return a namespace with a claim that holds `churn/1`, and a pod to write to it."""
    return own_model.store(release, CLAIM)


def test_new_version_is_followed_by_every_pod_without_a_failure(store: Release) -> None:
    own_model.put(store, "followed/1", slope=1.0)
    release = installed(store, "followed", values({"name": "followed"}, CLAIM, {"replicaCount": 2}))
    with (
        traffic.steady(release, YES) as seen,
        seen.window("a version is followed") as window,
    ):
        own_model.put(store, "followed/2", slope=-1.0)
        wait_for(lambda: set(seen.versions()) == {"2"}, "only version 2 answers", SWITCH_TIMEOUT_SECONDS)
        # Neither one that is damaged nor one that is not a model changes anything.
        own_model.in_store(store, "python3", "-c", f"import os; os.makedirs('{MOUNT}/followed/3')")
        own_model.in_store(
            store, "python3", "-c", f"open('{MOUNT}/followed/3/saved_model.pb', 'wb').write(b'not a model')"
        )
        told = "version 3"
        wait_for(lambda: told in _followers_log(release), "the follower tells of it", SWITCH_TIMEOUT_SECONDS)
        release.kubectl("scale", f"deployment/{release.named('server')}", "--replicas=3")
        release.wait_for_rollout("server")
        release.wait_for_endpoints("server", 3)
        seen.watch("three pods of version 2", 4)
        assert set(seen.versions()) == {"2"}
    window.assert_faultless()
    release.helm("uninstall", release.name)


def _followers_log(release: Release) -> str:
    selector = f"app.kubernetes.io/instance={release.name},app.kubernetes.io/component=server"
    return release.kubectl("logs", f"--selector={selector}", "--container=follower", "--tail=-1")


def test_model_the_api_cannot_use_does_not_replace_one_it_can(store: Release) -> None:
    release = installed(store, "kept", values(TOLD, CLAIM))
    own_model.in_store(store, "python3", "-c", own_model.MAKE_PAIR, f"{MOUNT}/.pair")
    own_model.move(store, f"{MOUNT}/.pair", f"{MOUNT}/pair/1")
    with traffic.steady(release, YES) as seen, seen.window("an unusable model") as window:
        # A signature that is not there: never ready, so that the pods that serve go on.
        release.upgrade(values(TOLD | {"signature": "absent"}, CLAIM), wait=False)
        messages = wait_for(lambda: own_model.loader_messages(release), "the loader refuses", SWITCH_TIMEOUT_SECONDS)
        assert "no signature 'absent'" in messages[0]
        release.helm("rollback", release.name, "--wait", "--timeout=300s")
    window.assert_faultless()
    release.helm("uninstall", release.name)


def test_rename_of_the_model_loses_no_request(store: Release) -> None:
    own_model.put(store, "renamed/1")
    release = installed(store, "rename", values({"name": "churn"}, CLAIM))
    with traffic.steady(release, YES) as seen, seen.window("a renamed model") as window:
        release.upgrade(values({"name": "renamed"}, CLAIM))
        for component in ("server", "api"):
            release.wait_for_rollout(component)
        wait_for(lambda: len(release.pods("api", even_terminating=True)) == 1, "one api pod is left", 120)
    window.assert_faultless()
    assert clients.served_model(release)["name"] == "renamed"
    release.helm("uninstall", release.name)
