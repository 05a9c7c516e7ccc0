"""A render is a pure function of values and chart: tidy, quick, the same everywhere."""

from __future__ import annotations

import re
import subprocess
import time
from typing import TYPE_CHECKING

import pytest
import yaml

from ci import paths
from tests.chart.rendering import (
    CASES,
    COMPONENT,
    COMPONENTS,
    HELMS,
    KUBE_VERSION,
    NAMESPACE,
    every_helm,
    name_of,
    pod_spec,
    render_case,
    template,
)

if TYPE_CHECKING:
    from tests.chart.rendering import Manifest, Rendered

# What reads the cluster, the clock, chance, or whether a release is there.
IMPURE = re.compile(
    r"(?<![\w.$])(lookup|now|ago|uuidv4|shuffle|bcrypt|htpasswd|derivePassword|getHostByName|encryptAES)\b"
    r"|(?<![\w.$])(rand|gen)[A-Z]|\.Release\.(Revision|IsUpgrade|IsInstall)"
)
# What comes in any order, unless it is sorted: at once, or by what these make of it in the end.
SORTED_IN_THE_END = {"lib/_model.tpl"}
UNORDERED = re.compile(r"(?<![\w.$])(keys|values) [$.(]")
ACTION = re.compile(r"\{\{.*?\}\}", re.DOTALL)
TEMPLATES = paths.CHART / "templates"
NAMESPACED = {
    "ConfigMap", "CronJob", "Deployment", "HTTPRoute", "HorizontalPodAutoscaler", "Ingress", "Job", "NetworkPolicy",
    "PersistentVolumeClaim", "Pod", "PodDisruptionBudget", "Service", "ServiceAccount",
}  # fmt: skip


def empty_paths(value: object, path: str = "") -> list[str]:
    """Return the paths of empty maps, lists and texts below a value; an emptyDir is meant to be empty."""
    if value in ({}, [], None):
        return [] if path.endswith("emptyDir") else [path]
    if isinstance(value, dict):
        return [found for name, item in value.items() for found in empty_paths(item, f"{path}.{name}")]
    if isinstance(value, list):
        return [found for index, item in enumerate(value) for found in empty_paths(item, f"{path}[{index}]")]
    return []


@every_helm
@pytest.mark.parametrize("case", CASES)
def test_every_helm_renders_the_same(case: str, helm: str) -> None:
    assert render_case(case, helm).manifests == render_case(case).manifests


@every_helm
def test_two_renders_are_equal_to_the_byte(helm: str) -> None:
    values = CASES["everything"].read_text(encoding="utf-8")
    assert template(values, helm=helm) == template(values, helm=helm)


def test_render_is_as_tidy_as_a_manifest_written_by_hand(rendered: Rendered) -> None:
    assert not re.search(r"[ \t]+$", rendered.text, re.MULTILINE), "blanks at the end of a line"
    assert "\n\n\n" not in re.sub(r"(?ms)^ +- \|$.*?(?=^ {0,6}env:)", "", rendered.text), "a run of blank lines"
    for item in rendered.manifests:
        assert empty_paths(item) == [], name_of(item)


