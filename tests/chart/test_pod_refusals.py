"""Names, images, resources, volumes and nodes no pod could start with are refused; many at once, as they are told."""

from __future__ import annotations

from typing import Any

import pytest

from ci import chart_docs
from tests.chart.rendering import COMPONENTS, RefusedError, containers, pod_spec, refusals, render, render_case
from tests.chart.test_null import chart_below, objects

# On by values, so that their keys are looked at.
TENSORBOARD = {"enabled": True}
ON_ONE_NODE = "the model store's volume (modelStore.pvc.accessModes) is attached to one node: use ReadWriteMany, or"
AMD64 = (
    "but server.image is tensorflow/serving, which exists for amd64 only: set "
    "server.image.repository=tensorflow-model-server, registry and tag empty"
)


def test_images_no_node_could_pull() -> None:
    values = {
        "training": {"image": {"registry": "https://registry.example.com"}},
        "publisher": {"image": {"registry": "registry.example.com/"}},
        "loader": {"image": {"registry": "registry.example.com", "repository": "mirror.example.com/team/loader"}},
        "server": {"image": {"repository": "tensorflow-model-server"}},
        "api": {"image": {"registry": "registry example com"}},
        "tensorboard": {"image": {"registry": "https://is.off"}},
    }
    no_registry = (
        "but it is put before a / and an image's name: write HOST, HOST:PORT or HOST/PATH, without https:// in front "
        "and without a / at the end"
    )
    assert sorted(refusals(values)) == sorted([
        f'training.image.registry is "https://registry.example.com" {no_registry}',
        f'publisher.image.registry is "registry.example.com/" {no_registry}',
        f'api.image.registry is "registry example com" {no_registry}',
        ("loader.image.repository is mirror.example.com/team/loader, which names a registry, but the registry is "
        "registry.example.com already (loader.image.registry): leave mirror.example.com/ out of the repository"),
        ("server.image is docker.io/tensorflow-model-server but names without a / are Docker's own images there: set "
        "server.image.registry (or global.imageRegistry) to where yours is, empty for images the nodes have already"),
        ("server.image.repository is tensorflow-model-server but server.image.tag is still 2.20.0, a version of "
        "tensorflow/serving: set server.image.tag to the image's, empty for 0.1.0"),
    ])  # fmt: skip


@pytest.mark.parametrize("registry", ["mirror", "localhost:5001", "mirror.example.com:5000/team/models", ""])
def test_registry_of_all_images_is_a_host_with_a_path(registry: str) -> None:
    assert refusals({"global": {"imageRegistry": registry}}) == []


def test_registry_of_all_images_without_a_scheme() -> None:
    (sentence,) = refusals({"global": {"imageRegistry": "http://mirror"}})
    assert sentence.startswith('global.imageRegistry is "http://mirror" but it is put before a /')


def test_the_tag_that_is_refused_is_the_default() -> None:
    # templates/validation/_images.tpl cannot read what values.yaml says.
    assert chart_docs.load_values()["server"]["image"]["tag"] == "2.20.0"
    drop_in = {"registry": "", "repository": "tensorflow-model-server"}
    assert refusals({"server": {"image": {**drop_in, "tag": ""}}}) == []
    assert refusals({"server": {"image": {**drop_in, "digest": "sha256:" + "a" * 64}}}) == []


