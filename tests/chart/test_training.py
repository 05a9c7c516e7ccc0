"""The training Job's name and the model's key change with what they stand for, and with nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from tests.chart.conftest import render

KEY = "tensorflow-model/model-key"


def names(values: dict[str, Any] | None = None) -> tuple[str, str]:
    """Return the Job's name and the model's key."""
    job = render(values).one("Job", "training")
    return job["metadata"]["name"], job["metadata"]["labels"][KEY]


@pytest.mark.parametrize(
    "values",
    [
        pytest.param({"server": {"replicaCount": 2}}, id="server.replicaCount"),
        pytest.param({"server": {"resources": {"limits": {"memory": "4Gi"}}}}, id="server.resources"),
        pytest.param({"api": {"batchSize": 8}}, id="api.batchSize"),
        pytest.param({"training": {"backoffLimit": 5}}, id="training.backoffLimit"),
        pytest.param({"model": {"version": 7}}, id="model.version"),
        pytest.param({"loader": {"timeoutSeconds": 60}}, id="loader.timeoutSeconds"),
    ],
)
def test_other_values_leave_job_and_key_alone(values: dict[str, Any]) -> None:
    assert names(values) == names()


@pytest.mark.parametrize(
    "training",
    [
        pytest.param({"resources": {"limits": {"memory": "4Gi"}}}, id="resources"),
        pytest.param({"minAccuracy": 0.5}, id="minAccuracy"),
        pytest.param({"nodeSelector": {"a": "b"}}, id="nodeSelector"),
    ],
)
def test_pod_template_changes_the_job_but_not_the_key(training: dict[str, Any]) -> None:
    (job, key), (changed_job, changed_key) = names(), names({"training": training})
    assert job != changed_job
    assert key == changed_key


@pytest.mark.parametrize(
    "training",
    [
        *(
            pytest.param({"params": {name: value}}, id=name)
            for name, value in {
                "epochs": 6,
                "batchSize": 33,
                "hiddenUnits": 511,
                "dropout": 0.21,
                "learningRate": 0.0011,
                "seed": 43,
            }.items()
        ),
        pytest.param({"dataset": {"name": "fashion-mnist"}}, id="dataset"),
        pytest.param({"image": {"tag": "other"}}, id="image.tag"),
        pytest.param({"image": {"digest": "sha256:" + "a" * 64}}, id="image.digest"),
    ],
)
def test_training_input_changes_job_and_key(training: dict[str, Any]) -> None:
    (job, key), (changed_job, changed_key) = names(), names({"training": training})
    assert job != changed_job
    assert key != changed_key


def test_large_and_small_numbers_reach_the_trainer_whole() -> None:
    job = render({"training": {"params": {"seed": 2_000_000_000, "learningRate": 1e-05}}}).one("Job", "training")
    env = {item["name"]: item["value"] for item in job["spec"]["template"]["spec"]["containers"][0]["env"]}
    assert env["SEED"] == "2000000000"
    assert float(env["LEARNING_RATE"]) == 1e-05


def test_bad_input_is_not_tried_again() -> None:
    rules = render().one("Job", "training")["spec"]["podFailurePolicy"]["rules"]
    assert rules[0] == {
        "action": "FailJob",
        "onExitCodes": {"containerName": "training", "operator": "In", "values": [2, 3]},
    }


def test_job_has_no_hook_and_no_ttl() -> None:
    job = render().one("Job", "training")
    assert "annotations" not in job["metadata"]
    assert "ttlSecondsAfterFinished" not in job["spec"]


def test_nothing_is_trained_when_training_is_off() -> None:
    rendered = render({"training": {"enabled": False}})
    assert rendered.of_kind("Job") == []
    pod = rendered.one("Deployment", "server")["spec"]["template"]
    env = {item["name"]: item["value"] for item in pod["spec"]["initContainers"][0]["env"]}
    assert env["MODEL_KEY"] == ""
    assert KEY not in pod["metadata"]["labels"]


def test_new_pods_may_wait_as_long_as_training_may_take() -> None:
    for component in ("server", "api"):
        deployment = render({"training": {"activeDeadlineSeconds": 7200}}).one("Deployment", component)
        assert deployment["spec"]["progressDeadlineSeconds"] > 7200
