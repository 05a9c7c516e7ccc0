"""Numbers of pods: one owner of the number, and never fewer while they change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.chart.rendering import COMPONENT, COMPONENTS, SERVING, at, name_of, render

if TYPE_CHECKING:
    from tests.chart.rendering import Rendered

DEPLOYMENTS = tuple(name for name, component in COMPONENTS.items() if component.kind == "Deployment")


def test_replicas_are_absent_where_autoscaled(rendered: Rendered) -> None:
    scaled = {at(item, "spec.scaleTargetRef.name") for item in rendered.of_kind("HorizontalPodAutoscaler")}
    for item in rendered.of_kind("Deployment"):
        assert ("replicas" in item["spec"]) is (at(item, "metadata.name") not in scaled), name_of(item)


def test_autoscaler_points_at_its_own_deployment(rendered: Rendered) -> None:
    for item in rendered.of_kind("HorizontalPodAutoscaler"):
        component = at(item, "metadata.labels")[COMPONENT]
        assert item["apiVersion"] == "autoscaling/v2"
        assert at(item, "spec.scaleTargetRef") == {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "name": at(rendered.workload(component), "metadata.name"),
        }


def test_autoscaled_pods_have_a_cpu_request(rendered: Rendered) -> None:
    for item in rendered.of_kind("HorizontalPodAutoscaler"):
        container = rendered.container(at(item, "metadata.labels")[COMPONENT])
        assert container["resources"]["requests"]["cpu"], name_of(item)


@pytest.mark.parametrize("component", SERVING)
def test_both_are_autoscaled_by_default(default: Rendered, component: str) -> None:
    spec = at(default.one("HorizontalPodAutoscaler", component), "spec")
    assert (spec["minReplicas"], spec["maxReplicas"]) == (1, 3)


@pytest.mark.parametrize("component", SERVING)
def test_replica_count_is_the_fewest_where_autoscaled(component: str) -> None:
    rendered = render({component: {"replicaCount": 2}})
    assert at(rendered.one("HorizontalPodAutoscaler", component), "spec.minReplicas") == 2


@pytest.mark.parametrize("component", SERVING)
def test_replica_count_is_the_number_where_not(component: str) -> None:
    rendered = render({component: {"replicaCount": 0, "autoscaling": {"enabled": False}}})
    assert at(rendered.workload(component), "spec.replicas") == 0


@pytest.mark.parametrize("component", SERVING)
def test_autoscaler_takes_its_components_values(
    everything: Rendered, everything_values: dict[str, Any], component: str
) -> None:
    given = everything_values[component]["autoscaling"]
    spec = at(everything.one("HorizontalPodAutoscaler", component), "spec")
    assert spec["minReplicas"] == {"server": 3, "api": 4}[component]
    assert spec["maxReplicas"] == given["maxReplicas"]
    cpu, *others = spec["metrics"]
    target = {"type": "Utilization", "averageUtilization": given["targetCPUUtilizationPercentage"]}
    assert cpu == {"type": "Resource", "resource": {"name": "cpu", "target": target}}
    assert others == given["metrics"]
    assert spec["behavior"] == given["behavior"]


def test_other_metrics_can_replace_cpu() -> None:
    metric = {
        "type": "Pods",
        "pods": {"metric": {"name": "queue"}, "target": {"type": "AverageValue", "averageValue": 5}},
    }
    values = {"api": {"autoscaling": {"targetCPUUtilizationPercentage": None, "metrics": [metric]}}}
    assert at(render(values).one("HorizontalPodAutoscaler", "api"), "spec.metrics") == [metric]


def test_one_pod_is_ready_before_another_goes(default: Rendered) -> None:
    for item in default.of_kind("Deployment"):
        assert at(item, "spec.strategy") == {
            "type": "RollingUpdate",
            "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0},
        }, name_of(item)


@pytest.mark.parametrize("component", DEPLOYMENTS)
def test_strategy_is_its_components_own(
    everything: Rendered, everything_values: dict[str, Any], component: str
) -> None:
    spec = at(everything.workload(component), "spec")
    assert spec["strategy"] == everything_values[component]["strategy"]
    assert spec["revisionHistoryLimit"] == everything_values[component]["revisionHistoryLimit"]


@pytest.mark.parametrize(
    ("given", "strategy"),
    [
        pytest.param({"type": "Recreate"}, {"type": "Recreate"}, id="recreate"),
        pytest.param(None, None, id="kubernetes-own"),
        pytest.param({"rollingUpdate": None}, {"type": "RollingUpdate"}, id="kubernetes-own-numbers"),
        pytest.param(
            {"rollingUpdate": {"maxSurge": None}},
            {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0}},
            id="kubernetes-own-surge",
        ),
    ],
)
def test_strategy_that_is_left_out_is_kubernetes_own(given: object, strategy: object) -> None:
    rendered = render({name: {**COMPONENTS[name].needs, "strategy": given} for name in DEPLOYMENTS})
    for component in DEPLOYMENTS:
        assert rendered.workload(component)["spec"].get("strategy") == strategy, component


@pytest.mark.parametrize("component", SERVING)
def test_number_of_pods_is_left_to_whoever_scales(component: str) -> None:
    values = {component: {"replicaCount": None, "autoscaling": {"enabled": False}}}
    assert "replicas" not in at(render(values).workload(component), "spec")
    # Any number is possible then.
    assert render(values).one("PodDisruptionBudget", component)


@pytest.mark.parametrize("component", SERVING)
def test_an_autoscaler_without_a_least_keeps_one(component: str) -> None:
    rendered = render({component: {"replicaCount": None}})
    assert at(rendered.one("HorizontalPodAutoscaler", component), "spec.minReplicas") == 1


@pytest.mark.parametrize("component", SERVING)
def test_annotations_of_an_autoscaler_win(everything: Rendered, component: str) -> None:
    argo = "argocd.argoproj.io/ignore-healthcheck"
    found = at(everything.one("HorizontalPodAutoscaler", component), "metadata.annotations")
    assert found["example.com/autoscaler"] == component
    own = render({component: {"autoscaling": {"annotations": {argo: "false"}}}})
    assert at(own.one("HorizontalPodAutoscaler", component), "metadata.annotations")[argo] == "false"


@pytest.mark.parametrize("component", SERVING)
def test_budget_exists_only_where_more_than_one_pod_is_possible(component: str) -> None:
    one = {component: {"autoscaling": {"enabled": False}}}
    two = {component: {"autoscaling": {"enabled": False}, "replicaCount": 2}}
    off = {component: {"podDisruptionBudget": {"enabled": False}}}
    assert [item for item in render(one).of_kind("PodDisruptionBudget") if component in name_of(item)] == []
    assert [item for item in render(off).of_kind("PodDisruptionBudget") if component in name_of(item)] == []
    assert at(render(two).one("PodDisruptionBudget", component), "spec.maxUnavailable") == 1


@pytest.mark.parametrize(
    ("component", "key", "pods"), [("server", "maxUnavailable", "43%"), ("api", "minAvailable", 2)]
)
def test_budget_takes_its_components_values(everything: Rendered, component: str, key: str, pods: object) -> None:
    spec = at(everything.one("PodDisruptionBudget", component), "spec")
    assert {name: spec[name] for name in ("maxUnavailable", "minAvailable") if name in spec} == {key: pods}


def test_pods_without_a_model_never_block_a_drain(rendered: Rendered) -> None:
    for item in rendered.of_kind("PodDisruptionBudget"):
        assert at(item, "spec.unhealthyPodEvictionPolicy") == "AlwaysAllow", name_of(item)


def test_argo_cd_leaves_the_health_of_autoscalers_out(rendered: Rendered) -> None:
    # One without a metric yet, as each is after an install and a roll, would make the application Degraded.
    for item in rendered.of_kind("HorizontalPodAutoscaler"):
        assert at(item, "metadata.annotations")["argocd.argoproj.io/ignore-healthcheck"] == "true", name_of(item)