def test_amounts_that_are_none() -> None:
    values = {
        "training": {"resources": {"requests": {"memory": "4GB"}, "limits": {"nvidia.com/gpu": "one"}}},
        "publisher": {"resources": {"requests": {"memory": "1Gi"}}},
        "loader": {"resources": {"requests": {"memory": "512m"}}},
        "server": {"resources": {"requests": {"cpu": 2, "memory": "2049Mi"}, "limits": {"cpu": "1500m"}}},
        "api": {"resources": {"requests": {"memory": "540M"}, "limits": {"memory": 536870912}}},
        "tensorboard": TENSORBOARD | {"resources": {"requests": {"cpu": "1e3"}, "limits": {"cpu": "1k"}}},
        "test": {"resources": {"requests": {"cpu": 0.2}, "limits": {"cpu": "100m"}}},
    }
    none = "which is no quantity: write for example 500m (CPU) or 512Mi (bytes)"

    def more(component: str, name: str, request: object, limit: object) -> str:
        return (
            f"{component}.resources.requests.{name} is {request} but the limit is {limit}: raise "
            f"{component}.resources.limits.{name}, or lower the request"
        )

    assert sorted(refusals(values)) == sorted([
        f'training.resources.requests.memory is "4GB", {none}',
        f'training.resources.limits.nvidia.com/gpu is "one", {none}',
        more("publisher", "memory", "1Gi", "512Mi"),
        "loader.resources.requests.memory is 512m, thousandths of a byte: write 512M or 512Mi",
        more("server", "cpu", 2, "1500m"),
        more("server", "memory", "2049Mi", "2Gi"),
        more("api", "memory", "540M", "5.36870912e+08"),
        more("test", "cpu", 0.2, "100m"),
    ])  # fmt: skip


def test_devices_are_whole_and_limited() -> None:
    gpu = "nvidia.com/gpu"
    side = {"name": "side", "image": "a", "resources": {"requests": {"memory": "2Gi"}, "limits": {"memory": "1Gi"}}}
    values = {
        "training": {"resources": {"limits": {gpu: "0.5", "gpu": 1}, "claims": [{"name": "device"}]}},
        "server": {"resources": {"requests": {gpu: 1}}},
        "api": {"resources": {"requests": {gpu: 1}, "limits": {gpu: 2}}, "extraContainers": [side]},
    }
    assert sorted(refusals(values)) == sorted(
        [
            (
                "training.resources.limits.nvidia.com/gpu is 0.5 but Kubernetes gives out whole devices alone: write "
                "a whole "
                "number"
            ),
            (
                'training.resources.limits has "gpu", which Kubernetes does not know: write cpu, memory, '
                "ephemeral-storage, or "
                "the whole name of a device, for example nvidia.com/gpu"
            ),
            (
                "training.resources.claims has device, which is no claim of training.resourceClaims: add it there, or "
                "correct "
                "the name"
            ),
            (
                "server.resources.requests.nvidia.com/gpu is set but a device is what limits name: set "
                "server.resources.limits.nvidia.com/gpu instead"
            ),
            (
                "api.resources.requests.nvidia.com/gpu is 1 but the limit is 2, and of devices the two are the same: "
                "leave the "
                "request out"
            ),
            (
                "api.extraContainers[0].resources.requests.memory is 2Gi but the limit is 1Gi: raise "
                "api.extraContainers[0].resources.limits.memory, or lower the request"
            ),
        ]
    )


def test_amounts_that_kubernetes_takes() -> None:
    limits = {"memory": "1.5Gi", "cpu": ".5", "nvidia.com/gpu": 1, "hugepages-2Mi": "4Mi", "ephemeral-storage": "1e9"}
    requests = {"cpu": "+100m", "nvidia.com/gpu": "1"}
    assert refusals({"api": {"resources": {"limits": limits, "requests": requests}}}) == []


@pytest.mark.parametrize("path", ["/models/cache", "models", "//models", "/models/.", "/var/../models", "/a:b"])
def test_mount_is_where_a_pod_can_have_it(path: str) -> None:
    values = {
        "extraVolumes": [{"name": "cache", "emptyDir": {}}],
        "extraVolumeMounts": [{"name": "cache", "mountPath": path}],
    }
    (sentence,) = refusals({"server": values})
    assert sentence.startswith("server.extraVolumeMounts mounts cache at /")
    assert sentence.endswith("mount it elsewhere")


def test_mount_inside_a_writable_folder_is_taken() -> None:
    volume = [{"name": "cache", "emptyDir": {}}]
    mounts = [{"name": "cache", "mountPath": path} for path in ("/tmp/cache", "/modelstore", "/workspace/cache")]  # noqa: S108
    assert refusals({"training": {"extraVolumes": volume, "extraVolumeMounts": mounts}}) == []


