"""The values schema: complete, described, closed, and in step with what is generated from it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
import yaml

from ci import chart_docs
from ci.steps import StepError
from tests.chart.rendering import CASES, RefusedError, every_helm, render

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# What all components have in common stands in this order in each, so that two of them can be read side by side.
COMMON = [
    "image", "replicaCount", "autoscaling", "strategy", "revisionHistoryLimit", "resources", "service", "startupProbe",
    "readinessProbe", "livenessProbe", "podSecurityContext", "securityContext", "nodeSelector", "tolerations",
    "affinity", "topologySpreadConstraints", "podDisruptionBudget", "priorityClassName", "runtimeClassName",
    "schedulerName", "resourceClaims", "hostAliases", "dnsPolicy", "dnsConfig", "annotations", "labels",
    "podAnnotations", "podLabels",
    "extraArgs", "extraEnv", "extraEnvFrom", "extraVolumes", "extraVolumeMounts", "extraInitContainers",
    "extraContainers", "tmpSizeLimit", "terminationGracePeriodSeconds",
]  # fmt: skip


def groups(schema: dict[str, Any], root: dict[str, Any], key: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every schema that groups keys of the chart, with its key."""
    yield key, schema
    for name, written in schema["properties"].items():
        found = chart_docs.resolve(written, root)
        if chart_docs.is_group(found):
            yield from groups(found, root, f"{key}.{name}".lstrip("."))


def merged(defaults: Any, given: Any) -> Any:
    """Return values as Helm puts them together: null takes a key away."""
    if not (isinstance(defaults, dict) and isinstance(given, dict)):
        return given
    both = {**defaults, **{name: merged(defaults.get(name), value) for name, value in given.items()}}
    return {name: value for name, value in both.items() if not (name in given and given[name] is None)}


def test_generated_files_are_up_to_date() -> None:
    for path, text in chart_docs.generated().items():
        assert path.read_text(encoding="utf-8") == text, f"{path.name} is out of date: run ci/nox -s docs"


def test_check_of_the_generator_agrees(capsys: pytest.CaptureFixture[str]) -> None:
    assert chart_docs.main(["--check"]) == 0, capsys.readouterr().err


def test_readme_without_a_place_for_the_reference_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text("# A chart\n", encoding="utf-8")
    monkeypatch.setattr(chart_docs, "README", readme)
    with pytest.raises(StepError, match="has no place for the reference"):
        chart_docs.readme()


def test_schema_and_values_have_the_same_keys_in_the_same_order() -> None:
    schema, values = chart_docs.load_schema(), chart_docs.load_values()
    for key, group in groups(schema, schema):
        defaults: Any = values
        for part in key.split(".") if key else []:
            defaults = defaults[part]
        if key == "imagePullSecrets":
            continue
        assert list(group["properties"]) == list(defaults), key or "the top level"


def test_every_key_has_a_description_that_is_a_sentence() -> None:
    schema = chart_docs.load_schema()
    for value in chart_docs.walk(schema, chart_docs.load_values(), schema):
        assert value.description.endswith("."), f"{value.key}: {value.description!r}"


def test_number_that_says_nothing_of_null_is_named() -> None:
    group = {"properties": {"seconds": {"type": "integer"}, "word": {"type": "string"}}}
    with pytest.raises(StepError, match=r"wait\.seconds is a number that says nothing of null"):
        chart_docs.absence(group, {}, "wait.")
    assert chart_docs.absence({**group, "required": ["seconds"]}, {}) == {
        "seconds": {"needed": True, "absent": None},
        "word": {"absent": ""},
    }


def test_editors_ask_for_no_key_of_ours() -> None:
    """A user's file has a few keys: only what is given inside a list, or names a thing, is asked for."""
    schema = json.loads(chart_docs.schema_json())
    assert [key for key, group in groups(schema, schema) if "required" in group or "absent" in group] == []


def test_every_group_is_described_and_closed() -> None:
    schema = chart_docs.load_schema()
    for key, group in groups(schema, schema):
        assert group.get("description") or not key, key
        # Other charts of a parent share this one.
        assert key == "global" or group.get("additionalProperties") is False, key


def test_every_default_and_example_is_valid() -> None:
    schema = chart_docs.load_schema()
    jsonschema.Draft7Validator.check_schema(schema)
    for value in chart_docs.walk(schema, chart_docs.load_values(), schema):
        validator = jsonschema.Draft7Validator({**value.schema, "definitions": schema["definitions"]})
        for example in [value.default, *value.schema.get("examples", [])]:
            assert validator.is_valid(example), f"{value.key}: {example!r}"


