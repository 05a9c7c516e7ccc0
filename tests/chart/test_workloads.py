"""What holds for every workload in every case."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from tests.chart.conftest import CASES, Rendered, render

SELECTORS = {"app.kubernetes.io/name", "app.kubernetes.io/instance", "app.kubernetes.io/component"}


def test_render_is_tidy(rendered: Rendered) -> None:
    assert not re.search(r"[ \t]+$", rendered.text, re.MULTILINE), "trailing blanks"
    assert "\n\n\n" not in rendered.text, "runs of blank lines"


def test_selectors_hold_name_instance_and_component_only(rendered: Rendered) -> None:
    for item in rendered.of_kind("Deployment", "PodDisruptionBudget"):
        labels = item["spec"]["selector"]["matchLabels"]
        assert set(labels) == SELECTORS, item["metadata"]["name"]
    for item in rendered.of_kind("Service"):
        assert set(item["spec"]["selector"]) == SELECTORS, item["metadata"]["name"]


def test_selectors_match_their_pods(rendered: Rendered) -> None:
    for item in rendered.of_kind("Deployment"):
        labels = item["spec"]["template"]["metadata"]["labels"]
        assert item["spec"]["selector"]["matchLabels"].items() <= labels.items(), item["metadata"]["name"]


def test_pods_carry_no_version_of_the_chart(rendered: Rendered) -> None:
    for item in rendered.workloads():
        labels = item["spec"]["template"]["metadata"]["labels"]
        assert not {"helm.sh/chart", "app.kubernetes.io/version"} & set(labels), item["metadata"]["name"]


def test_pods_pass_pod_security_restricted(rendered: Rendered) -> None:
    for name, pod in rendered.pods():
        assert pod["securityContext"]["runAsNonRoot"] is True, name
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert not any("hostPath" in volume for volume in pod.get("volumes", [])), name
    for name, container in rendered.containers():
        context = container["securityContext"]
        assert context["allowPrivilegeEscalation"] is False, name
        assert context["capabilities"] == {"drop": ["ALL"]}, name
        assert context["readOnlyRootFilesystem"] is True, name


def test_pods_have_no_token(rendered: Rendered) -> None:
    for name, pod in rendered.pods():
        assert pod["automountServiceAccountToken"] is False, name
    for item in rendered.of_kind("ServiceAccount"):
        assert item["automountServiceAccountToken"] is False


def test_containers_have_requests_and_a_memory_limit(rendered: Rendered) -> None:
    for name, container in rendered.containers():
        assert {"cpu", "memory"} <= set(container["resources"]["requests"]), name
        assert "memory" in container["resources"]["limits"], name


def test_only_training_may_write_to_the_model_store(rendered: Rendered) -> None:
    for name, container in rendered.containers():
        for mount in container.get("volumeMounts", []):
            if mount["name"] == "model-store":
                assert mount.get("readOnly", False) is not name.endswith("/training"), name


def test_replicas_are_absent_where_autoscaled(rendered: Rendered) -> None:
    scaled = {item["spec"]["scaleTargetRef"]["name"] for item in rendered.of_kind("HorizontalPodAutoscaler")}
    for item in rendered.of_kind("Deployment"):
        assert ("replicas" in item["spec"]) is (item["metadata"]["name"] not in scaled), item["metadata"]["name"]


def test_replica_count_is_the_fewest_where_autoscaled() -> None:
    hpa = render({"server": {"replicaCount": 2}}).one("HorizontalPodAutoscaler", "server")
    assert (hpa["apiVersion"], hpa["spec"]["minReplicas"]) == ("autoscaling/v2", 2)


def test_probes_know_whether_the_model_is_there(rendered: Rendered) -> None:
    server = rendered.one("Deployment", "server")["spec"]["template"]["spec"]["containers"][0]
    for probe in ("startupProbe", "readinessProbe"):
        assert re.fullmatch(r"/v1/models/[^/]+/metadata", server[probe]["httpGet"]["path"])
    api = rendered.one("Deployment", "api")["spec"]["template"]["spec"]["containers"][0]
    assert api["readinessProbe"]["httpGet"]["path"] == "/readyz"
    assert api["livenessProbe"]["httpGet"]["path"] == "/livez"


def test_one_pod_is_ready_before_another_goes(rendered: Rendered) -> None:
    for item in rendered.of_kind("Deployment"):
        assert item["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}


def test_pods_share_a_node_unless_many_nodes_can_mount_the_volume(rendered: Rendered) -> None:
    modes = [mode for item in rendered.of_kind("PersistentVolumeClaim") for mode in item["spec"]["accessModes"]]
    for item in rendered.workloads():
        template = item["spec"]["template"]
        terms = (
            template["spec"]
            .get("affinity", {})
            .get("podAffinity", {})
            .get("requiredDuringSchedulingIgnoredDuringExecution", [])
        )
        assert bool(terms) is ("ReadWriteMany" not in modes), item["metadata"]["name"]
        for term in terms:
            assert term["labelSelector"]["matchLabels"].items() <= template["metadata"]["labels"].items()


def test_volume_is_kept_on_uninstall() -> None:
    claim = render().one("PersistentVolumeClaim", "model-store")
    assert claim["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"


def test_no_cluster_scoped_object(rendered: Rendered) -> None:
    kinds = {item["kind"] for item in rendered.objects}
    assert kinds <= {
        "Deployment", "HTTPRoute", "HorizontalPodAutoscaler", "Ingress", "Job", "NetworkPolicy",
        "PersistentVolumeClaim", "Pod", "PodDisruptionBudget", "Service", "ServiceAccount",
    }  # fmt: skip


@pytest.mark.parametrize("component", ["training", "server", "api"])
def test_pass_through_values_reach_their_own_component(component: str) -> None:
    values: dict[str, Any] = yaml.safe_load(next(path for path in CASES if path.name == "full-values.yaml").read_text())
    kind = "Job" if component == "training" else "Deployment"
    template = render(values).one(kind, component)["spec"]["template"]
    container = template["spec"]["containers"][0]
    given = values[component]
    assert template["metadata"]["labels"]["team"] == component
    assert given["extraEnv"][0] in container["env"]
    assert given["extraArgs"][0] in container["args"]
    for mount in given.get("extraVolumeMounts", []):
        assert mount in container["volumeMounts"]
    assert template["spec"].get("nodeSelector", {}) == given.get("nodeSelector", {})


def test_digest_wins_over_tag_and_global_registry_over_all() -> None:
    digest = "sha256:" + "b" * 64
    values = {"global": {"imageRegistry": "r.example.com"}, "api": {"image": {"tag": "x", "digest": digest}}}
    container = render(values).one("Deployment", "api")["spec"]["template"]["spec"]["containers"][0]
    assert container["image"] == f"r.example.com/tensorflow-model-api@{digest}"


def test_default_server_is_tensorflow_serving() -> None:
    container = render().one("Deployment", "server")["spec"]["template"]["spec"]["containers"][0]
    assert container["image"] == "docker.io/tensorflow/serving:2.20.0"
    assert container["command"] == ["tensorflow_model_server"]