@every_helm
@pytest.mark.parametrize("case", ["default", "everything"])
def test_helm_lint_finds_nothing(case: str, helm: str) -> None:
    command = [str(HELMS[helm]()), "lint", "--strict", str(paths.CHART), f"--kube-version={KUBE_VERSION}"]
    done = subprocess.run([*command, f"--values={CASES[case]}"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_object_is_in_a_namespace(rendered: Rendered) -> None:
    assert {item["kind"] for item in rendered.manifests} <= NAMESPACED
    # Also for those who pipe it into kubectl, whose context names another one.
    assert {item["metadata"].get("namespace") for item in rendered.manifests} == {NAMESPACE}


def test_every_object_has_its_own_name(rendered: Rendered) -> None:
    names = [name_of(item) for item in rendered.manifests]
    assert len(names) == len(set(names))


def test_only_the_test_is_a_hook(rendered: Rendered) -> None:
    def is_hook(item: Manifest) -> bool:
        return any(name.startswith("helm.sh/hook") for name in item["metadata"].get("annotations", {}))

    assert [item["kind"] for item in rendered.manifests if is_hook(item)] == ["Pod"]


def impurities(template: str) -> list[str]:
    """Return what of a template may render differently the next time."""
    actions = [action for action in ACTION.findall(template) if not re.match(r"\{\{-? ?/\*", action)]
    # Words within quotes are text, or names of other templates.
    bare = [re.sub(r'"[^"]*"', '""', action) for action in actions]
    unsorted = [action for action in bare if UNORDERED.search(action) and "sortAlpha" not in action]
    return [*(action for action in bare if IMPURE.search(action)), *unsorted]


def test_templates_use_nothing_that_changes_between_renders() -> None:
    found = {
        str(path.relative_to(TEMPLATES)): impurities(path.read_text(encoding="utf-8"))
        for path in TEMPLATES.rglob("*.*")
    }
    assert len(found) > 60
    assert {name for name, words in found.items() if words} == SORTED_IN_THE_END, found


@pytest.mark.parametrize("action", [
    "randAlphaNum 8", "randInt 1 9", "now | date", 'lookup "v1" "Secret" "a" "b"', "genSelfSignedCert $a", "uuidv4",
    ".Release.Revision", "$.Release.IsUpgrade", "range keys .Values.labels", "join (values $labels)", "shuffle $text",
])  # fmt: skip
def test_what_changes_between_renders_is_found(action: str) -> None:
    assert impurities("kind: Secret\n{{- " + action + " }}") != []


@pytest.mark.parametrize("action", [
    "range keys $labels | sortAlpha", "/* now */", '"random now"', ".Values.values", "include (print $.Template.Name)",
])  # fmt: skip
def test_what_renders_the_same_is_not_found(action: str) -> None:
    assert impurities("{{- " + action + " }}") == []


def test_every_named_template_has_the_charts_prefix_and_a_comment() -> None:
    names = []
    for path in (path for path in TEMPLATES.rglob("*") if path.is_file()):
        text = path.read_text(encoding="utf-8")
        for define in re.finditer(r'\{\{-?\s*define\s+"([^"]+)"', text):
            assert path.suffix == ".tpl", f"{path.name} defines {define[1]}: named templates are in .tpl files"
            assert define[1].startswith("tensorflow-model."), f"{path.name}: {define[1]}"
            assert text[: define.start()].rstrip("\n").endswith("*/}}"), f"{path.name}: {define[1]} has no comment"
            names.append(define[1])
    assert len(names) == len(set(names)) > 50


def test_every_workload_folder_is_known_to_the_tests() -> None:
    folders = {path.parent.name for name in ("deployment", "job") for path in TEMPLATES.rglob(f"{name}.yaml")}
    assert folders == set(COMPONENTS)


def test_every_component_of_a_workload_is_known_to_the_tests(rendered: Rendered) -> None:
    assert {item["metadata"]["labels"][COMPONENT] for item in rendered.workloads()} <= set(COMPONENTS)


def test_init_containers_are_known_to_the_tests_and_in_order(rendered: Rendered) -> None:
    for item in rendered.workloads():
        component = COMPONENTS[item["metadata"]["labels"][COMPONENT]]
        users = {"before-" + item["metadata"]["labels"][COMPONENT]}
        found = [one for one in pod_spec(item).get("initContainers", []) if one["name"] not in users]
        started, staying = component.init_containers, component.sidecars
        assert tuple(container["name"] for container in found) in {started, (*started, *staying)}, name_of(item)
        for container in found:
            assert (container.get("restartPolicy") == "Always") is (container["name"] in staying), name_of(item)


def test_default_values_render_within_a_second() -> None:
    seconds = []
    for attempt in range(3):
        start = time.monotonic()
        template("{}", (f"--set=commonAnnotations.attempt=a{attempt}",))
        seconds.append(time.monotonic() - start)
    assert min(seconds) < 1


def test_values_cases_say_what_they_are_for() -> None:
    for path in CASES.values():
        text = path.read_text(encoding="utf-8")
        assert text.startswith("# "), path.name
        assert isinstance(yaml.safe_load(text), dict), path.name
