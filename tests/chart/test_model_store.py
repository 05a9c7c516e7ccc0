"""The model store: kept, written by training only, and never attached to two nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.chart.rendering import (
    COMPONENT,
    COMPONENTS,
    STORE,
    at,
    containers,
    name_of,
    pod_spec,
    render,
    render_case,
)

if TYPE_CHECKING:
    from tests.chart.rendering import Manifest, Rendered

READERS_AND_WRITERS = ("training", "server")


def node_rules(rendered: Rendered, component: str) -> list[dict[str, Any]]:
    """Return the required pod affinity terms of a component."""
    affinity = pod_spec(rendered.workload(component)).get("affinity", {})
    terms: list[dict[str, Any]] = affinity.get("podAffinity", {}).get(
        "requiredDuringSchedulingIgnoredDuringExecution", []
    )
    return terms


def claims(rendered: Rendered, component: str = "model-store") -> list[Manifest]:
    """Return the claims of the model store, or of training's workspace."""
    return [
        item
        for item in rendered.of_kind("PersistentVolumeClaim")
        if at(item, "metadata.labels")[COMPONENT] == component
    ]


def test_claim_stays_when_the_release_goes(rendered: Rendered) -> None:
    for item in claims(rendered):
        assert at(item, "metadata.annotations")["helm.sh/resource-policy"] == "keep", name_of(item)


def test_claim_takes_its_values(everything: Rendered) -> None:
    (claim,) = claims(everything)
    assert at(claim, "metadata.annotations")["example.com/claim"] == "model-store"
    assert at(claim, "spec") == {
        "accessModes": ["ReadWriteOnce", "ReadOnlyMany"],
        "storageClassName": "",
        "resources": {"requests": {"storage": "5Gi"}},
        "volumeName": "models-volume",
        "selector": {"matchLabels": {"purpose": "models"}},
        "dataSource": {"apiGroup": "snapshot.storage.k8s.io", "kind": "VolumeSnapshot", "name": "models-source"},
    }


def test_storage_class_is_the_clusters_unless_named() -> None:
    (claim,) = claims(render())
    assert "storageClassName" not in at(claim, "spec")
    (named,) = claims(render({"modelStore": {"pvc": {"storageClass": "fast"}}}))
    assert at(named, "spec.storageClassName") == "fast"


def test_workspace_goes_with_the_release_unless_it_is_kept(default: Rendered, everything: Rendered) -> None:
    (claim,), (kept,) = claims(default, "training"), claims(everything, "training")
    assert "annotations" not in claim["metadata"]
    assert at(kept, "metadata.annotations")["helm.sh/resource-policy"] == "keep"
    assert at(kept, "spec") == {
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": "workspace-class",
        "resources": {"requests": {"storage": "7Gi"}},
        "volumeName": "workspace-volume",
        "selector": {"matchLabels": {"purpose": "workspace"}},
        "dataSource": {"kind": "PersistentVolumeClaim", "name": "workspace-source"},
    }


@pytest.mark.parametrize("component", READERS_AND_WRITERS)
def test_existing_claim_is_used_and_none_made(component: str) -> None:
    rendered = render({"modelStore": {"pvc": {"existingClaim": "models"}}})
    assert claims(rendered) == []
    volumes = {volume["name"]: volume for volume in pod_spec(rendered.workload(component))["volumes"]}
    assert volumes["model-store"]["persistentVolumeClaim"] == {"claimName": "models"}


@pytest.mark.parametrize("case", ["https-model", "image-volume"])
def test_no_store_is_there_for_a_model_from_elsewhere(case: str) -> None:
    rendered = render_case(case)
    assert rendered.of_kind("PersistentVolumeClaim") == []
    for item in rendered.workloads():
        assert "model-store" not in {volume["name"] for volume in pod_spec(item)["volumes"]}, name_of(item)
        assert "affinity" not in pod_spec(item), name_of(item)


def test_api_has_no_volume_of_a_model(rendered: Rendered) -> None:
    names = {volume["name"] for volume in pod_spec(rendered.workload("api"))["volumes"]}
    assert names <= {"tmp", "server-tls", "extra-api"}


