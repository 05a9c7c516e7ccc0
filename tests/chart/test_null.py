"""A key that is not there, by null or in the values of an older chart, means nothing of its kind or is refused by name.

Never zero, never an error of a template.
"""

from __future__ import annotations

import functools
import json
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from ci import chart_docs, paths
from tests.chart.rendering import OLDEST, RefusedError, containers, every_helm, name_of, pod_spec, render, template

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.chart.rendering import Manifest

KEYS: dict[str, Any] = json.loads(chart_docs.KEYS.read_text(encoding="utf-8"))
# What has every object rendered.
VALUES: dict[str, Any] = {
    "training": {
        "schedule": {"cron": "@daily"},
        "data": {"existingClaim": "data"},
        "code": {"helpers.py": "ONE = 1\n"},
    },
    "server": {"batching": {"enabled": True}, "replicaCount": 2},
    "api": {"replicaCount": 2},
    "tensorboard": {"enabled": True},
    "networkPolicy": {"enabled": True},
    "ingress": {"enabled": True, "hosts": ["digits.example.com"]},
    "httpRoute": {"enabled": True, "parentRefs": [{"name": "public"}]},
}
# Keys whose absence leaves others without what they need, and what is said then.
NEEDED_BY_OTHERS = {
    **{f"{name}.resources": f"{name}.resources.requests.cpu is not set: set it, or" for name in ("server", "api")},
    **{
        f"{name}.autoscaling.targetCPUUtilizationPercentage": "there is nothing to scale by: set"
        for name in ("server", "api")
    },
    **{
        f"{name}.podDisruptionBudget.maxUnavailable": f"set {name}.podDisruptionBudget.maxUnavailable"
        for name in ("server", "api")
    },
    "ingress.hosts": "ingress.hosts is empty: name a host, or",
    "httpRoute.parentRefs": "httpRoute.parentRefs is empty: name the Gateway",
    "training.workspace.enabled": "training.workspace.enabled must be there",
}
OLDER = Path(__file__).parent / "older-values.yaml"
EMPTY: tuple[Any, ...] = (0, "", "0", None, [], {})
BATCH_COUNT = 10