@pytest.mark.parametrize("path", ["/data/more", "/code/more"])
def test_mount_inside_a_folder_is_taken_where_the_chart_has_none(path: str) -> None:
    mounted = {
        "extraVolumes": [{"name": "own", "emptyDir": {}}],
        "extraVolumeMounts": [{"name": "own", "mountPath": path}],
    }
    assert refusals({"training": mounted}) == []
    given = {"data": {"existingClaim": "examples"}, "code": {"train.py": "print()"}}
    (sentence,) = refusals({"training": {**mounted, **given}})
    assert sentence.startswith(f"training.extraVolumeMounts mounts own at {path}, ")


def test_containers_of_the_user_that_could_not_start() -> None:
    wait = {"name": "wait", "image": "a", "volumeMounts": [{"name": "nowhere", "mountPath": "/a"}]}
    probed = {"name": "probed", "image": "a", "livenessProbe": {"tcpSocket": {"port": 1}}}
    stays = {**probed, "name": "stays", "restartPolicy": "Always", "volumeMounts": [{"name": "tmp", "mountPath": "/a"}]}
    values = {
        "server": {"extraContainers": [{"name": "proxy", "image": "a", "ports": [{"containerPort": 8501}]}]},
        "api": {"extraInitContainers": [wait, probed, stays]},
        "tensorboard": TENSORBOARD
        | {"extraContainers": [{"name": "proxy", "image": "a", "ports": [{"containerPort": 80, "name": "http"}]}]},
    }
    assert sorted(refusals(values)) == sorted(
        [
            (
                "server.extraContainers has a container proxy with the port 8501, and server has 8500 (grpc) and 8501 "
                "(rest): take "
                "another one"
            ),
            (
                "api.extraInitContainers has a container wait that mounts nowhere, which is no volume of "
                "api.extraVolumes: "
                "add it "
                "there, or correct the name"
            ),
            (
                "api.extraInitContainers has a container probed with a probe, which is for containers that stay: add "
                "restartPolicy: Always, or leave the probe out"
            ),
            (
                "tensorboard.extraContainers has a container proxy with the port 80 (http), and tensorboard has 6006 "
                "(http): "
                "take "
                "another one"
            ),
        ]
    )


def test_volumes_mounts_and_containers_that_collide() -> None:
    empty: dict[str, Any] = {"emptyDir": {}}
    values: dict[str, Any] = {
        "training": {
            "extraVolumes": [{"name": "shared", **empty}, {"name": "shared", **empty}],
            "extraVolumeMounts": [
                {"name": "shared", "mountPath": "/data/"},
                {"name": "missing", "mountPath": "/extra"},
            ],
            "extraInitContainers": [{"name": "publisher", "image": "a"}],
        },
        "server": {
            "extraVolumes": [{"name": "models", **empty}, {"name": "shared", **empty}],
            "extraVolumeMounts": [{"name": "tmp", "mountPath": "/var/tmp"}, {"name": "shared", "mountPath": "/models"}],  # noqa: S108
            "extraContainers": [{"name": "proxy", "image": "a"}, {"name": "proxy", "image": "a"}],
        },
        "api": {
            "extraVolumes": [{"name": "tmp", **empty}, {"name": "cache", **empty}],
            "extraVolumeMounts": [{"name": "cache", "mountPath": "/tmp"}, {"name": "cache", "mountPath": "/"}],  # noqa: S108
            "extraEnv": [{"name": "TWICE", "value": "1"}, {"name": "TWICE", "value": "2"}],
            "dnsPolicy": "None",
        },
    }
    assert sorted(refusals(values)) == sorted([
        ("training.extraVolumes and server.extraVolumes both have shared, and both are in the training pod, where the "
        "server looks at what was trained: call one of them otherwise"),
        "training.extraVolumes has shared twice: give each volume its own name",
        "training.extraVolumeMounts mounts shared at /data, where the chart has files of its own: mount it elsewhere",
        ("training.extraVolumeMounts mounts missing, which is no volume of training.extraVolumes: add it there, or "
        "correct the name"),
        ("training.extraInitContainers has a container publisher, and the pod has one of that name already: call it "
        "otherwise"),
        "server.extraVolumes has models, a name of the chart's own volumes: call it otherwise",
        "server.extraVolumeMounts mounts shared at /models, where the chart has files of its own: mount it elsewhere",
        "server.extraContainers has a container proxy, and the pod has one of that name already: call it otherwise",
        "api.extraVolumes has tmp, a name of the chart's own volumes: call it otherwise",
        "api.extraVolumeMounts mounts cache at /tmp, where the chart has files of its own: mount it elsewhere",
        "api.extraVolumeMounts mounts cache at /, where the chart has files of its own: mount it elsewhere",
        "api.extraEnv has TWICE twice: leave one of them out",
        ("api.dnsPolicy is None but api.dnsConfig.nameservers is empty, so that no name could be looked up: name a "
        "server, or leave dnsPolicy out"),
    ])  # fmt: skip


