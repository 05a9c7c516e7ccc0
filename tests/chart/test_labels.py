"""Labels and annotations: what selects never changes, what may change never selects."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.chart.rendering import COMPONENT, COMPONENTS, KEY, SERVING, STORE, at, name_of, render

if TYPE_CHECKING:
    from tests.chart.rendering import Rendered

SELECTORS = {"app.kubernetes.io/name", "app.kubernetes.io/instance", COMPONENT}
STANDARD = SELECTORS | {
    "app.kubernetes.io/part-of",
    "app.kubernetes.io/version",
    "app.kubernetes.io/managed-by",
    "helm.sh/chart",
}


def test_selectors_hold_name_instance_and_component_only(rendered: Rendered) -> None:
    for item in rendered.of_kind("Deployment", "PodDisruptionBudget"):
        assert set(at(item, "spec.selector.matchLabels")) == SELECTORS, name_of(item)
    for item in rendered.of_kind("Service"):
        assert set(at(item, "spec.selector")) == SELECTORS, name_of(item)
    for item in rendered.of_kind("NetworkPolicy"):
        assert set(at(item, "spec.podSelector.matchLabels")) == SELECTORS, name_of(item)


def test_selectors_select_pods_of_the_release(rendered: Rendered) -> None:
    pods = [at(item, "spec.template.metadata.labels") for item in rendered.workloads()]
    for item in rendered.of_kind("Deployment", "PodDisruptionBudget", "Service", "NetworkPolicy"):
        spec = at(item, "spec")
        selector = spec.get("podSelector") or spec["selector"]
        labels = selector.get("matchLabels", selector)
        assert any(labels.items() <= pod.items() for pod in pods), name_of(item)


def test_every_object_has_the_standard_labels(rendered: Rendered) -> None:
    for item in rendered.manifests:
        assert set(at(item, "metadata.labels")) >= STANDARD, name_of(item)


def test_each_component_has_its_own_word(rendered: Rendered) -> None:
    for item in rendered.workloads():
        component = at(item, "metadata.labels")[COMPONENT]
        assert COMPONENTS[component].kind == item["kind"]
        assert at(item, "spec.template.metadata.labels")[COMPONENT] == component, name_of(item)


def test_pods_carry_no_version_of_the_chart(rendered: Rendered) -> None:
    for item in rendered.workloads():
        assert not {"helm.sh/chart", "app.kubernetes.io/version"} & set(at(item, "spec.template.metadata.labels"))


def test_common_labels_and_annotations_are_on_every_object_and_pod(everything: Rendered) -> None:
    for item in everything.manifests:
        assert at(item, "metadata.labels")["team"] == "vision", name_of(item)
        assert at(item, "metadata.annotations")["example.com/owner"] == "vision", name_of(item)
    for item in everything.workloads():
        assert at(item, "spec.template.metadata.labels")["team"] == "vision", name_of(item)
        assert at(item, "spec.template.metadata.annotations")["example.com/owner"] == "vision", name_of(item)


def test_label_of_a_pod_wins_over_a_common_one() -> None:
    values = {"commonLabels": {"team": "all"}, "api": {"podLabels": {"team": "api"}}}
    rendered = render(values)
    assert at(rendered.workload("api"), "spec.template.metadata.labels")["team"] == "api"
    assert at(rendered.workload("server"), "spec.template.metadata.labels")["team"] == "all"


def test_pods_that_mount_a_store_and_no_others_share_a_label(rendered: Rendered) -> None:
    for item in rendered.workloads():
        claims = [
            volume["persistentVolumeClaim"]["claimName"]
            for volume in at(item, "spec.template.spec.volumes")
            if volume["name"] == "model-store"
        ]
        if at(item, "metadata.labels")[COMPONENT] == "tensorboard":
            # Of the company of the store where the workspace is on its node (test_training_job.py).
            continue
        label = at(item, "spec.template.metadata.labels").get(STORE)
        assert [label] == (claims or [None]), name_of(item)


def test_key_is_on_every_pod_that_waits_for_it(default: Rendered) -> None:
    keys = {
        name: at(default.workload(name), "spec.template.metadata.labels").get(KEY) for name in ("training", *SERVING)
    }
    assert keys == {"training": keys["server"], "server": keys["server"], "api": None}
    assert keys["server"]
