"""Models in a bucket: the path of a model through a real S3 server, which goes away and comes back meanwhile.

The tests tell one story in order; each leaves the release as the next expects it.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e import clients, jobs
from tests.e2e.release import API_PORT
from tests.e2e.s3.conftest import ACCESS_KEY, SECRET_KEY, values
from tests.e2e.waiting import wait_for

if TYPE_CHECKING:
    from tests.e2e.release import Release
    from tests.e2e.s3.conftest import Server

SWITCH_TIMEOUT_SECONDS = 150
HEAL_TIMEOUT_SECONDS = 180
BODY = json.dumps({"input": [1, 1, 1, 1]}).encode()
SPEAKING = ("check", "publisher", "loader")


@pytest.fixture(scope="module")
def installed(release: Release, server: Server) -> Release:
    """Return the release after its first install."""
    assert server.versions() == []
    release.upgrade(values())
    return release


def wait_for_version(release: Release, version: int) -> None:
    """Return when the api answers from a version."""
    wait_for(lambda: clients.served_model(release)["version"] == version, f"version {version}", SWITCH_TIMEOUT_SECONDS)


def loader_states(release: Release) -> dict[str, Any]:
    """Return what the loader of each server pod is in, by the pod's name."""
    return {
        pod.metadata.name: next(
            (status for status in pod.status.init_container_statuses or () if status.name == "loader"), None
        )
        for pod in release.pods("server")
    }


def test_trained_model_is_served_by_pods_on_two_nodes(installed: Release, server: Server) -> None:
    assert len(server.versions()) == 1
    pods = installed.pods("server")
    assert len({pod.spec.node_name for pod in pods}) == len(pods) == 2
    claims = installed.core.list_namespaced_persistent_volume_claim(installed.namespace).items
    assert not [claim.metadata.name for claim in claims if "model-store" in claim.metadata.name]
    with installed.port("api", API_PORT):
        reply = clients.post(installed, BODY).json()
    assert reply["prediction"] == "leaves"
    assert float(reply["probability"]) == pytest.approx(1 / (1 + math.exp(-4 * 0.9)), abs=1e-4)
    for pod in pods:
        log = installed.kubectl("logs", pod.metadata.name, "--container=loader")
        assert "is verified" in log


def test_credentials_are_where_they_are_needed_and_nowhere_else(installed: Release) -> None:
    pod = jobs.pods(installed, installed.current_job().metadata.name)[-1]
    for container in (*pod.spec.init_containers, *pod.spec.containers):
        names = {variable.name for variable in container.env or ()}
        assert ("AWS_SECRET_ACCESS_KEY" in names) == (container.name in SPEAKING), container.name
    told = "".join(jobs.log(installed, name) for name in ("check", "training", "publisher"))
    told += "".join(
        installed.kubectl("logs", pod.metadata.name, "--all-containers") for pod in installed.pods("server")
    )
    told += installed.kubectl("get", "configmaps,jobs,pods,deployments", "--output=yaml")
    assert SECRET_KEY not in told
    assert ACCESS_KEY not in told


def test_published_key_is_not_trained_again(installed: Release) -> None:
    changed = values(resources={"requests": {"cpu": "60m", "memory": "128Mi"}, "limits": {"memory": "2Gi"}})
    installed.upgrade(changed)
    job = installed.wait_for_job()
    assert "already published: quick/" in jobs.log(installed, "check")
    assert not jobs.log(installed, "training"), "user code ran"
    assert (job.status.completion_time - job.status.start_time).total_seconds() < 60


def test_another_key_is_a_further_version_and_rollback_trains_nothing(installed: Release, server: Server) -> None:
    installed.upgrade(values(0.95))
    installed.wait_for_job()
    for component in ("server", "api"):
        installed.wait_for_rollout(component)
    wait_for_version(installed, 2)
    trained = {job.metadata.name for job in installed.jobs()}
    installed.helm("rollback", installed.name)
    installed.wait_for_rollout("server")
    wait_for_version(installed, 1)
    job = installed.wait_for_job()
    assert not jobs.log(installed, "training"), f"user code ran in {job.metadata.name}, beside {trained}"
    assert len(server.versions()) == 2


