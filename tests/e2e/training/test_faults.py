"""What goes wrong is told, and the model in service stays in service.

The tests tell one story in order; each leaves the release as the next expects it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e import clients, jobs, quick
from tests.e2e.waiting import wait_for

if TYPE_CHECKING:
    from tests.e2e.release import Release

FIXED = {**quick.FIXED, "resources": quick.LITTLE_CPU}
RESTART_TIMEOUT_SECONDS = 120
# Flips one bit in the middle of a file of the store.
FLIP = """\
import sys
with open(sys.argv[1], "r+b") as file:
    file.seek(0, 2)
    middle = file.tell() // 2
    file.seek(middle)
    byte = file.read(1)[0]
    file.seek(middle)
    file.write(bytes([byte ^ 1]))
"""


def values(**training: Any) -> dict[str, Any]:
    """Return values for a quick training, with a fixed number of pods."""
    params = {"epochs": 1, "batch_size": 256, **training.pop("params", {})}
    trained = {"params": params, "resources": quick.LITTLE_CPU, **training}
    return {"training": trained, "server": FIXED, "api": FIXED}


@pytest.fixture(scope="module")
def installed(release: Release) -> Release:
    """Return the release after its first install."""
    release.upgrade(values())
    return release


def test_killed_server_comes_back_and_predicts(installed: Release) -> None:
    pod = installed.pods("server")[0].metadata.name
    installed.kubectl("delete", "pod", pod, "--grace-period=0", "--force", "--wait=false")
    wait_for(lambda: pod not in {item.metadata.name for item in installed.pods("server")}, "the pod is gone", 60)
    installed.wait_for_rollout("server")
    installed.wait_for_rollout("api")
    installed.helm("test", installed.name, "--timeout=90s")


def test_model_below_the_gate_is_not_published(installed: Release) -> None:
    before = clients.served_model(installed)
    below = values(gates=[{"metric": "accuracy", "min": 0.999}])
    below["training"]["params"]["seed"] = 7
    installed.upgrade(below, wait=False)
    job = installed.wait_for_job("Failed")
    pods = jobs.pods(installed, job.metadata.name)
    assert len(pods) == 1
    ended = jobs.ends(pods[0])["publisher"]
    assert ended.exit_code == 3
    assert "is below the minimum 0.999: nothing was published" in ended.message
    assert clients.served_model(installed)["version"] == before["version"]


def test_missing_data_fails_at_once_and_is_named(installed: Release) -> None:
    # Another seed: a model that is published already is not trained, so its data is not read.
    bad = values(extraEnv=[{"name": "DATASETS_DIR", "value": "/nowhere"}], params={"seed": 8})
    installed.upgrade(bad, wait=False)
    job = installed.wait_for_job("Failed")
    ended = jobs.ends(jobs.pods(installed, job.metadata.name)[-1])["training"]
    assert ended.exit_code == 2
    assert "data file /nowhere/mnist/" in ended.message
    assert job.status.failed == 1


def test_raised_deadline_revives_a_training_that_ran_out_of_time(installed: Release) -> None:
    late = values(activeDeadlineSeconds=5, params={"seed": 9})
    installed.upgrade(late, wait=False)
    installed.wait_for_job("Failed")
    installed.upgrade({**late, "training": {**late["training"], "activeDeadlineSeconds": 600}}, wait=False)
    installed.wait_for_job()


def test_one_flipped_bit_keeps_a_model_from_being_served(installed: Release) -> None:
    installed.upgrade(values())
    for component in ("server", "api"):
        installed.wait_for_rollout(component)
    key = installed.current_job().metadata.labels["tensorflow-model/model-key"]
    damaged = f"/model-store/mnist/{key}/1/saved_model.pb"
    _run_in_store(installed, ["python3", "-c", FLIP, damaged])
    installed.kubectl("rollout", "restart", f"deployment/{installed.named('server')}")

    def refused() -> str | None:
        for pod in installed.pods("server"):
            for status in pod.status.init_container_statuses or ():
                for state in (status.state.terminated, status.last_state.terminated):
                    if state is not None and state.exit_code == 2:
                        return str(state.message)
        return None

    assert damaged in wait_for(refused, "the loader refuses the model", RESTART_TIMEOUT_SECONDS)
    # The pod that verified the model before it was damaged goes on serving.
    installed.helm("test", installed.name, "--timeout=90s")


def _run_in_store(release: Release, command: list[str]) -> None:
    """Run a command in a pod that may write to the release's model store."""
    job = release.current_job()
    template = job.spec.template.spec
    container = template.containers[0]
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "store-writer", "labels": dict(job.spec.template.metadata.labels)},
        "spec": {
            **release.core.api_client.sanitize_for_serialization(template),
            "initContainers": [],
            "containers": [
                {
                    "name": "writer",
                    "image": container.image,
                    "command": command,
                    "securityContext": release.core.api_client.sanitize_for_serialization(container.security_context),
                    "volumeMounts": [{"name": "model-store", "mountPath": "/model-store"}],
                }
            ],
        },
    }
    # Not the Job's own: its controller must not adopt this pod.
    pod["metadata"]["labels"] = {"tensorflow-model/model-store": f"{release.named('model-store')}"}  # type: ignore[index]
    release.core.create_namespaced_pod(release.namespace, json.loads(json.dumps(pod)))

    def ended() -> bool:
        return bool(release.core.read_namespaced_pod("store-writer", release.namespace).status.phase == "Succeeded")

    wait_for(ended, "the store was written to", 60)
    release.core.delete_namespaced_pod("store-writer", release.namespace)
