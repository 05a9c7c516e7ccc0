"""What Pod Security "restricted" asks for, and more: read-only roots, no token, no way out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.chart.rendering import COMPONENTS, containers, name_of, pod_spec, render

if TYPE_CHECKING:
    from tests.chart.rendering import Rendered

# Volume types of the Pod Security Standards' restricted profile.
RESTRICTED_VOLUMES = {
    "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "image", "persistentVolumeClaim", "projected", "secret",
}  # fmt: skip


def test_pods_run_as_a_user_who_is_not_root(rendered: Rendered) -> None:
    for item in rendered.pod_makers():
        context = pod_spec(item)["securityContext"]
        assert context["runAsNonRoot"] is True, name_of(item)
        assert context["runAsUser"] == context["runAsGroup"] == 10001, name_of(item)
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}, name_of(item)


def test_containers_can_gain_and_change_nothing(rendered: Rendered) -> None:
    for item in rendered.pod_makers():
        for name, container in containers(item).items():
            context = container["securityContext"]
            assert context["allowPrivilegeEscalation"] is False, f"{name_of(item)}: {name}"
            assert context["readOnlyRootFilesystem"] is True, f"{name_of(item)}: {name}"
            assert context["capabilities"] == {"drop": ["ALL"]}, f"{name_of(item)}: {name}"
            assert not context.get("privileged"), f"{name_of(item)}: {name}"


def test_pods_share_nothing_with_their_node(rendered: Rendered) -> None:
    for item in rendered.pod_makers():
        pod = pod_spec(item)
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod), name_of(item)
        for volume in pod.get("volumes", []):
            assert set(volume) - {"name"} <= RESTRICTED_VOLUMES, f"{name_of(item)}: {volume['name']}"
        for container in containers(item).values():
            assert not any("hostPort" in port for port in container.get("ports", [])), name_of(item)


def test_no_pod_gets_a_token(rendered: Rendered) -> None:
    for item in rendered.pod_makers():
        assert pod_spec(item)["automountServiceAccountToken"] is False, name_of(item)
    for item in rendered.of_kind("ServiceAccount"):
        assert item["automountServiceAccountToken"] is False, name_of(item)


def test_pods_get_no_variable_for_each_service_of_their_namespace(rendered: Rendered) -> None:
    for item in rendered.pod_makers():
        assert pod_spec(item)["enableServiceLinks"] is False, name_of(item)


def test_programs_have_a_place_to_write(rendered: Rendered) -> None:
    for item in rendered.workloads():
        component = COMPONENTS[item["metadata"]["labels"]["app.kubernetes.io/component"]]
        mounts = {mount["mountPath"]: mount["name"] for mount in containers(item)[component.container]["volumeMounts"]}
        volumes = {volume["name"]: volume for volume in pod_spec(item)["volumes"]}
        assert volumes[mounts["/tmp"]]["emptyDir"]["sizeLimit"], name_of(item)  # noqa: S108 - of the container


def test_no_pod_can_fill_its_nodes_disk(rendered: Rendered) -> None:
    for item in rendered.pod_makers():
        for volume in pod_spec(item).get("volumes", []):
            if "emptyDir" in volume and not volume["name"].startswith("extra-"):
                assert volume["emptyDir"].get("sizeLimit"), f"{name_of(item)}: {volume['name']}"


@pytest.mark.parametrize("component", COMPONENTS)
def test_platform_may_choose_the_user(component: str) -> None:
    needs = COMPONENTS[component].needs
    rendered = render(
        {component: {**needs, "podSecurityContext": {"runAsUser": None, "runAsGroup": None, "fsGroup": None}}}
    )
    context = pod_spec(rendered.workload(component))["securityContext"]
    assert context == {
        "runAsNonRoot": True,
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": {"type": "RuntimeDefault"},
    }


@pytest.mark.parametrize(("component", "container", "user"), [
    ("training", "training", 20011),
    ("training", "check", 20016),
    ("training", "publisher", 20016),
    ("training", "server", 20013),
    ("server", "loader", 20012),
    ("server", "server", 20013),
    ("api", "api", 20014),
    ("tensorboard", "tensorboard", 20015),
])  # fmt: skip
def test_contexts_of_values_reach_their_container(
    everything: Rendered, component: str, container: str, user: int
) -> None:
    assert everything.container(component, container)["securityContext"]["runAsUser"] == user
