"""Every key of a component reaches that component and no other, with the value it was given."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.chart.rendering import COMPONENTS, at, pod_spec, render

if TYPE_CHECKING:
    from tests.chart.rendering import Manifest, Rendered

POD_FIELDS = (
    "nodeSelector", "tolerations", "priorityClassName", "runtimeClassName", "schedulerName", "resourceClaims",
    "hostAliases", "dnsPolicy", "dnsConfig",
)  # fmt: skip


def own(metadata: Manifest, *prefixes: str) -> dict[str, dict[str, str]]:
    """Return the labels and annotations whose names start so."""
    return {
        name: {key: value for key, value in metadata[name].items() if key.startswith(prefixes)}
        for name in ("labels", "annotations")
    }


@pytest.mark.parametrize("component", COMPONENTS)
@pytest.mark.parametrize("key", POD_FIELDS)
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
def test_workload_metadata_reaches_the_workload_alone(everything: Rendered, component: str) -> None:
    given = {"labels": {"workload": component}, "annotations": {"example.com/workload": component}}
    item = everything.workload(component)
    assert own(item["metadata"], "workload", "example.com/workload") == given
    assert own(at(item, "spec.template.metadata"), "workload", "example.com/workload") == {
        "labels": {},
        "annotations": {},
    }


def test_metadata_of_the_job_reaches_a_schedules_jobs(everything: Rendered) -> None:
    given = {"labels": {"workload": "training"}, "annotations": {"example.com/workload": "training"}}
    (schedule,) = everything.of_kind("CronJob")
    for metadata in (schedule["metadata"], at(schedule, "spec.jobTemplate.metadata")):
        assert own(metadata, "workload", "example.com/workload") == given


def test_a_queues_label_makes_no_new_job() -> None:
    queued = render({"training": {"labels": {"kueue.x-k8s.io/queue-name": "gpus"}}})
    assert at(queued.workload("training"), "metadata.name") == at(render().workload("training"), "metadata.name")


@pytest.mark.parametrize("component", COMPONENTS)
def test_containers_of_the_user_are_first_or_beside(
    everything: Rendered, everything_values: dict[str, Any], component: str
) -> None:
    pod, given = pod_spec(everything.workload(component)), everything_values[component]
    assert pod["initContainers"][:1] == given["extraInitContainers"]
    assert pod["containers"][1:] == given.get("extraContainers", [])


@pytest.mark.parametrize("component", COMPONENTS)
def test_limit_of_tmp_reaches_the_pod(everything: Rendered, everything_values: dict[str, Any], component: str) -> None:
    volumes = {volume["name"]: volume for volume in pod_spec(everything.workload(component))["volumes"]}
    assert volumes["tmp"]["emptyDir"] == {"sizeLimit": everything_values[component]["tmpSizeLimit"]}


def test_limit_of_the_model_reaches_the_training_pod(everything: Rendered) -> None:
    volumes = {volume["name"]: volume for volume in pod_spec(everything.workload("training"))["volumes"]}
    assert volumes["output"]["emptyDir"] == volumes["candidate"]["emptyDir"] == {"sizeLimit": "301Mi"}


@pytest.mark.parametrize("limit", ["", None])
def test_tmp_without_a_limit_has_none(limit: object) -> None:
    volumes = {
        item["name"]: item for item in pod_spec(render({"api": {"tmpSizeLimit": limit}}).workload("api"))["volumes"]
    }
    assert volumes["tmp"] == {"name": "tmp", "emptyDir": {}}


@pytest.mark.parametrize("component", ["server", "api", "tensorboard"])
def test_fields_of_a_service_reach_it(everything: Rendered, everything_values: dict[str, Any], component: str) -> None:
    given = everything_values[component]["service"]
    item = next(item for item in everything.of_kind("Service") if item["metadata"]["name"] == f"clothes-{component}")
    assert item["metadata"]["labels"]["service"] == component
    for name in (
        "type", "loadBalancerClass", "loadBalancerSourceRanges", "externalTrafficPolicy", "internalTrafficPolicy",
        "ipFamilyPolicy", "ipFamilies",
    ):  # fmt: skip
        assert item["spec"].get(name, "") == (given[name] or ""), name


def test_the_service_of_every_server_has_the_same_address_families(everything: Rendered) -> None:
    headless = next(item for item in everything.of_kind("Service") if item["metadata"]["name"].endswith("-headless"))
    assert headless["spec"]["ipFamilies"] == ["IPv4", "IPv6"]
    assert headless["spec"]["ipFamilyPolicy"] == "PreferDualStack"


@pytest.mark.parametrize(
    ("component", "group"), [("model-store", "modelStore.pvc"), ("training", "training.workspace")]
)
def test_fields_of_a_claim_reach_it(
    everything: Rendered, everything_values: dict[str, Any], component: str, group: str
) -> None:
    given: Any = everything_values
    for name in group.split("."):
        given = given[name]
    spec = everything.one("PersistentVolumeClaim", component)["spec"]
    for name in ("volumeName", "selector", "dataSource"):
        assert spec[name] == given[name], name


def test_the_pod_of_helm_test_takes_its_own_values(everything: Rendered, everything_values: dict[str, Any]) -> None:
    pod, given = everything.one("Pod"), everything_values["test"]
    assert own(pod["metadata"], "pod", "example.com/pod") == {
        "labels": given["podLabels"],
        "annotations": given["podAnnotations"],
    }
    assert pod["spec"]["nodeSelector"] == given["nodeSelector"]
    assert pod["spec"]["tolerations"] == given["tolerations"]
    assert pod["spec"]["containers"][0]["resources"] == given["resources"]


def test_the_pod_of_helm_test_runs_where_the_api_does() -> None:
    place = {"nodeSelector": {"pool": "web"}, "tolerations": [{"key": "web", "operator": "Exists"}]}
    assert render({"api": place}).one("Pod")["spec"].items() >= place.items()
    anywhere = render({"api": place, "test": {"nodeSelector": {}, "tolerations": []}}).one("Pod")["spec"]
    assert not set(place) & set(anywhere)


def test_the_pod_of_helm_test_needs_what_the_apis_pods_need() -> None:
    rule = "requiredDuringSchedulingIgnoredDuringExecution"
    term = {"matchExpressions": [{"key": "pool", "operator": "Exists"}]}
    node_affinity = {rule: {"nodeSelectorTerms": [term]}}
    apart = {rule: [{"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": "api"}}}]}
    needs = {
        "priorityClassName": "tests",
        "runtimeClassName": "gvisor",
        "schedulerName": "second",
        "dnsConfig": {"options": [{"name": "ndots", "value": "1"}]},
        "hostAliases": [{"ip": "203.0.113.1", "hostnames": ["a"]}],
    }
    values = {"api": {**needs, "affinity": {"nodeAffinity": node_affinity, "podAntiAffinity": apart}}}
    pod = render(values).one("Pod")["spec"]
    assert pod.items() >= needs.items()
    # It is no replica: rules between these would leave it without a node.
    assert pod["affinity"] == {"nodeAffinity": node_affinity}


@pytest.mark.parametrize("where", ["global", "release"])
def test_pull_secrets_are_names_or_references(where: str) -> None:
    secrets = {"imagePullSecrets": ["first", {"name": "second"}, {"name": "first"}]}
    rendered = render({"global": secrets} if where == "global" else secrets)
    for item in rendered.pod_makers():
        assert pod_spec(item)["imagePullSecrets"] == [{"name": "first"}, {"name": "second"}]


def test_further_objects_are_maps_or_text_with_templates() -> None:
    objects = [
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "{{ .Release.Name }}-words"},
            "data": {"n": "1"},
        },
        'apiVersion: v1\nkind: Secret\nmetadata:\n  name: {{ include "tensorflow-model.fullname" . }}-token\n',
    ]
    rendered = render({"extraObjects": objects})
    names = {(item["kind"], item["metadata"]["name"]) for item in rendered.manifests}
    assert names >= {("ConfigMap", "mnist-words"), ("Secret", "mnist-tensorflow-model-token")}
    assert len(rendered.manifests) == len(render().manifests) + 2


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