def test_api_is_anywhere_whatever_the_volume(default: Rendered) -> None:
    assert "affinity" not in pod_spec(default.workload("api"))


def test_only_training_writes_to_the_store(rendered: Rendered) -> None:
    for item in rendered.workloads():
        component = COMPONENTS[at(item, "metadata.labels")[COMPONENT]]
        for name, container in containers(item).items():
            for mount in container.get("volumeMounts", []):
                if mount["name"] == "model-store":
                    writes = not mount.get("readOnly", False)
                    assert writes is component.writes_models, f"{name_of(item)}: {name}"


def test_server_reads_the_loaders_copies_and_nothing_it_copied_from(rendered: Rendered) -> None:
    mounts = {
        name: {mount["name"]: mount for mount in container.get("volumeMounts", [])}
        for name, container in containers(rendered.workload("server")).items()
    }
    assert not {"model-store", "model-image"} & set(mounts["server"])
    assert mounts["server"]["models"] == {"name": "models", "mountPath": "/models", "readOnly": True}
    for name in set(mounts) & {"loader", "follower"}:
        assert mounts[name]["models"] == {"name": "models", "mountPath": "/models"}, name


def test_copies_have_a_limit(default: Rendered, everything: Rendered) -> None:
    limits = [
        volume["emptyDir"]
        for rendered in (default, everything)
        for volume in pod_spec(rendered.workload("server"))["volumes"]
        if volume["name"] == "models"
    ]
    assert limits == [{"sizeLimit": "4Gi"}, {"sizeLimit": "6Gi"}]


def test_image_is_mounted_into_the_loader_only_and_read_only() -> None:
    rendered = render_case("image-volume")
    (volume,) = [item for item in pod_spec(rendered.workload("server"))["volumes"] if item["name"] == "model-image"]
    assert volume["image"] == {"reference": "registry.example.com/models/churn:3", "pullPolicy": "Always"}
    mount = {"name": "model-image", "mountPath": "/model-image", "readOnly": True}
    assert mount in rendered.container("server", "loader")["volumeMounts"]


def test_certificates_are_a_key_of_their_config_map() -> None:
    rendered = render_case("https-model")
    (volume,) = [item for item in pod_spec(rendered.workload("server"))["volumes"] if item["name"] == "ca-bundle"]
    items = [{"key": "company.pem", "path": "ca.crt"}]
    assert volume["configMap"] == {"name": "company-certificates", "items": items}
    mount = {"name": "ca-bundle", "mountPath": "/ca-bundle", "readOnly": True}
    assert mount in rendered.container("server", "loader")["volumeMounts"]


@pytest.mark.parametrize("component", READERS_AND_WRITERS)
def test_pods_share_a_node_with_a_volume_of_one_node(default: Rendered, component: str) -> None:
    labels = at(default.workload(component), "spec.template.metadata.labels")
    assert node_rules(default, component) == [
        {"labelSelector": {"matchLabels": {STORE: labels[STORE]}}, "topologyKey": "kubernetes.io/hostname"}
    ]


@pytest.mark.parametrize("component", ["training", "server", "api"])
def test_pods_spread_with_a_volume_of_many_nodes(component: str) -> None:
    shared = {"accessModes": ["ReadWriteMany"]}
    rendered = render({"modelStore": {"pvc": shared}, "training": {"workspace": shared}})
    assert node_rules(rendered, component) == []


def test_readers_spread_with_a_volume_many_nodes_read() -> None:
    pvc = {"existingClaim": "models", "accessModes": ["ReadOnlyMany"]}
    assert node_rules(render({"training": {"enabled": False}, "modelStore": {"pvc": pvc}}), "server") == []


def test_own_affinity_is_kept_beside_the_rule(everything: Rendered) -> None:
    keys = [term["topologyKey"] for term in node_rules(everything, "server")]
    assert keys == ["topology.kubernetes.io/zone", "kubernetes.io/hostname"]
    assert "nodeAffinity" in pod_spec(everything.workload("training"))["affinity"]