def test_components_have_their_common_keys_in_the_same_order() -> None:
    for component in ("training", "server", "api", "tensorboard"):
        keys = [key for key in chart_docs.load_values()[component] if key in COMMON]
        assert keys == [key for key in COMMON if key in keys], component


def test_everything_case_sets_every_key(everything_values: dict[str, Any]) -> None:
    schema = chart_docs.load_schema()
    unset = {
        "global.imageRegistry",
        "global.imagePullSecrets",
        "loader.image.digest",
        "server.image.digest",
        "api.image.digest",
        "tensorboard.image.digest",
    }
    for value in chart_docs.walk(schema, chart_docs.load_values(), schema):
        found: Any = everything_values
        for part in value.key.split("."):
            assert value.key in unset or (isinstance(found, dict) and part in found), value.key
            found = found.get(part) if isinstance(found, dict) else None


@pytest.mark.parametrize("case", CASES)
def test_case_is_valid(case: str) -> None:
    values = merged(chart_docs.load_values(), yaml.safe_load(CASES[case].read_text(encoding="utf-8")))
    jsonschema.validate(values, chart_docs.load_schema(), cls=jsonschema.Draft7Validator)


@pytest.mark.parametrize(
    ("values", "named"),
    [
        pytest.param({"server": {"replicas": 2}}, "replicas", id="misspelt"),
        pytest.param({"trainings": {}}, "trainings", id="misspelt-at-the-top"),
        pytest.param({"api": {"resources": {"request": {}}}}, "request", id="misspelt-resources"),
        pytest.param({"server": None}, "server", id="a-component-deleted"),
        pytest.param({"training": {"params": {"epochs": 0}}}, "epochs", id="no-epochs"),
        pytest.param({"training": {"params": {"epochs": 1.5}}}, "epochs", id="half-an-epoch"),
        pytest.param({"training": {"params": {"dropout": 1}}}, "dropout", id="all-units-dropped"),
        pytest.param({"training": {"params": {"learningRate": "fast"}}}, "learningRate", id="a-word-for-a-number"),
        pytest.param({"training": {"minAccuracy": 97}}, "minAccuracy", id="percent"),
        pytest.param({"training": {"dataset": {"name": "cifar"}}}, "dataset", id="unknown-data-set"),
        pytest.param({"model": {"name": 7}}, "/model/name", id="model-name-that-is-a-number"),
        pytest.param({"model": {"task": "guess"}}, "/model/task", id="unknown-task"),
        pytest.param({"model": {"labels": [1]}}, "/model/labels", id="label-that-is-a-number"),
        pytest.param({"model": {"source": {"url": "https://a/b"}}}, "url", id="misspelt-source"),
        pytest.param({"model": {"source": {"sha256": "abc"}}}, "sha256", id="digest-of-an-archive"),
        pytest.param({"loader": {"sizeLimit": "4 GB"}}, "sizeLimit", id="size-with-a-blank"),
        pytest.param({"model": {"version": 0}}, "version", id="version-zero"),
        pytest.param({"model": {"version": "newest"}}, "version", id="version-word"),
        pytest.param({"server": {"image": {"tag": 2.2}}}, "tag", id="tag-that-is-a-number"),
        pytest.param({"server": {"image": {"digest": "abc"}}}, "digest", id="digest"),
        pytest.param({"api": {"service": {"ports": {"http": 70000}}}}, "http", id="port"),
        pytest.param(
            {"commonLabels": {"app.kubernetes.io/name": "x"}},
            "commonLabels has app.kubernetes.io/name",
            id="label-of-a-selector",
        ),
        pytest.param(
            {"api": {"podLabels": {"tensorflow-model/model-key": "x"}}},
            "api.podLabels has tensorflow-model/",
            id="label-of-the-chart",
        ),
        pytest.param({"modelStore": {"pvc": {"accessModes": []}}}, "accessModes", id="no-access-mode"),
    ],
)
def test_bad_value_is_refused_by_name(values: dict[str, Any], named: str) -> None:
    with pytest.raises(RefusedError, match=named):
        render(values)


@every_helm
def test_both_helms_read_the_schema(helm: str) -> None:
    values = {"server": {"replicas": 2}, "training": {"params": {"epochs": 0}}}
    with pytest.raises(RefusedError, match=r"(?s)replicas.*epochs|epochs.*replicas"):
        render(values, helm=helm)


def test_values_of_other_charts_are_left_alone() -> None:
    assert render({"global": {"security": {"allowInsecureImages": True}}}).text == render().text
