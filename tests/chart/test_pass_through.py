"""Every key of a component reaches that component and no other, with the value it was given."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.chart.rendering import COMPONENTS, at, pod_spec, render

if TYPE_CHECKING:
    from tests.chart.rendering import Rendered


@pytest.mark.parametrize("component", COMPONENTS)
@pytest.mark.parametrize("key", ["nodeSelector", "tolerations", "priorityClassName", "runtimeClassName"])
def test_scheduling_reaches_the_pod(
    everything: Rendered, everything_values: dict[str, Any], component: str, key: str
) -> None:
    assert pod_spec(everything.workload(component))[key] == everything_values[component][key]


@pytest.mark.parametrize("component", COMPONENTS)
def test_spread_constraints_count_the_components_own_pods(
    everything: Rendered, everything_values: dict[str, Any], component: str
) -> None:
    (given,) = everything_values[component]["topologySpreadConstraints"]
    (constraint,) = pod_spec(everything.workload(component))["topologySpreadConstraints"]
    labels = at(everything.workload(component), "spec.template.metadata.labels")
    assert constraint == {**given, "labelSelector": constraint["labelSelector"]}
    assert constraint["labelSelector"]["matchLabels"].items() <= labels.items()


def test_label_selector_of_a_spread_constraint_is_left_alone() -> None:
    constraint = {
        "maxSkew": 1,
        "topologyKey": "zone",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": {"app": "other"}},
    }
    rendered = render({"api": {"topologySpreadConstraints": [constraint]}})
    assert pod_spec(rendered.workload("api"))["topologySpreadConstraints"] == [constraint]


@pytest.mark.parametrize("component", COMPONENTS)
def test_pod_metadata_reaches_the_pod(everything: Rendered, component: str) -> None:
    metadata = at(everything.workload(component), "spec.template.metadata")
    assert metadata["labels"]["pod"] == component
    assert metadata["annotations"]["example.com/pod"] == component
    assert "pod" not in at(everything.workload(component), "metadata.labels")


@pytest.mark.parametrize("component", COMPONENTS)
def test_environment_arguments_and_mounts_reach_the_container(
    everything: Rendered, everything_values: dict[str, Any], component: str
) -> None:
    container, given = everything.container(component), everything_values[component]
    assert container["env"][-1:] == given["extraEnv"]
    assert container["envFrom"] == given["extraEnvFrom"]
    assert container["args"][-1:] == given["extraArgs"]
    assert container["volumeMounts"][-1:] == given["extraVolumeMounts"]
    assert pod_spec(everything.workload(component))["volumes"][-1:] == given["extraVolumes"]


@pytest.mark.parametrize("component", COMPONENTS)
def test_grace_period_reaches_the_pod(everything: Rendered, everything_values: dict[str, Any], component: str) -> None:
    key = "terminationGracePeriodSeconds"
    assert pod_spec(everything.workload(component))[key] == everything_values[component][key]


def test_account_is_the_pods_own(everything: Rendered) -> None:
    account = everything.one("ServiceAccount")
    assert at(account, "metadata.name") == "model-runner"
    assert at(account, "metadata.annotations")["example.com/account"] == "model-runner"
    for item in everything.pod_makers():
        assert pod_spec(item)["serviceAccountName"] == "model-runner"


@pytest.mark.parametrize(("name", "account"), [("", "default"), ("shared", "shared")])
def test_account_of_someone_else_is_used_and_none_made(name: str, account: str) -> None:
    rendered = render({"serviceAccount": {"create": False, "name": name}})
    assert rendered.of_kind("ServiceAccount") == []
    assert {pod_spec(item)["serviceAccountName"] for item in rendered.pod_makers()} == {account}
