"""The Job's name and the model's key change with what they stand for, and with nothing else."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from ci import chart_docs
from tests.chart.rendering import KEY, SERVING, at, environment, render

if TYPE_CHECKING:
    from pathlib import Path

DIGEST = "sha256:" + "a" * 64


class Names(NamedTuple):
    """What a set of values makes of the Job's name and of the key."""

    job: str
    key: str


def names(values: dict[str, Any] | None = None, *flags: str) -> Names:
    """Return the name of the Job and the key it trains under, everywhere the same."""
    rendered = render(values, *flags)
    job = rendered.workload("training")
    key = str(at(job, "metadata.labels")[KEY])
    assert at(job, "spec.template.metadata.labels")[KEY] == key
    assert environment(rendered.container("training"))["MODEL_KEY"] == key
    return Names(at(job, "metadata.name"), key)


@pytest.mark.parametrize(
    "values",
    [
        pytest.param({"server": {"replicaCount": 2}}, id="server.replicaCount"),
        pytest.param({"server": {"resources": {"limits": {"memory": "4Gi"}}}}, id="server.resources"),
        pytest.param({"server": {"image": {"tag": "2.19.0"}}}, id="server.image.tag"),
        pytest.param({"api": {"batchSize": 8}}, id="api.batchSize"),
        pytest.param({"loader": {"timeoutSeconds": 60}}, id="loader.timeoutSeconds"),
        pytest.param({"loader": {"sizeLimit": "8Gi"}}, id="loader.sizeLimit"),
        pytest.param({"model": {"version": 7}}, id="model.version"),
        pytest.param({"model": {"signature": "other"}}, id="model.signature"),
        pytest.param({"model": {"task": "raw"}}, id="model.task"),
        pytest.param({"training": {"backoffLimit": 5}}, id="training.backoffLimit"),
        pytest.param({"training": {"activeDeadlineSeconds": 60}}, id="training.activeDeadlineSeconds"),
        pytest.param({"training": {"suspend": True}}, id="training.suspend"),
        pytest.param({"ingress": {"enabled": True, "hosts": [{"host": "a.example.com"}]}}, id="ingress"),
    ],
)
def test_other_values_leave_job_and_key_alone(values: dict[str, Any]) -> None:
    assert names(values) == names()


@pytest.mark.parametrize(
    "training",
    [
        pytest.param({"resources": {"limits": {"memory": "4Gi"}}}, id="resources"),
        pytest.param({"minAccuracy": 0.5}, id="minAccuracy"),
        pytest.param({"nodeSelector": {"disk": "fast"}}, id="nodeSelector"),
        pytest.param({"image": {"pullPolicy": "Always"}}, id="image.pullPolicy"),
        pytest.param({"extraEnv": [{"name": "TF_CPP_MIN_LOG_LEVEL", "value": "1"}]}, id="extraEnv"),
    ],
)
def test_change_of_the_pod_makes_a_job_but_not_a_key(training: dict[str, Any]) -> None:
    changed = names({"training": training})
    assert changed.job != names().job
    assert changed.key == names().key


@pytest.mark.parametrize(
    "training",
    [
        pytest.param({"params": {"epochs": 6}}, id="epochs"),
        pytest.param({"params": {"batchSize": 33}}, id="batchSize"),
        pytest.param({"params": {"hiddenUnits": 511}}, id="hiddenUnits"),
        pytest.param({"params": {"dropout": 0.21}}, id="dropout"),
        pytest.param({"params": {"learningRate": 0.0011}}, id="learningRate"),
        pytest.param({"params": {"seed": 43}}, id="seed"),
        pytest.param({"dataset": {"name": "fashion-mnist"}}, id="dataset"),
        pytest.param({"image": {"registry": "registry.example.com"}}, id="image.registry"),
        pytest.param({"image": {"repository": "other"}}, id="image.repository"),
        pytest.param({"image": {"tag": "other"}}, id="image.tag"),
        pytest.param({"image": {"digest": DIGEST}}, id="image.digest"),
    ],
)
def test_training_input_makes_a_job_and_a_key(training: dict[str, Any]) -> None:
    changed = names({"training": training})
    assert changed.job != names().job
    assert changed.key != names().key


def test_every_parameter_is_among_the_inputs_tested() -> None:
    tested = {"epochs", "batchSize", "hiddenUnits", "dropout", "learningRate", "seed"}
    assert set(chart_docs.load_values()["training"]["params"]) == tested


def test_key_is_a_digest_of_the_inputs_as_canonical_json() -> None:
    training = chart_docs.load_values()["training"]
    inputs = {
        "dataset": training["dataset"],
        "image": "tensorflow-model-training:0.1.0",
        "network": "dense",
        "params": training["params"],
    }
    canonical = json.dumps(inputs, sort_keys=True, separators=(",", ":"))
    assert names().key == hashlib.sha256(canonical.encode()).hexdigest()[:12]


def test_key_rests_on_the_image_digest_alone() -> None:
    pinned = {"training": {"image": {"digest": DIGEST, "tag": "1.0"}}}
    mirrored = {"global": {"imageRegistry": "mirror.example.com"}, "training": {"image": {"digest": DIGEST}}}
    assert names(pinned).key == names(mirrored).key
    assert names(pinned).job != names(mirrored).job


def test_the_same_number_written_otherwise_is_no_change(tmp_path: Path) -> None:
    written = tmp_path / "values.yaml"
    written.write_text("training: {params: {epochs: 5.0, dropout: 2.0e-1}}", encoding="utf-8")
    by_set = "--set=training.params.epochs=5,training.params.learningRate=0.0010,training.minAccuracy=0.80"
    assert names() == names({}, by_set) == names({}, f"--values={written}")


def test_version_of_the_chart_is_in_no_pod() -> None:
    for component in SERVING:
        labels = at(render().workload(component), "spec.template.metadata.labels")
        assert not {"helm.sh/chart", "app.kubernetes.io/version"} & set(labels)
    assert not {"helm.sh/chart", "app.kubernetes.io/version"} & set(
        at(render().workload("training"), "spec.template.metadata.labels")
    )


def test_new_inputs_roll_the_server() -> None:
    before = render().workload("server")
    after = render({"training": {"params": {"epochs": 6}}}).workload("server")
    assert at(before, "spec.template.metadata.labels")[KEY] == names().key
    assert at(after, "spec.template.metadata.labels")[KEY] == names({"training": {"params": {"epochs": 6}}}).key


@pytest.mark.parametrize(
    "training",
    [
        pytest.param({"params": {"epochs": 6}}, id="params"),
        pytest.param({"dataset": {"name": "fashion-mnist"}}, id="dataset"),
        pytest.param({"image": {"digest": DIGEST}}, id="image"),
        pytest.param({"resources": {"limits": {"memory": "4Gi"}}}, id="resources"),
    ],
)
def test_no_training_rolls_the_api(training: dict[str, Any]) -> None:
    before = render().workload("api")
    after = render({"training": training}).workload("api")
    assert at(before, "spec.template") == at(after, "spec.template")


@pytest.mark.parametrize("component", SERVING)
def test_pinned_version_keeps_its_pods_through_new_inputs(component: str) -> None:
    pinned = {"model": {"version": 3}}
    before = render(pinned).workload(component)
    after = render({**pinned, "training": {"params": {"epochs": 6}, "resources": {}}}).workload(component)
    assert at(before, "spec.template") == at(after, "spec.template")
