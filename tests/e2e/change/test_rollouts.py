"""Everything a `helm upgrade` can change about a release that serves: no request is lost by it."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from ci.cluster import docker_engine
from ci.steps import run
from tests.e2e import clients
from tests.e2e.change import serving
from tests.e2e.departures import Departures
from tests.e2e.own_model import image_of
from tests.e2e.release import CommandFailedError
from tests.e2e.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.e2e.release import Release
    from tests.e2e.traffic import Traffic

SWITCH_TIMEOUT_SECONDS = 90
ANNOTATED: dict[str, Any] = {name: {"podAnnotations": {"changed": "yes"}} for name in ("server", "api")}
BIGGER = {"resources": {"requests": {"cpu": "60m", "memory": "280Mi"}}}


@contextlib.contextmanager
def unnoticed(served: Release, seen: Traffic, name: str, least_gone: int) -> Iterator[None]:
    """Hold a change to it: no error, and every pod that goes does so well within its grace period."""
    with Departures(served) as departures, seen.window(name) as window:
        yield
        serving.ready(served)
    window.assert_faultless()
    departures.assert_in_time(least_gone)


@pytest.fixture(autouse=True)
def restored(served: Release) -> Iterator[None]:
    """Leave the release as it was found."""
    yield
    served.upgrade(serving.values())
    serving.ready(served)


@pytest.mark.parametrize("component", ["server", "api"])
def test_more_and_fewer_pods(served: Release, seen: Traffic, component: str) -> None:
    with unnoticed(served, seen, f"{component}: 2, 3, 1 pods", least_gone=2):
        for count in (3, 1):
            served.upgrade(serving.values({component: {"replicaCount": count}}))
            served.wait_for_endpoints(component, count)


def test_resources(served: Release, seen: Traffic) -> None:
    with unnoticed(served, seen, "resources of both", least_gone=4):
        served.upgrade(serving.values({"server": BIGGER, "api": BIGGER}))


def test_api_and_server_at_once(served: Release, seen: Traffic) -> None:
    with unnoticed(served, seen, "api and server at once", least_gone=4):
        served.upgrade(serving.values(ANNOTATED))


@pytest.mark.parametrize("component", ["server", "api"])
def test_image(served: Release, seen: Traffic, component: str, tmp_path: Path) -> None:
    image = _relabelled(image_of(served, component), component, tmp_path)
    with unnoticed(served, seen, f"another image of {component}", least_gone=2):
        served.upgrade(serving.values({component: {"image": image}}))


def _relabelled(image: str, component: str, folder: Path) -> dict[str, str]:
    """Push the same image with a label more; return the values that name it."""
    (folder / "Dockerfile").write_text(f"FROM {image}\nLABEL changed={folder.name}\n", encoding="utf-8")
    tag = f"localhost:5001/tensorflow-model-{component}:relabelled"
    client = docker_engine.client()
    run([client, "build", f"--tag={tag}", str(folder)], env={"DOCKER_BUILDKIT": "1"})
    run([client, "push", "--quiet", tag])
    command = [client, "image", "inspect", "--format={{json .RepoDigests}}", tag]
    digests = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    name = tag.rpartition(":")[0]
    return {"digest": next(item.partition("@")[2] for item in digests if item.startswith(f"{name}@"))}


def test_retraining_and_rollback(served: Release, seen: Traffic) -> None:
    first = str(clients.served_model(served)["version"])
    revision = str(json.loads(served.helm("history", served.name, "--output=json"))[-1]["revision"])
    with unnoticed(served, seen, "retrained", least_gone=2):
        served.upgrade(serving.values(seed=2))
        serving.ready(served)
        wait_for(lambda: set(seen.versions()) - {first}, "another version answers", SWITCH_TIMEOUT_SECONDS)
        wait_for(lambda: first not in seen.versions(), "the first one does not", SWITCH_TIMEOUT_SECONDS)
    with unnoticed(served, seen, "rolled back", least_gone=2):
        served.helm("rollback", served.name, revision, "--wait", "--timeout=300s")
        serving.ready(served)
        wait_for(lambda: set(seen.versions()) == {first}, "the first version answers", SWITCH_TIMEOUT_SECONDS)


def _interrupted(served: Release, values: dict[str, Any], *, is_killed: bool) -> None:
    """Upgrade, and end helm once pods are being replaced."""
    before = {pod.metadata.name for pod in served.pods("api")}
    with served.upgrading(values) as helm:
        wait_for(lambda: {pod.metadata.name for pod in served.pods("api")} - before, "a new pod is there", 60)
        assert helm.poll() is None, "helm has already ended"
        helm.send_signal(signal.SIGKILL if is_killed else signal.SIGTERM)
        assert helm.stdout is not None
        told = helm.stdout.read()
    assert is_killed or "has been cancelled" in told, told


def test_upgrade_that_is_terminated_is_repeated(served: Release, seen: Traffic) -> None:
    with unnoticed(served, seen, "helm upgrade terminated, repeated", least_gone=4):
        _interrupted(served, serving.values(ANNOTATED), is_killed=False)
        if "pending-upgrade" in served.helm("status", served.name, "--output=json"):
            # It had no time to settle its revision, and that is done first: docs/change.md.
            served.helm("rollback", served.name, "--wait", "--timeout=300s")
        served.upgrade(serving.values(ANNOTATED))


def test_upgrade_that_is_killed_is_repeated_after_a_rollback(served: Release, seen: Traffic) -> None:
    with unnoticed(served, seen, "helm upgrade killed, rolled back, repeated", least_gone=4):
        _interrupted(served, serving.values(ANNOTATED), is_killed=True)
        # Helm holds the release until its last revision is settled, and says so.
        with pytest.raises(CommandFailedError, match="another operation"):
            served.upgrade(serving.values(ANNOTATED))
        served.helm("rollback", served.name, "--wait", "--timeout=300s")
        served.upgrade(serving.values(ANNOTATED))
