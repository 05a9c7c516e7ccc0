"""The Job's name and the model's key change with what they stand for, and with nothing else."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from ci import demo, paths
from tests.chart.rendering import KEY, SERVING, Rendered, at, environment, render, template

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


def data(**given: str) -> dict[str, Any]:
    """Return values of training data."""
    return {"training": {"data": given}}


CODE = {"module": "fraud", "code": {"fraud.py": "first"}}

# What leaves Job and key alone.
NOTHING: dict[str, dict[str, Any]] = {
    "server.replicaCount": {"server": {"replicaCount": 2}},
    "server.batching": {"server": {"batching": {"enabled": True}}},
    "api.batchSize": {"api": {"batchSize": 8}},
    "loader.timeoutSeconds": {"loader": {"timeoutSeconds": 60}},
    "loader.sizeLimit": {"loader": {"sizeLimit": "8Gi"}},
    "model.task": {"model": {"task": "raw"}},
    "training.suspend": {"training": {"suspend": True}},
    "training.schedule": {"training": {"schedule": {"cron": "@daily"}}},
    "training.workspace.size": {"training": {"workspace": {"size": "9Gi"}}},
    "tensorboard": {"tensorboard": {"enabled": True}},
    "ingress": {"ingress": {"enabled": True, "hosts": [{"host": "a.example.com"}]}},
}
# What makes a new Job, which finds its model published.
JOB: dict[str, dict[str, Any]] = {
    "training.resources": {"training": {"resources": {"limits": {"memory": "4Gi"}}}},
    "training.gates": {"training": {"gates": [{"metric": "accuracy", "min": 0.5}]}},
    "training.blessing.enabled": {"training": {"blessing": {"enabled": False}}},
    "training.blessing.timeoutSeconds": {"training": {"blessing": {"timeoutSeconds": 9}}},
    "training.workspace.enabled": {"training": {"workspace": {"enabled": False}}},
    "training.activeDeadlineSeconds": {"training": {"activeDeadlineSeconds": 7200}},
    "training.backoffLimit": {"training": {"backoffLimit": 5}},
    "training.nodeSelector": {"training": {"nodeSelector": {"disk": "fast"}}},
    "training.podLabels": {"training": {"podLabels": {"team": "vision"}}},
    "training.image.pullPolicy": {"training": {"image": {"pullPolicy": "Always"}}},
    "training.image.registry": {"training": {"image": {"registry": "registry.example.com"}}},
    "training.extraEnv": {"training": {"extraEnv": [{"name": "NOTE", "value": "1"}]}},
    "training.data.caBundle": {
        "training": {
            "data": {"uri": "https://a/b", "sha256": "a" * 64, "caBundle": {"configMapName": "authorities"}},
        }
    },
    "publisher.image.tag": {"publisher": {"image": {"tag": "2"}}},
    "modelStore.keep": {"modelStore": {"keep": {"versions": 3}}},
    "model.version": {"model": {"version": 7}},
    "model.signature": {"model": {"signature": "other"}},
    # The server that serves is the one that blesses.
    "server.image.tag": {"server": {"image": {"tag": "2.19.0"}}},
    "server.resources": {"server": {"resources": {"limits": {"memory": "4Gi"}}}},
}
# What trains another model.
KEY_TOO: dict[str, dict[str, Any]] = {
    "whole number": {"training": {"params": {"epochs": 6}}},
    "decimal": {"training": {"params": {"dropout": 0.21}}},
    "seed": {"training": {"params": {"seed": 43}}},
    "module": {"training": {"module": "fashion_mnist"}},
    "command": {"training": {"command": ["python3", "train.py"]}},
    "code": {"training": CODE},
    "claim": data(existingClaim="a"),
    "claim and path": data(existingClaim="a", path="b"),
    "claim and digest": data(existingClaim="a", sha256="c" * 64),
    "uri": data(uri="https://a/b", sha256="a" * 64),
    "digest of the uri": data(uri="https://a/b", sha256="b" * 64),
    "revision": {"training": {"revision": "again"}},
    "revision as a number": {"training": {"revision": 2}},
    "image.repository": {"training": {"image": {"repository": "other"}}},
    "image.tag": {"training": {"image": {"tag": "other"}}},
    "image.digest": {"training": {"image": {"digest": DIGEST}}},
}
# Parameters of somebody's own recipe: each is another model than every other.
PARAMS: dict[str, dict[str, Any]] = {
    "none": {},
    "word": {"optimizer": "adam"},
    "another word": {"optimizer": "sgd"},
    "truth": {"shuffle": True},
    "the other": {"shuffle": False},
    "word of truth": {"shuffle": "true"},
    "list of numbers": {"layers": [64, 32]},
    "in another order": {"layers": [32, 64]},
    "shorter": {"layers": [64]},
    "number alone": {"layers": 64},
    "list of words": {"layers": ["64", "x"]},
    "number": {"rate": 7},
    "word of digits": {"rate": "007"},
    "decimal": {"rate": 7.5},
    "small": {"rate": 1e-7},
}


@pytest.mark.parametrize("values", NOTHING.values(), ids=list(NOTHING))
def test_other_values_leave_job_and_key_alone(values: dict[str, Any]) -> None:
    assert names(values) == names()


@pytest.mark.parametrize("name", JOB)
def test_change_of_the_job_makes_a_job_but_not_a_key(name: str) -> None:
    before = names(data(uri="https://a/b", sha256="a" * 64)) if name == "training.data.caBundle" else names()
    changed = names(JOB[name])
    assert changed.job != before.job
    assert changed.key == before.key


@pytest.mark.parametrize("values", KEY_TOO.values(), ids=list(KEY_TOO))
def test_training_input_makes_a_job_and_a_key(values: dict[str, Any]) -> None:
    changed = names(values)
    assert changed.job != names().job
    assert changed.key != names().key


def test_each_training_input_has_a_key_of_its_own() -> None:
    keys = {name: names(values).key for name, values in KEY_TOO.items()}
    assert len(set(keys.values())) == len(keys), keys


def test_parameters_of_every_kind_count() -> None:
    keys = {name: names({"training": {**CODE, "params": params}}).key for name, params in PARAMS.items()}
    assert len(set(keys.values())) == len(keys), keys


def test_changed_code_is_another_model_under_another_map() -> None:
    first = render({"training": CODE})
    second = render({"training": {**CODE, "code": {"fraud.py": "second"}}})
    renamed = render({"training": {**CODE, "code": {"fraud.py": "first", "more.py": ""}}})
    keys = [environment(one.container("training"))["MODEL_KEY"] for one in (first, second, renamed)]
    assert len(set(keys)) == 3
    maps = [
        item["metadata"]["name"]
        for one in (first, second, renamed)
        for item in one.of_kind("ConfigMap")
        if "training.json" in item["data"]
    ]
    assert len(set(maps)) == 3


def test_null_leaves_a_parameter_to_its_recipe() -> None:
    assert names({"training": {"params": {"epochs": None}}}) == names()


def test_names_of_parameters_are_the_same_in_both_spellings() -> None:
    both = [names({"training": {"params": {name: 7}}}) for name in ("hiddenUnits", "hidden_units")]
    assert both[0] == both[1] != names()


def test_key_is_a_digest_of_the_inputs_as_canonical_json() -> None:
    inputs = {
        "code": {},
        "command": [],
        "data": {},
        "image": "tensorflow-model-training:",
        "module": "mnist",
        "params": {"epochs": 6},
        "revision": "",
    }
    canonical = json.dumps(inputs, sort_keys=True, separators=(",", ":"))
    key = names({"training": {"params": {"epochs": 6}}}).key
    assert key == hashlib.sha256(canonical.encode()).hexdigest()[:12]


def test_key_rests_on_the_image_digest_alone() -> None:
    pinned = {"training": {"image": {"digest": DIGEST, "tag": "1.0"}}}
    mirrored = {"global": {"imageRegistry": "mirror.example.com"}, "training": {"image": {"digest": DIGEST}}}
    assert names(pinned).key == names(mirrored).key
    assert names(pinned).job != names(mirrored).job


@pytest.mark.parametrize("field", ["version", "appVersion"])
def test_newer_chart_trains_nothing(tmp_path: Path, field: str) -> None:
    newer = tmp_path / "chart"
    shutil.copytree(paths.CHART, newer)
    about = (newer / "Chart.yaml").read_text(encoding="utf-8")
    changed, count = re.subn(rf"^{field}:.*$", f'{field}: "9.9.9"', about, flags=re.MULTILINE)
    assert count == 1
    (newer / "Chart.yaml").write_text(changed, encoding="utf-8")
    after = Rendered(template("{}", chart=newer))
    assert environment(after.container("training"))["MODEL_KEY"] == names().key
    job = at(after.workload("training"), "metadata.name")
    # Its images are newer ones, so the Job is; it finds the model published. The chart's own version is in no pod.
    assert (job == names().job) == (field == "version")


def test_the_same_number_written_otherwise_is_no_change(tmp_path: Path) -> None:
    written = tmp_path / "values.yaml"
    written.write_text("training: {params: {epochs: 6.0, dropout: 2.5e-1}}", encoding="utf-8")
    meant = names({"training": {"params": {"epochs": 6, "dropout": 0.25}}})
    by_set = "--set=training.params.epochs=6,training.params.dropout=0.250"
    assert meant == names({}, by_set) == names({}, f"--values={written}")


def test_revision_is_the_same_number_from_a_file_and_by_set() -> None:
    # Helm makes a decimal of what a file has, and a whole number of what --set has.
    flags = "--set=training.revision=20260101", "--set-string=training.revision=20260101"
    keys = {names({"training": {"revision": 20260101}}).key, *(names({}, flag).key for flag in flags)}
    assert len(keys) == 1


def test_null_leaves_the_image_as_the_chart_has_it() -> None:
    assert names({"training": {"image": {"tag": None, "digest": None}}}) == names()


def test_number_of_set_is_that_of_a_file_for_a_recipe_of_ones_own_too() -> None:
    by_file = names({"training": {**CODE, "params": {"rate": 0.25, "layers": [64, 32]}}})
    by_set = names({"training": CODE}, "--set=training.params.rate=0.25,training.params.layers={64,32}")
    assert by_file == by_set


def test_version_of_the_chart_is_in_no_pod() -> None:
    for component in (*SERVING, "training"):
        labels = at(render().workload(component), "spec.template.metadata.labels")
        assert not {"helm.sh/chart", "app.kubernetes.io/version"} & set(labels)


def test_new_inputs_roll_the_server() -> None:
    before = render().workload("server")
    after = render({"training": {"params": {"epochs": 6}}}).workload("server")
    assert at(before, "spec.template.metadata.labels")[KEY] == names().key
    assert at(after, "spec.template.metadata.labels")[KEY] == names({"training": {"params": {"epochs": 6}}}).key


def test_the_demo_finds_the_job_in_what_helm_says_of_its_release() -> None:
    rendered = render()
    assert demo.training_job_of(rendered.text) == at(rendered.workload("training"), "metadata.name")
