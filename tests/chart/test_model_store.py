"""The model store: kept, written by training only, and never attached to two nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.chart.rendering import COMPONENT, COMPONENTS, SERVING, STORE, at, containers, name_of, pod_spec, render

if TYPE_CHECKING:
    from tests.chart.rendering import Rendered


def node_rules(rendered: Rendered, component: str) -> list[dict[str, Any]]:
    """Return the required pod affinity terms of a component."""
    affinity = pod_spec(rendered.workload(component)).get("affinity", {})
    terms: list[dict[str, Any]] = affinity.get("podAffinity", {}).get(
        "requiredDuringSchedulingIgnoredDuringExecution", []
    )
    return terms


def test_claim_stays_when_the_release_goes(rendered: Rendered) -> None:
    for item in rendered.of_kind("PersistentVolumeClaim"):
        assert at(item, "metadata.annotations")["helm.sh/resource-policy"] == "keep", name_of(item)


def test_claim_takes_its_values(everything: Rendered) -> None:
    claim = everything.one("PersistentVolumeClaim")
    assert at(claim, "metadata.annotations")["example.com/claim"] == "model-store"
    assert at(claim, "spec") == {
        "accessModes": ["ReadWriteOnce", "ReadOnlyMany"],
        "storageClassName": "",
        "resources": {"requests": {"storage": "5Gi"}},
    }


def test_storage_class_is_the_clusters_unless_named() -> None:
    assert "storageClassName" not in at(render().one("PersistentVolumeClaim"), "spec")
    named = render({"modelStore": {"pvc": {"storageClass": "fast"}}})
    assert at(named.one("PersistentVolumeClaim"), "spec.storageClassName") == "fast"


def test_existing_claim_is_used_and_none_made() -> None:
    rendered = render({"modelStore": {"pvc": {"existingClaim": "models"}}})
    assert rendered.of_kind("PersistentVolumeClaim") == []
    for item in rendered.workloads():
        volumes = {volume["name"]: volume for volume in pod_spec(item)["volumes"]}
        assert volumes["model-store"]["persistentVolumeClaim"] == {"claimName": "models"}, name_of(item)


def test_only_training_writes_to_the_store(rendered: Rendered) -> None:
    for item in rendered.workloads():
        component = COMPONENTS[at(item, "metadata.labels")[COMPONENT]]
        for name, container in containers(item).items():
            for mount in container["volumeMounts"]:
                if mount["name"] == "model-store":
                    writes = not mount.get("readOnly", False)
                    assert writes is component.writes_models, f"{name_of(item)}: {name}"


def test_links_of_the_loader_lead_somewhere_in_the_server(rendered: Rendered) -> None:
    loader, server = rendered.container("server", "loader"), rendered.container("server")
    where = [{mount["name"]: mount["mountPath"] for mount in item["volumeMounts"]} for item in (loader, server)]
    for volume in ("model-store", "models"):
        assert where[0][volume] == where[1][volume]


@pytest.mark.parametrize("component", COMPONENTS)
def test_pods_share_a_node_with_a_volume_of_one_node(default: Rendered, component: str) -> None:
    labels = at(default.workload(component), "spec.template.metadata.labels")
    assert node_rules(default, component) == [
        {"labelSelector": {"matchLabels": {STORE: labels[STORE]}}, "topologyKey": "kubernetes.io/hostname"}
    ]


@pytest.mark.parametrize("component", COMPONENTS)
def test_pods_spread_with_a_volume_of_many_nodes(component: str) -> None:
    rendered = render({"modelStore": {"pvc": {"accessModes": ["ReadWriteMany"]}}})
    assert node_rules(rendered, component) == []


@pytest.mark.parametrize("component", SERVING)
def test_readers_spread_with_a_volume_many_nodes_read(component: str) -> None:
    pvc = {"existingClaim": "models", "accessModes": ["ReadOnlyMany"]}
    assert node_rules(render({"training": {"enabled": False}, "modelStore": {"pvc": pvc}}), component) == []


def test_own_affinity_is_kept_beside_the_rule(everything: Rendered) -> None:
    keys = [term["topologyKey"] for term in node_rules(everything, "server")]
    assert keys == ["topology.kubernetes.io/zone", "kubernetes.io/hostname"]
    assert "nodeAffinity" in pod_spec(everything.workload("training"))["affinity"]