@pytest.mark.parametrize("component", COMPONENTS)
def test_no_volume_container_or_mount_of_the_chart_is_taken_again(component: str) -> None:
    """What the chart has in any case of its values is refused, so that a new volume is entered among those refused."""
    volumes, names, paths = set(), set(), set()
    for case in (
        "everything",
        "own-model",
        "https-model",
        "image-volume",
        "https-data",
        "two-versions",
        "s3",
        "s3-identity",
        "default",
    ):
        values = [
            item
            for item in render_case(case).workloads()
            if item["metadata"]["labels"]["app.kubernetes.io/component"] == component
        ]
        for item in values:
            mine = ("extra-", "before-", "beside-")
            volumes |= {volume["name"] for volume in pod_spec(item)["volumes"] if not volume["name"].startswith(mine)}
            names |= {name for name in containers(item) if not name.startswith(mine)}
            main = containers(item)[COMPONENTS[component].container]
            paths |= {at["mountPath"] for at in main["volumeMounts"] if not at["name"].startswith("extra-")}
    needs = COMPONENTS[component].needs
    key = "extraInitContainers"
    sentences = refusals({
        component: {
            **needs,
            "extraVolumes": [{"name": name, "emptyDir": {}} for name in [*sorted(volumes), "x"]],
            "extraVolumeMounts": [{"name": "x", "mountPath": path} for path in sorted(paths) if path.count("/") == 1],
            key: [{"name": name, "image": "a"} for name in sorted(names)],
        }
    })  # fmt: skip
    for name in volumes:
        assert f"{component}.extraVolumes has {name}, a name of the chart's own volumes: call it otherwise" in sentences
    for name in names:
        assert any(f"{component}.{key} has a container {name}," in sentence for sentence in sentences), name
    for path in paths:
        if path.count("/") == 1:
            assert any(f"mounts x at {path}, where" in sentence for sentence in sentences), path