def walk(keys: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every key, groups and values, with what files/keys.json says of it."""
    for name, key in keys.items():
        yield f"{prefix}{name}", key
        yield from walk(key.get("keys", {}), f"{prefix}{name}.")


def needed(key: dict[str, Any], name: str) -> list[str]:
    """Return the keys that have to be there and are not when a key is null."""
    if key.get("needed"):
        return [name]
    children = key.get("keys", {})
    switch = children.get("enabled")
    if switch and not (switch.get("needed") or switch["absent"]):
        # What is off needs nothing.
        return []
    return [found for child, facts in children.items() for found in needed(facts, f"{name}.{child}")]


def with_null(*keys: str, given: Mapping[str, Any] = VALUES) -> dict[str, Any]:
    """Return values with null at dotted keys."""
    values: dict[str, Any] = json.loads(json.dumps(given))
    for key in keys:
        *groups, last = key.split(".")
        at = values
        for name in groups:
            at = at.setdefault(name, {})
        at[last] = None
    return values


def without_nulls(values: dict[str, Any]) -> dict[str, Any]:
    """Return values as one has them who passes over null."""
    return {
        name: without_nulls(value) if isinstance(value, dict) else value
        for name, value in values.items()
        if value is not None
    }


ALL = dict(walk(KEYS))
REFUSED = {name: missing for name, key in ALL.items() if (missing := needed(key, name))}
TAKEN = [name for name in ALL if name not in REFUSED and name not in NEEDED_BY_OTHERS]
# One that is off hides others, so that groups and switches are tried alone; neighbours are in different batches.
ALONE = [name for name in TAKEN if "keys" in ALL[name] or name.endswith("enabled")]
TOGETHER = [name for name in TAKEN if name not in ALONE]
BATCHES = [TOGETHER[at::BATCH_COUNT] for at in range(BATCH_COUNT)]


@pytest.fixture(scope="module")
def parent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a chart that has this one below it."""
    return parent_of(tmp_path_factory.mktemp("parent"), "tensorflow-model")


def parent_of(folder: Path, *aliases: str) -> Path:
    """Return a chart that has this one below it once for each alias, where the alias' condition says so."""
    shutil.copytree(paths.CHART, folder / "charts" / "tensorflow-model", ignore=shutil.ignore_patterns("ci"))
    dependencies = [
        {"name": "tensorflow-model", "version": ">=0.0.0-0", "alias": alias, "condition": f"{alias}.enabled"}
        for alias in aliases
    ]
    chart = {"apiVersion": "v2", "name": "parent", "version": "1.0.0", "dependencies": dependencies}
    (folder / "Chart.yaml").write_text(yaml.safe_dump(chart), encoding="utf-8")
    return folder


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the paths of what is in a manifest; elements of a list by their name where they have one."""
    if isinstance(value, dict) and value:
        for name, item in value.items():
            yield from leaves(item, f"{path}.{name}")
    elif isinstance(value, list) and value:
        for index, item in enumerate(value):
            name = item.get("name", index) if isinstance(item, dict) else index
            yield from leaves(item, f"{path}[{name}]")
    else:
        yield path, value


def nothings(manifests: list[Manifest]) -> set[str]:
    """Return where manifests have zero, nothing or empty text."""
    return {
        re.sub(r"-[0-9a-f]{8}\b", "-HASH", f"{name_of(item)}{path}")
        for item in manifests
        for path, value in leaves(item)
        if value in EMPTY and value is not False and not path.endswith(".emptyDir")
    }


def objects(text: str) -> list[Manifest]:
    """Return the objects of a render without the traces of a Go template that met nothing."""
    assert "<nil>" not in text
    assert "<no value>" not in text
    return [item for item in yaml.load_all(text, Loader=yaml.CSafeLoader) if item]


@functools.cache
def usual() -> set[str]:
    """Return where there is zero, nothing or empty text without a null."""
    return nothings(objects(template(yaml.safe_dump(VALUES))))


@every_helm
@pytest.mark.parametrize("batch", range(BATCH_COUNT))
def test_null_is_what_is_not_there(batch: int, helm: str) -> None:
    text = template(yaml.safe_dump(with_null(*BATCHES[batch])), helm=helm)
    assert nothings(objects(text)) <= usual(), BATCHES[batch]


@pytest.mark.parametrize("key", ALONE)
def test_group_or_switch_that_is_null_is_not_there(key: str) -> None:
    assert nothings(objects(template(yaml.safe_dump(with_null(key))))) <= usual()


@pytest.mark.parametrize(
    "credentials",
    [
        pytest.param({"endpoint": "https://minio.example.com", "existingSecret": "credentials"}, id="secret"),
        pytest.param({"webIdentity": {"roleArn": "arn:aws:iam::123456789012:role/models"}}, id="identity"),
    ],
)
def test_null_of_a_bucket_is_what_is_not_there(credentials: dict[str, Any]) -> None:
    store = {"type": "s3", "s3": {"bucket": "models", **credentials, "caBundle": {"configMapName": "authorities"}}}
    given = VALUES | {"modelStore": store}
    there = nothings(objects(template(yaml.safe_dump(given))))
    # What is below s3 needs a bucket (validation/_s3.tpl), and an identity its role.
    needed = {"modelStore.s3.bucket", "modelStore.s3.webIdentity.roleArn"}
    optional = [name for name in TOGETHER if name.startswith("modelStore.s3.") and name not in needed]
    for keys in (optional[::2], optional[1::2]):
        assert nothings(objects(template(yaml.safe_dump(with_null(*keys, given=given))))) <= there, keys


@every_helm
@pytest.mark.parametrize("batch", range(BATCH_COUNT))
def test_null_from_above_a_parent_chart_is_the_same(batch: int, helm: str, parent: Path) -> None:
    values = with_null(*BATCHES[batch])
    # The oldest Helm passes over null that is given from above, and the chart's own value stays.
    meant = without_nulls(values) if helm == OLDEST else values
    direct = template(yaml.safe_dump(meant), helm=helm)
    below = template(yaml.safe_dump({"tensorflow-model": values}), helm=helm, chart=parent)
    assert objects(below) == objects(direct)


@every_helm
def test_all_that_has_to_be_there_is_refused_by_name(helm: str) -> None:
    alone = [name for name in REFUSED if ALL[name].get("needed")]
    with pytest.raises(RefusedError) as refused:
        template(yaml.safe_dump(with_null(*alone)), helm=helm)
    line = next(line for line in str(refused.value).splitlines() if "must be there" in line)
    assert line.endswith("give it a value, or upgrade with --reset-then-reuse-values")
    assert set(line.removeprefix("- ").partition(" must be there")[0].split(", ")) == set(alone)


@pytest.mark.parametrize("key", [name for name in REFUSED if "keys" in ALL[name]])
def test_group_that_has_to_be_there_is_refused_by_what_it_lacks(key: str) -> None:
    with pytest.raises(RefusedError) as refused:
        render(with_null(key))
    line = next(line for line in str(refused.value).splitlines() if "must be there" in line)
    assert set(line.removeprefix("- ").partition(" must be there")[0].split(", ")) == set(REFUSED[key])


@pytest.mark.parametrize("key", NEEDED_BY_OTHERS)
def test_what_others_need_is_refused_with_the_way_out(key: str) -> None:
    with pytest.raises(RefusedError, match=re.escape(NEEDED_BY_OTHERS[key])):
        render(with_null(key))


def chart_with(folder: Path, values: dict[str, Any]) -> Path:
    """Return the chart as --reuse-values has it: with the values of an older one for its defaults."""
    shutil.copytree(paths.CHART, folder / "chart", ignore=shutil.ignore_patterns("ci"))
    (folder / "chart" / "values.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
    return folder / "chart"


@every_helm
def test_values_of_an_older_chart_are_taken(helm: str, tmp_path: Path) -> None:
    older = yaml.safe_load(OLDER.read_text(encoding="utf-8"))
    text = template(yaml.safe_dump(VALUES), helm=helm, chart=chart_with(tmp_path, older))
    assert "<nil>" not in text
    assert not [name for name in ("strategy", "extraObjects") if name in older], "not older than these keys"


def test_values_of_a_chart_without_what_has_to_be_there_are_refused(tmp_path: Path) -> None:
    older = chart_docs.load_values()
    del older["publisher"], older["api"]["maxHeaders"]
    with pytest.raises(RefusedError, match=r"api\.maxHeaders, publisher\.image\.repository must be there"):
        template("{}", chart=chart_with(tmp_path, older))


def chart_below(folder: Path, values: dict[str, Any], **shared: Any) -> str:
    """Return what a parent chart renders that has this one below it by each alias of the values."""
    return template(yaml.safe_dump({**values, **shared}), chart=parent_of(folder, *values))


def test_parent_chart_switches_by_its_condition(tmp_path: Path) -> None:
    values: dict[str, Any] = {"first": {"enabled": False}, "second": {"enabled": True}, "third": {}}
    shared = {"global": {"storageClass": "fast", "imageRegistry": "mirror.example.com"}}
    text = chart_below(tmp_path, values, **shared)
    names = {item["metadata"]["name"] for item in objects(text) if item["kind"] == "Deployment"}
    assert names == {f"mnist-{alias}-{component}" for alias in ("second", "third") for component in ("server", "api")}
    assert "mirror.example.com/tensorflow-model-api" in text


@every_helm
def test_null_takes_away_what_another_file_of_values_gives(helm: str) -> None:
    null = {
        "commonLabels": {"team": None},
        "commonAnnotations": {"example.com/owner": None},
        "server": {
            "nodeSelector": {"pool": None},
            "resources": {"limits": {"cpu": None, "nvidia.com/gpu": None}},
            "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": None}},
            "podSecurityContext": {"seLinuxOptions": None},
            "extraContainers": [{"name": "side", "image": "a", "env": None, "resources": {"limits": {"cpu": None}}}],
        },
    }
    assert "null" not in render(null, helm=helm).text
    pod = pod_spec(render(null, helm=helm).workload("server"))
    assert containers(render(null, helm=helm).workload("server"))["server"]["resources"]["limits"] == {"memory": "2Gi"}
    assert "nodeSelector" not in pod