def test_endpoint_that_goes_away_while_a_model_is_published_costs_no_training(
    installed: Release, server: Server
) -> None:
    installed.upgrade(values(0.96), wait=False)
    pod = wait_for(lambda: jobs.pods(installed, installed.current_job().metadata.name), "the Job's pod", 60)[-1]

    def is_training() -> bool:
        found = installed.core.read_namespaced_pod(pod.metadata.name, installed.namespace)
        return "check" in jobs.ends(found)

    wait_for(is_training, "the check is done", HEAL_TIMEOUT_SECONDS)
    server.kill()

    def is_waiting() -> bool:
        found = installed.core.read_namespaced_pod(pod.metadata.name, installed.namespace)
        (status,) = found.status.container_statuses
        return status.state.running is not None and "asking again" in jobs.log(installed, "publisher")

    wait_for(is_waiting, "the publisher waits for the endpoint", HEAL_TIMEOUT_SECONDS)
    server.start()
    job = installed.wait_for_job()
    assert len(jobs.pods(installed, job.metadata.name)) == 1
    for component in ("server", "api"):
        installed.wait_for_rollout(component)
    wait_for_version(installed, 3)


def test_endpoint_that_is_away_while_a_pod_loads_is_waited_for(installed: Release, server: Server) -> None:
    server.kill()
    pod = installed.pods("server")[0].metadata.name
    installed.core.delete_namespaced_pod(pod, installed.namespace)

    def new_pod() -> str:
        running = {name: status.state.running for name, status in loader_states(installed).items() if status}
        return next((name for name, state in running.items() if state is not None), "")

    waiting = wait_for(new_pod, "a new pod whose loader runs", SWITCH_TIMEOUT_SECONDS)
    wait_for(
        lambda: "is not reached" in installed.kubectl("logs", waiting, "--container=loader"),
        "its loader says that the endpoint is away",
        SWITCH_TIMEOUT_SECONDS,
    )
    assert clients.post(installed, BODY).json()["prediction"] == "leaves"
    server.start()
    installed.wait_for_rollout("server")


def test_flipped_byte_in_the_bucket_is_refused_by_name(installed: Release, server: Server) -> None:
    newest = server.versions()[-1]
    path = f"{newest}/variables/variables.index"
    flip = "import sys; f = open(sys.argv[1], 'r+b'); b = f.read(1); f.seek(0); f.write(bytes([b[0] ^ 1])); f.close()"
    server.shell(f'python3 -c "{flip}" {path}')
    pod = installed.pods("server")[0].metadata.name
    installed.core.delete_namespaced_pod(pod, installed.namespace)

    def reason() -> str:
        states = [status for status in loader_states(installed).values() if status is not None]
        ends = [status.last_state.terminated or status.state.terminated for status in states]
        return next((end.message for end in ends if end is not None and end.exit_code == 2), "")

    told = wait_for(reason, "a loader that refuses", SWITCH_TIMEOUT_SECONDS)
    assert f"{path} has SHA-256" in told
    # The other pod serves on.
    assert clients.post(installed, BODY).json()["prediction"] == "leaves"
    server.shell(f'python3 -c "{flip}" {path}')
    installed.core.delete_collection_namespaced_pod(
        installed.namespace, label_selector="app.kubernetes.io/component=server", field_selector="status.phase=Pending"
    )
    installed.wait_for_rollout("server")


def test_bucket_that_cannot_be_written_is_said_before_training(installed: Release, server: Server) -> None:
    before = server.versions()
    server.shell("chmod -R a-w .")
    try:
        installed.upgrade(values(0.97), wait=False)
        end = jobs.failure(installed, "check")
        assert end.exit_code == 4
        assert "s3://models/team" in end.message
        assert "cannot be written" in end.message
    finally:
        server.shell("chmod -R u+w .")
    assert clients.post(installed, BODY).json()["prediction"] == "leaves"
    assert server.versions() == before
    installed.upgrade(values(0.96))
    wait_for_version(installed, 3)