def test_rules_by_expressions_count_like_labels() -> None:
    component = "app.kubernetes.io/component"
    ours = {"matchExpressions": [{"key": component, "operator": "In", "values": ["server", "api"]}]}
    others = {"matchExpressions": [{"key": component, "operator": "NotIn", "values": ["server"]}]}
    there = {"matchExpressions": [{"key": component, "operator": "Exists"}, {"key": "x", "operator": "DoesNotExist"}]}
    spread = {"maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "DoNotSchedule"}
    rule = "requiredDuringSchedulingIgnoredDuringExecution"
    apart = [{"labelSelector": selector, "topologyKey": "kubernetes.io/hostname"} for selector in (ours, others)]
    values = {
        "server": {
            "topologySpreadConstraints": [
                {**spread, "labelSelector": there},
                {**spread, "labelSelector": others, "topologyKey": "topology.kubernetes.io/zone"},
            ],
            "affinity": {"podAntiAffinity": {rule: apart}},
        }
    }
    assert refusals(values) == [
        (
            f"server.topologySpreadConstraints spreads up to 3 pods over kubernetes.io/hostname but {ON_ONE_NODE} "
            "whenUnsatisfiable: ScheduleAnyway"
        ),
        (
            "server.affinity.podAntiAffinity keeps up to 3 pods on different kubernetes.io/hostname but "
            f"{ON_ONE_NODE} a preferred rule"
        ),
    ]


@pytest.mark.parametrize(
    ("terms", "refused"),
    [
        pytest.param([("In", ["arm64"])], True, id="arm"),
        pytest.param([("NotIn", ["amd64"])], True, id="not-amd"),
        pytest.param([("In", ["arm64", "amd64"])], False, id="either"),
        pytest.param([("In", ["arm64"]), ("In", ["amd64"])], False, id="terms-of-either"),
    ],
)
def test_nodes_without_the_servers_image(terms: list[tuple[str, list[str]]], refused: bool) -> None:  # noqa: FBT001
    node_terms = [
        {"matchExpressions": [{"key": "kubernetes.io/arch", "operator": operator, "values": values}]}
        for operator, values in terms
    ]
    rule = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": node_terms}}
    sentence = f"server.affinity.nodeAffinity keeps the pods from amd64 nodes {AMD64}"
    assert refusals({"server": {"affinity": {"nodeAffinity": rule}}}) == [sentence] * refused


@pytest.mark.parametrize(
    ("release", "proposal"),
    [("my.release", "my-release-tensorflow-model"), ("7up", "m-7up-tensorflow-model")],
)
def test_release_whose_name_is_no_services(release: str, proposal: str) -> None:
    with pytest.raises(RefusedError) as refused:
        render(release=release)
    sentence = next(line for line in str(refused.value).splitlines() if "would be called" in line)
    assert f"release's name {release} " in sentence
    assert sentence.endswith(f"set fullnameOverride={proposal}")
    assert render({"fullnameOverride": proposal}, release=release)


@pytest.mark.parametrize("alias", ["Digits", "my_digits"])
def test_alias_that_is_no_services_name(alias: str, tmp_path: Any) -> None:
    with pytest.raises(RefusedError, match=rf"alias {alias}, .*: set fullnameOverride=mnist-(my-)?digits"):
        chart_below(tmp_path, {alias: {}})


def test_aliases_in_a_releases_name_stay_apart(tmp_path: Any) -> None:
    """Release mnist and aliases "mnist" and "nis", which are both in its name."""
    text = chart_below(tmp_path, {"mnist": {}, "nis": {}})
    names = [(item["kind"], item["metadata"]["name"]) for item in objects(text)]
    assert len(names) == len(set(names))


def test_switch_of_a_parent_is_for_a_parent() -> None:
    assert refusals({"enabled": True}) == []
    assert refusals({"enabled": False}) == [
        (
            "enabled is false, which only a parent chart's condition acts on: name it there (condition: "
            "tensorflow-model.enabled), or leave it out and uninstall the release instead"
        )
    ]


@pytest.mark.parametrize("name", ["line\nbreak", "Upper", "-dash"])
def test_account_is_called_what_kubernetes_takes(name: str) -> None:
    (sentence,) = refusals({"serviceAccount": {"name": name}})
    assert sentence.startswith("serviceAccount.name is ")


def test_account_that_every_namespace_has_is_not_made() -> None:
    assert refusals({"serviceAccount": {"create": False, "name": "default"}}) == []
    assert refusals({"serviceAccount": {"name": "default"}}) == [
        (
            "serviceAccount.name is default and serviceAccount.create is true but every namespace has that account "
            "already: set serviceAccount.create=false, or another name"
        )
    ]


def test_account_of_digits_is_a_name() -> None:
    rendered = render({"serviceAccount": {"name": "1234"}})
    assert rendered.one("ServiceAccount")["metadata"]["name"] == "1234"
    assert {pod_spec(item)["serviceAccountName"] for item in rendered.pod_makers()} == {"1234"}


@pytest.mark.parametrize(
    "cron",
    [
        "60 3 * * *",
        "0 24 * * *",
        "0 3 0 * *",
        "0 3 * 13 *",
        "0 3 * * 7",
        "0 3 * * */0",
        "0 3 * *",
        "daily",
        "TZ=UTC 0 3 * * *",
        "0 0 3 * * *",
    ],
)
def test_schedule_that_kubernetes_refuses(cron: str) -> None:
    (sentence,) = refusals({"training": {"schedule": {"cron": cron}}})
    assert sentence.startswith(f'training.schedule.cron is "{cron}" but a schedule is five fields')
    assert sentence.endswith("timeZone") is cron.startswith("TZ=")


@pytest.mark.parametrize(
    "cron", ["*/5 1-3,7 1 JAN-JUN mon", "0-59/15,7 23 31 12 sun-6", "@daily", "@every 1h30m", "0  3 * * ?"]
)
def test_schedule_that_kubernetes_takes(cron: str) -> None:
    assert refusals({"training": {"schedule": {"cron": cron}}}) == []


def test_ways_in_that_lead_nowhere() -> None:
    values = {
        "training": {"schedule": {"timeZone": "Europe/Berlin"}},
        "ingress": {
            "enabled": True,
            "hosts": ["a.example.com", {"host": "a.example.com"}],
            "tls": [{"hosts": ["a.example.com", "b.example.com", "*.example.com"], "secretName": "tls"}],
        },
    }
    assert sorted(refusals(values)) == sorted(
        [
            (
                "training.schedule.timeZone is set but training.schedule.cron is empty, so nothing is started: set "
                "cron, or leave it out"
            ),
            "ingress.hosts has a.example.com twice, and which one's paths count is open: put its paths together",
            (
                "ingress.tls has b.example.com, which is no host of ingress.hosts, so that its certificate is never "
                "shown: add it there, or correct the name"
            ),
        ]
    )


@pytest.mark.parametrize("zone", ["Local", "Mars x", "+02:00", "Europe/"])
def test_zone_that_is_none(zone: str) -> None:
    sentence = "but Kubernetes takes the name of a zone: write for example Europe/Berlin or Etc/UTC"
    values = {"training": {"schedule": {"cron": "@daily", "timeZone": zone}}}
    assert refusals(values) == [f'training.schedule.timeZone is "{zone}" {sentence}']


def test_certificates_are_of_hosts_as_wildcards_mean_it() -> None:
    def told(hosts: list[str], certified: str) -> list[str]:
        return refusals({"ingress": {"enabled": True, "hosts": hosts, "tls": [{"hosts": [certified]}]}})

    assert told(["*.b.com"], "a.b.com") == []
    assert told(["a.b.com"], "*.b.com") == []
    assert told([""], "any.com") == []
    assert len(told(["a.b.com"], "*.c.com")) == 1
    assert len(told(["*.b.com"], "x.a.b.com")) == 1


def test_names_of_images_that_hold_more_than_a_name() -> None:
    values = {
        "training": {"image": {"repository": "localhost:5001/team/training"}},
        "loader": {"image": {"repository": "team/loader:1"}},
        "api": {"image": {"repository": "team/api@sha256:" + "0" * 64}},
        "server": {"image": {"repository": "Team/Server"}},
    }
    assert sorted(refusals(values)) == sorted(
        [
            (
                'training.image.repository is "localhost:5001/team/training", which names a registry: put '
                "localhost:5001 into "
                "training.image.registry, and write team/training here"
            ),
            (
                'loader.image.repository is "team/loader:1", which has a tag: put what is behind the : into '
                "loader.image.tag"
            ),
            (
                f'api.image.repository is "team/api@sha256:{"0" * 64}", which has a digest: put what is behind the @ '
                f"into "
                "api.image.digest"
            ),
            (
                'server.image.repository is "Team/Server" but names of images have small letters, digits, ".", "_", '
                '"-" and "/" '
                "alone: correct it"
            ),
        ]
    )


def test_registry_by_an_address_of_ipv6() -> None:
    rendered = render({"global": {"imageRegistry": "[fd00::1]:5000"}})
    assert rendered.container("api")["image"].startswith("[fd00::1]:5000/tensorflow-model-api:")


@pytest.mark.parametrize(
    ("reference", "is_taken"), [("[fd00::1]:5000/a:1", True), ("a/b", True), ("https://a/b", False)]
)
def test_image_of_a_model_has_a_name(reference: str, is_taken: bool) -> None:  # noqa: FBT001
    values = {"training": {"enabled": False}, "model": {"source": {"image": {"reference": reference}}}}
    assert (refusals(values) == []) is is_taken


def test_ports_of_nodes_are_of_one_service() -> None:
    def service(port: int) -> dict[str, Any]:
        return {"service": {"type": "NodePort", "nodePorts": {"http": port}}}

    values = {"api": service(30080), "tensorboard": service(30080)}
    assert refusals(values) == []
    assert refusals({**values, "tensorboard": {**service(30080), **TENSORBOARD}}) == [
        (
            "tensorboard.service.nodePorts.http is 30080, which api.service.nodePorts.http is already: give each "
            "Service a "
            "port of its own, or null to have one chosen"
        )
    ]


def test_two_families_of_addresses_need_a_policy() -> None:
    families = ["IPv6", "IPv4"]
    assert refusals({"api": {"service": {"ipFamilies": families, "ipFamilyPolicy": "PreferDualStack"}}}) == []
    assert refusals({"api": {"service": {"ipFamilies": families}}}) == [
        (
            "api.service.ipFamilies has two families but ipFamilyPolicy is empty, which is SingleStack: leave one of "
            "them out, "
            "or set PreferDualStack or RequireDualStack"
        )
    ]


def test_claims_have_room() -> None:
    values = {"modelStore": {"pvc": {"size": "0Gi"}}, "training": {"workspace": {"size": "0"}}}
    assert refusals(values) == [
        "modelStore.pvc.size is 0Gi, in which nothing has room: write for example 1Gi",
        "training.workspace.size is 0, in which nothing has room: write for example 1Gi",
    ]


def test_users_and_rights_no_container_starts_with() -> None:
    root = (
        "which is root, but runAsNonRoot is true, so that no container could start: set another user, null to leave it"
    )
    context: dict[str, Any] = {"privileged": True, "seccompProfile": {"type": "Localhost"}}
    values = {
        "server": {"podSecurityContext": {"runAsUser": 0}},
        "api": {
            "securityContext": context,
            "extraContainers": [{"name": "side", "image": "a", "securityContext": {"runAsUser": 0}}],
        },
        "tensorboard": TENSORBOARD | {"securityContext": {"runAsUser": 0, "runAsNonRoot": False}},
    }
    assert refusals(values) == [
        (
            "api.securityContext.seccompProfile.type is Localhost but "
            "api.securityContext.seccompProfile.localhostProfile does "
            "not name the file: give it, or use RuntimeDefault"
        )
    ]
    del context["seccompProfile"]
    assert sorted(refusals(values)) == sorted(
        [
            f"server.podSecurityContext.runAsUser is 0, {root} to the image or platform, or runAsNonRoot=false",
            (
                f"api.extraContainers[0].securityContext.runAsUser is 0, {root} to the image or platform, or "
                f"runAsNonRoot=false"
            ),
            (
                "api.securityContext.privileged is true but allowPrivilegeEscalation is false, which Kubernetes "
                "refuses: set "
                "allowPrivilegeEscalation to true, or leave privileged out"
            ),
        ]
    )


def test_further_objects_that_are_none() -> None:
    objects = [
        "kind: ConfigMap\nmetadata: {name: a}",
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": None},
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n---\napiVersion: v1\nmetadata: {name: b}",
        "[a, b]",
        "# nothing\n",
        "{{ if false }}kind: Nothing{{ end }}",
    ]
    sentences = refusals({"extraObjects": objects})
    assert sentences[:3] == [
        "extraObjects[0] has no apiVersion, which every object of Kubernetes has: add it",
        "extraObjects[1] is a ConfigMap without metadata.name: give it one",
        "extraObjects[2] has no kind, which every object of Kubernetes has: add it",
    ]
    assert len(sentences) == 4
    assert sentences[3].startswith("extraObjects[3] is not a map in YAML (")
