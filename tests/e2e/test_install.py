"""`helm install` with default values trains, publishes, serves and predicts."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.e2e import clients, jobs
from tests.e2e.release import TRAINING_TIMEOUT_SECONDS, Release
from tests.e2e.waiting import wait_for

if TYPE_CHECKING:
    from tests.e2e.digits import Digits

METRICS_TIMEOUT_SECONDS = 180
# Equal seeds give equal models on one kind of processor; between kinds kernels round otherwise: 0.9747 to 0.980 seen.
LEAST_ACCURACY = 0.97


@pytest.fixture(scope="module")
def installed(release: Release) -> Release:
    """Return the release, installed with default values and ready."""
    release.upgrade()
    return release


def test_job_completes_and_logs_its_accuracy(installed: Release) -> None:
    job = installed.wait_for_job(timeout_seconds=TRAINING_TIMEOUT_SECONDS)
    log = installed.kubectl("logs", f"job/{job.metadata.name}")
    accuracy = re.search(r"^test: accuracy (0\.\d+) loss \d\.\d+$", log, re.MULTILINE)
    assert accuracy is not None, log
    assert float(accuracy[1]) >= LEAST_ACCURACY


def test_served_files_are_those_of_the_manifest(installed: Release) -> None:
    folder = "/models/mnist/1"
    manifest = json.loads(installed.exec("server", "cat", f"{folder}/manifest.json"))
    listed = installed.exec("server", "find", folder, "-type", "f").split()
    assert manifest["key"] == installed.current_job().metadata.labels["tensorflow-model/model-key"]
    assert manifest["version"] == 1
    assert sorted(f"{folder}/{file['path']}" for file in manifest["files"]) == sorted(
        path for path in listed if not path.endswith("/manifest.json")
    )
    assert f"{folder}/assets.extra/tf_serving_warmup_requests" in listed


def test_thousand_test_images_are_predicted_right(installed: Release, digits: Digits) -> None:
    thousand = digits.first(1000)
    answers = clients.predict(installed, thousand.images)
    right = sum(int(answer["prediction"]) == label for answer, label in zip(answers, thousand.labels, strict=True))
    assert right / len(answers) >= 0.97


def test_predict_rest_and_grpc_agree(installed: Release, digits: Digits) -> None:
    images = digits.first(100).images
    answers = clients.predict(installed, images)
    by_rest, by_grpc = clients.rest_scores(installed, images), clients.grpc_scores(installed, images)
    np.testing.assert_allclose(by_rest, by_grpc, rtol=0, atol=1e-5)
    assert [int(answer["prediction"]) for answer in answers] == by_grpc.argmax(axis=1).tolist()
    # /predict tells four decimals: half a unit of the last is what rounding may add.
    told = np.array([float(answer["probability"]) for answer in answers])
    np.testing.assert_allclose(told, by_grpc.max(axis=1), rtol=0, atol=0.5e-4 + 1e-5)


def test_helm_test_passes(installed: Release) -> None:
    assert "Phase:          Succeeded" in installed.helm("test", installed.name)


@pytest.mark.parametrize(
    ("body", "status", "told"),
    [
        pytest.param(b"", 400, "not JSON", id="empty"),
        pytest.param(b"{", 400, "not JSON", id="broken"),
        pytest.param(b"[1]", 400, "object", id="list"),
        pytest.param(b"{}", 422, "'input'", id="neither"),
        pytest.param(b'{"input": [1, 2]}', 422, "784 numbers", id="short"),
        pytest.param(json.dumps({"input": ["7"] * 784}).encode(), 422, "input[0]: expected a number", id="strings"),
        pytest.param(json.dumps({"input": [float("nan")] * 784}).encode(), 422, "finite", id="nan"),
        pytest.param(
            json.dumps({"input": [True] * 784}).encode(), 422, "input[0]: expected a number, got true", id="booleans"
        ),
        pytest.param(json.dumps({"inputs": [[0] * 784, [0] * 783]}).encode(), 422, "inputs[1]", id="second"),
        pytest.param(b'{"input": [' + b"0," * 3_000_000 + b"0]}", 413, "at most", id="large"),
    ],
)
def test_bad_body_is_refused(installed: Release, body: bytes, status: int, told: str) -> None:
    reply = clients.post(installed, body)
    assert reply.status_code == status, reply.text
    assert reply.headers["Content-Type"] == "application/json"
    assert told in reply.json()["error"]
    assert reply.headers["X-Request-Id"]


def test_model_tells_of_itself_through_the_api(installed: Release) -> None:
    facts = clients.served_model(installed)
    assert facts["version"] == 1
    assert facts["key"] == installed.current_job().metadata.labels["tensorflow-model/model-key"]
    assert facts["labels"] == [str(digit) for digit in range(10)]
    assert facts["inputs"]["pixels"]["meaning"] == "image"
    assert facts["metrics"]["accuracy"] >= LEAST_ACCURACY
    assert facts["parameters"]["epochs"] == 5


def test_real_server_blessed_the_model_in_seconds(installed: Release) -> None:
    log = jobs.log(installed, "publisher")
    told = re.search(r"^blessed: loaded in (\d+\.\d) s, answered its example in \d+\.\d+ s$", log, re.MULTILINE)
    assert told is not None, log
    assert float(told[1]) < 60


def test_job_ends_with_its_publisher_and_not_a_grace_period_later(installed: Release) -> None:
    job = installed.wait_for_job()
    ended = jobs.ends(jobs.pods(installed, job.metadata.name)[-1])["publisher"].finished_at
    # The server beside it is told to stop, and does.
    assert (job.status.completion_time - ended).total_seconds() < 15


def test_user_code_has_nothing_of_the_store(installed: Release) -> None:
    spec = installed.current_job().spec.template.spec
    code = next(container for container in spec.init_containers if container.name == "training")
    assert "model-store" not in {mount.name for mount in code.volume_mounts}
    assert not [item.name for item in code.env if item.name == "MODEL_STORE"]


def test_api_has_no_volume_of_the_model(installed: Release) -> None:
    pod = installed.pods("api")[0]
    assert [volume.name for volume in pod.spec.volumes] == ["tmp"]
    assert not pod.spec.init_containers


def test_nothing_cluster_scoped_is_created(installed: Release) -> None:
    kinds = set(re.findall(r"^kind: (\w+)$", installed.helm("get", "manifest", installed.name), re.MULTILINE))
    scoped = installed.kubectl("api-resources", "--namespaced=false", "--no-headers").splitlines()
    cluster_kinds = {line.split()[-1] for line in scoped}
    assert {"Node", "StorageClass", "ClusterRole"} <= cluster_kinds
    assert not kinds & cluster_kinds


def test_notes_commands_work_as_printed(installed: Release) -> None:
    notes = installed.helm("get", "notes", installed.name)
    commands = [line.strip() for line in notes.splitlines() if re.match(r"  (helm|kubectl|curl) ", line)]
    assert len(commands) >= 6
    # The forwarded port opens a moment after its command: curl is told to try again until it does.
    script = "\n".join(
        line.replace("curl ", "curl --fail --silent --show-error --retry 20 --retry-delay 1 --retry-all-errors ")
        for line in commands
    )
    assert '"prediction"' in installed.shell(f"trap 'kill $!' EXIT\n{script}")


# Last: a pod's first metrics come half a minute after it, and nothing waits for them here.
@pytest.mark.parametrize("component", ["server", "api"])
def test_hpa_reads_a_cpu_metric(installed: Release, component: str) -> None:
    def reading() -> str | None:
        hpa = installed.autoscaling.read_namespaced_horizontal_pod_autoscaler(
            installed.named(component), installed.namespace
        )
        active = [one for one in hpa.status.conditions or () if one.type == "ScalingActive" and one.status == "True"]
        return str(active[0].message) if active else None

    told = wait_for(reading, f"HPA of {component} reads CPU", METRICS_TIMEOUT_SECONDS)
    assert "from cpu resource utilization" in told
