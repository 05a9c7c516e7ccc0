"""Values that cannot work together are refused when rendering: the keys, the reason and the way out, all at once."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.chart.rendering import every_helm, refusals

OWN = {"app.kubernetes.io/component": "server"}
SPREAD = {"maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "DoNotSchedule"}
APART = {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [
    {"labelSelector": {"matchLabels": OWN}, "topologyKey": "kubernetes.io/hostname"}
]}}  # fmt: skip
SHARED = {"pvc": {"accessModes": ["ReadWriteMany"]}}
ARCHIVE = {"uri": "https://models.example.com/churn.tar.gz", "sha256": "a" * 64}
OWN_CLAIM = {"training": {"enabled": False}, "modelStore": {"pvc": {"existingClaim": "my-models"}}}
WHOLE = (
    "but TensorFlow Serving's versions are whole numbers from 1, without zeros in front: write it as one, for example 3"
)
TWO_TO_53 = "a number of 9007199254740992 (2^53) or more, of which Helm does not keep the last digits: quote it"


def source(**given: Any) -> dict[str, Any]:
    """Return values of a release that serves a model from a source and trains none."""
    return {"training": {"enabled": False}, "model": {"source": given}}


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        pytest.param(
            {"server": {"replicaCount": 4}},
            "server.replicaCount is 4 but server.autoscaling.maxReplicas is 3: raise maxReplicas, lower replicaCount, "
            "or set server.autoscaling.enabled=false",
            id="more-than-the-most",
        ),
        pytest.param(
            {"api": {"autoscaling": {"minReplicas": 5, "maxReplicas": 2}}},
            "api.autoscaling.minReplicas is 5 but api.autoscaling.maxReplicas is 2: raise maxReplicas, lower "
            "autoscaling.minReplicas, or set api.autoscaling.enabled=false",
            id="least-above-most",
        ),
        pytest.param(
            {"api": {"replicaCount": 0}},
            "api.replicaCount is 0 but an autoscaler keeps at least one pod: set api.autoscaling.enabled=false to run "
            "none",
            id="none-autoscaled",
        ),
        pytest.param(
            {"server": {"resources": {"requests": {"cpu": None}}}},
            "server.autoscaling.targetCPUUtilizationPercentage is a share of the CPU request but "
            "server.resources.requests.cpu is not set: set it, or set server.autoscaling.enabled=false",
            id="share-of-nothing",
        ),
        pytest.param(
            {"api": {"autoscaling": {"targetCPUUtilizationPercentage": None}}},
            "api.autoscaling.enabled is true but there is nothing to scale by: set "
            "api.autoscaling.targetCPUUtilizationPercentage or api.autoscaling.metrics",
            id="nothing-to-scale-by",
        ),
        pytest.param(
            {"server": {"topologySpreadConstraints": [SPREAD]}},
            "server.topologySpreadConstraints spreads up to 3 pods over kubernetes.io/hostname but the model store's "
            "volume (modelStore.pvc.accessModes) is attached to one node: use ReadWriteMany, or whenUnsatisfiable: "
            "ScheduleAnyway",
            id="spread-on-one-node",
        ),
        pytest.param(
            {"server": {"affinity": APART}},
            "server.affinity.podAntiAffinity keeps up to 3 pods on different kubernetes.io/hostname but the model "
            "store's volume (modelStore.pvc.accessModes) is attached to one node: use ReadWriteMany, or a preferred "
            "rule",
            id="apart-on-one-node",
        ),
        pytest.param(
            {"training": {"nodeSelector": {"pool": "gpu"}}, "server": {"nodeSelector": {"pool": "cpu"}}},
            "server.nodeSelector asks for pool=cpu and training.nodeSelector for gpu but the model store's volume "
            "(modelStore.pvc.accessModes) is attached to one node: use ReadWriteMany, or the same node selector",
            id="two-nodes-for-one-volume",
        ),
        pytest.param(
            {"modelStore": {"pvc": {"accessModes": ["ReadWriteOncePod"]}}},
            "modelStore.pvc.accessModes has ReadWriteOncePod but training and each of the server's pods mount the "
            "volume: use ReadWriteOnce (one node) or ReadWriteMany",
            id="one-pod",
        ),
        pytest.param(
            {"modelStore": {"pvc": {"accessModes": ["ReadOnlyMany"]}}},
            "modelStore.pvc.accessModes is ReadOnlyMany but training writes to the volume: add ReadWriteOnce, or set "
            "training.enabled=false",
            id="read-only",
        ),
        pytest.param(
            {"api": {"terminationGracePeriodSeconds": 15}},
            "api.terminationGracePeriodSeconds is 15 but preStopSleepSeconds, drainSeconds and the slowest request "
            "take 21: raise it to 21 or more",
            id="killed-in-the-middle",
        ),
        pytest.param(
            {"server": {"terminationGracePeriodSeconds": 5}},
            "server.terminationGracePeriodSeconds is 5 but preStopSleepSeconds and the slowest request take 21: raise "
            "it to 21 or more",
            id="no-time-to-stop",
        ),
        pytest.param(
            {"api": {"service": {"nodePorts": {"http": 30080}}}},
            "api.service.nodePorts.http is set but api.service.type is ClusterIP, which has no node ports: set type to "
            "NodePort or LoadBalancer",
            id="node-port-without-nodes",
        ),
        pytest.param(
            {"server": {"strategy": {"rollingUpdate": {"maxSurge": "0%"}}}},
            "server.strategy.rollingUpdate allows no pod more (maxSurge) and none less (maxUnavailable), so that no "
            "pod could ever be replaced: set one of them to 1",
            id="nothing-to-roll-with",
        ),
        pytest.param(
            {"api": {"podDisruptionBudget": {"minAvailable": 1}}},
            "api.podDisruptionBudget has maxUnavailable and minAvailable but Kubernetes takes one of them: set the "
            "other to null",
            id="two-budgets",
        ),
        pytest.param(
            {"api": {"podDisruptionBudget": {"maxUnavailable": None}}},
            "api.podDisruptionBudget.enabled is true but it holds nothing: set api.podDisruptionBudget.maxUnavailable "
            "or minAvailable, or enabled=false",
            id="budget-of-nothing",
        ),
        pytest.param(
            {"api": {"podDisruptionBudget": {"maxUnavailable": None, "minAvailable": "100%"}}},
            "api.podDisruptionBudget.minAvailable is 100%, which no drain of a node could ever keep to: set it lower, "
            "or maxUnavailable=1 and minAvailable=null",
            id="budget-of-all",
        ),
        pytest.param(
            {"api": {"podDisruptionBudget": {"maxUnavailable": None, "minAvailable": 3}}},
            "api.podDisruptionBudget.minAvailable is 3 of at most 3 pods, which no drain of a node could ever keep to: "
            "set it lower, or maxUnavailable=1 and minAvailable=null",
            id="budget-of-all-by-number",
        ),
        pytest.param(
            {"server": {"podDisruptionBudget": {"maxUnavailable": 0}}},
            "server.podDisruptionBudget.maxUnavailable is 0, which no drain of a node could ever keep to: set it to 1 "
            "or more, or enabled=false",
            id="budget-that-lets-none-go",
        ),
        pytest.param(
            {"server": {"service": {"externalTrafficPolicy": "Local"}}},
            "server.service.externalTrafficPolicy is set but server.service.type is ClusterIP, which nobody outside "
            "reaches: set type to NodePort or LoadBalancer, or leave it out",
            id="traffic-from-nowhere",
        ),
        pytest.param(
            {"api": {"service": {"loadBalancerClass": "example.com/balancer"}}},
            "api.service.loadBalancerClass is set but api.service.type is ClusterIP: set type to LoadBalancer, or "
            "leave it out",
            id="class-of-no-balancer",
        ),
        pytest.param(
            {"api": {"service": {"type": "NodePort", "loadBalancerSourceRanges": ["203.0.113.0/24"]}}},
            "api.service.loadBalancerSourceRanges is set but api.service.type is NodePort: set type to LoadBalancer, "
            "or leave it out",
            id="ranges-of-no-balancer",
        ),
        pytest.param(
            {"api": {"service": {"ipFamilyPolicy": "SingleStack", "ipFamilies": ["IPv6", "IPv4"]}}},
            "api.service.ipFamilies has two families but ipFamilyPolicy is SingleStack: leave one of them out, or set "
            "PreferDualStack or RequireDualStack",
            id="two-families-in-one",
        ),
        pytest.param(
            {"server": {"service": {"ports": {"grpc": 8501}}}},
            "server.service.ports.rest is 8501, which grpc is already: give each port a number of its own",
            id="one-port-for-two",
        ),
        pytest.param(
            {
                "networkPolicy": {"enabled": False},
                "server": {"service": {"type": "NodePort", "nodePorts": {"grpc": 30500, "rest": 30500}}},
            },
            "server.service.nodePorts.rest is 30500, which grpc is already: give each port a number of its own",
            id="one-node-port-for-two",
        ),
        pytest.param(
            {"training": {"extraArgs": ["--epochs=9"]}},
            'training.extraArgs has "--epochs=9", which the model key would not know of: parameters are '
            "training.params, and the trainer's own flags but --checkpoint-steps come from the keys of training "
            "(README.md lists them)",
            id="input-beside-the-key",
        ),
        pytest.param(
            {"training": {"extraEnv": [{"name": "SEED", "value": "7"}]}},
            "training.extraEnv sets SEED, a parameter that the model key would not know of: set training.params.seed",
            id="variable-beside-the-key",
        ),
        pytest.param(
            {"server": {"config": {"versions": [3]}}},
            "server.config names versions but model.version is empty, so which one /predict means is open: set "
            "model.version",
            id="versions-beside-none",
        ),
        pytest.param(
            {"model": {"version": 4}, "server": {"config": {"versionLabels": {"old": 3}}}},
            "server.config.versionLabels.old is 3, which is not served: make it model.version or add it to "
            "server.config.versions",
            id="label-of-nothing",
        ),
        pytest.param(
            {"server": {"batching": {"enabled": True, "allowedBatchSizes": [8, 16]}}},
            "server.batching.allowedBatchSizes ends in 16 but maxBatchSize is 1000: the last size must be 1000",
            id="sizes-below-the-largest",
        ),
        pytest.param(
            {"server": {"batching": {"enabled": True, "maxBatchSize": 256, "allowedBatchSizes": [512, 256]}}},
            "server.batching.allowedBatchSizes has 256 after 512: sort it in ascending order",
            id="sizes-out-of-order",
        ),
        pytest.param(
            {"server": {"batching": {"enabled": True, "maxBatchSize": 127}}, "api": {"maxInputsPerRequest": 1}},
            "server.batching.maxBatchSize is 127, which would refuse requests of 128 rows (the most of api.batchSize, "
            "api.maxInputsPerRequest and the model's 128 warm-up rows): make it 128 or more",
            id="batches-smaller-than-the-warm-up",
        ),
        pytest.param(
            {"server": {"batching": {"enabled": True, "maxBatchSize": 200}}, "api": {"maxInputsPerRequest": 300}},
            "server.batching.maxBatchSize is 200, which would refuse requests of 300 rows (the most of api.batchSize, "
            "api.maxInputsPerRequest and the model's 128 warm-up rows): make it 300 or more",
            id="batches-smaller-than-the-api-sends",
        ),
        pytest.param(
            {"server": {"batching": {"enabled": True, "maxExecutionBatchSize": 8}}},
            "server.batching.maxExecutionBatchSize is set but enableLargeBatchSplitting is false, so no request is "
            "cut: set it to true",
            id="nothing-is-cut",
        ),
        pytest.param(
            {"server": {"tls": {"clientVerify": True}}},
            "server.tls.clientVerify is set but server.tls.secretName is empty, so gRPC is plain: name the Secret",
            id="tls-without-secret",
        ),
        pytest.param(
            {"server": {"tls": {"secretName": "tls", "clientVerify": True}}},
            "server.tls.clientVerify is true but the api has no certificate to show: set server.tls.clientSecretName",
            id="api-without-certificate",
        ),
        pytest.param(
            {"server": {"extraArgs": ["--port=9000"]}},
            "server.extraArgs sets --port, which the chart sets already: use the key it comes from (README.md lists "
            "them)",
            id="port-of-the-server",
        ),
        pytest.param(
            {"server": {"nodeSelector": {"kubernetes.io/arch": "arm64"}}},
            "server.nodeSelector asks for arm64 nodes but server.image is tensorflow/serving, which exists for amd64 "
            "only: set server.image.repository=tensorflow-model-server, registry and tag empty",
            id="no-such-build",
        ),
        pytest.param(
            {"server": {"limits": {"rest": {"maxHeaders": 50}}}},
            "server.limits is set but server.image is tensorflow/serving, which has no such flags and would go on "
            "without limits: set server.image.repository=tensorflow-model-server, registry and tag empty, or leave "
            "server.limits out and keep strangers away by networkPolicy",
            id="limits-nobody-reads",
        ),
        pytest.param(
            {"server": {"reloadConfigRoot": "/models"}},
            "server.reloadConfigRoot is set but server.image is tensorflow/serving, which has no such flag and lets "
            "anybody reload anything: set server.image.repository=tensorflow-model-server, registry and tag empty, or "
            "leave it empty",
            id="root-nobody-reads",
        ),
        pytest.param(
            {"model": {"source": ARCHIVE | {"sha256": ""}}},
            "model.source.uri is set but training.enabled is true, and model.source is for a model this release does "
            "not train: set training.enabled=false, or leave it out",
            id="trained-and-from-elsewhere",
        ),
        pytest.param(
            source(**ARCHIVE, image={"reference": "model:1"}),
            "model.source.uri and model.source.image.reference are both set but a model comes from one place: leave "
            "one of them out",
            id="two-sources",
        ),
        pytest.param(
            source(**ARCHIVE, path="churn"),
            "model.source.path and model.source.uri are both set but the model's folder in an archive is found without "
            "it: leave the path out",
            id="folder-of-an-archive",
        ),
        pytest.param(
            source(path="churn"),
            "model.source.path is set but there is no claim it is a folder of (the chart's own has none but what is "
            "trained): set modelStore.pvc.existingClaim",
            id="folder-of-nothing",
        ),
        pytest.param(
            source(path="/churn") | OWN_CLAIM,
            'model.source.path is "/churn", which leads out of the claim or image: name a folder inside it, without a '
            "/ in front and without ..",
            id="absolute-folder",
        ),
        pytest.param(
            source(path="a/../../b", image={"reference": "model:1"}),
            'model.source.path is "a/../../b", which leads out of the claim or image: name a folder inside it, without '
            "a / in front and without ..",
            id="folder-outside",
        ),
        pytest.param(
            source(uri=ARCHIVE["uri"]),
            "model.source.uri is set but model.source.sha256 is empty, so nothing says which bytes are the model: set "
            "it to what sha256sum prints for the archive",
            id="archive-without-digest",
        ),
        pytest.param(
            source(sha256=ARCHIVE["sha256"]),
            "model.source.sha256 is set but model.source.uri is empty, so nothing is fetched: set the uri, or leave it "
            "out",
            id="digest-without-archive",
        ),
        pytest.param(
            source(caBundle={"configMapName": "certificates"}),
            "model.source.caBundle.configMapName is set but model.source.uri is empty, so nothing is fetched: set the "
            "uri, or leave it out",
            id="certificates-without-archive",
        ),
        pytest.param(
            source(uri="http://models.example.com/churn.tar.gz", sha256="a" * 64),
            'model.source.uri is "http://models.example.com/churn.tar.gz", which is not the address of a file over '
            "https or in a bucket: use https://HOST/PATH or s3://BUCKET/KEY, or put the model into a claim "
            "(modelStore.pvc.existingClaim)",
            id="plain-http",
        ),
        pytest.param(
            {"model": {"task": "regression", "labels": ["a"]}},
            "model.labels names classes but model.task is regression, which has none: set model.task to classification "
            "or multilabel, or leave the labels out",
            id="labels-of-a-number",
        ),
        pytest.param(
            {"model": {"task": "classification", "labels": ["a", "b", "a"]}},
            'model.labels has "a" twice, so an answer would not say which class it means: give each class its own name',
            id="label-twice",
        ),
        pytest.param(
            {"training": {"enabled": False}, "server": {"fileSystemPollWaitSeconds": 0}},
            "server.fileSystemPollWaitSeconds is 0, so the server never sees the versions that the follower hands over "
            "(nothing pins one): set it to 1 or more, set model.version, or set loader.follow=false",
            id="follower-that-nobody-sees",
        ),
        pytest.param({"model": {"version": "v3"}}, f'model.version is "v3" {WHOLE}', id="version-with-a-letter"),
        pytest.param({"model": {"version": "007"}}, f'model.version is "007" {WHOLE}', id="version-with-zeros"),
        pytest.param({"model": {"version": 2024.06}}, f"model.version is 2024.06 {WHOLE}", id="version-with-a-point"),
        pytest.param({"model": {"version": 0}}, f"model.version is 0 {WHOLE}", id="version-zero"),
        pytest.param({"model": {"version": -1}}, f"model.version is -1 {WHOLE}", id="version-below-zero"),
        pytest.param(
            {"model": {"version": 9_007_199_254_740_993}}, f"model.version is {TWO_TO_53}", id="version-of-many-digits"
        ),
        pytest.param(
            {"model": {"version": "9223372036854775808"}},
            "model.version is 9223372036854775808 but TensorFlow Serving's versions end at 9223372036854775807 (2^63 - "
            "1): use a smaller number",
            id="version-beyond-the-last",
        ),
        pytest.param(
            {"model": {"version": 5}, "server": {"config": {"versions": ["05"]}}},
            f'server.config.versions is "05" {WHOLE}',
            id="further-version-with-zeros",
        ),
        pytest.param(
            {"ingress": {"enabled": True}},
            'ingress.enabled is true but ingress.hosts is empty: name a host, or "" for every host',
            id="ingress-without-host",
        ),
        pytest.param(
            {"httpRoute": {"enabled": True}},
            "httpRoute.enabled is true but httpRoute.parentRefs is empty: name the Gateway",
            id="route-without-gateway",
        ),
    ],
)
def test_combination_is_refused_with_the_way_out(values: dict[str, Any], sentence: str) -> None:
    assert refusals(values) == [sentence]


@every_helm
def test_all_problems_are_told_at_once(helm: str) -> None:
    values = {
        "server": {"replicaCount": 5, "topologySpreadConstraints": [SPREAD]},
        "api": {"replicaCount": 0},
        "ingress": {"enabled": True},
    }
    assert len(refusals(values, helm=helm)) == 4


@pytest.mark.parametrize(
    "values",
    [
        pytest.param({"server": {"topologySpreadConstraints": [SPREAD]}, "modelStore": SHARED}, id="shared-volume"),
        pytest.param(
            {"server": {"topologySpreadConstraints": [{**SPREAD, "whenUnsatisfiable": "ScheduleAnyway"}]}},
            id="spread-if-possible",
        ),
        pytest.param(
            {"server": {"topologySpreadConstraints": [SPREAD], "autoscaling": {"enabled": False}}}, id="one-pod"
        ),
        pytest.param(
            {"server": {"topologySpreadConstraints": [{**SPREAD, "labelSelector": {"matchLabels": {"app": "x"}}}]}},
            id="spread-of-others",
        ),
        pytest.param(
            {"server": {"nodeSelector": {"pool": "a"}}, "training": {"nodeSelector": {"pool": "a"}}}, id="one-pool"
        ),
        pytest.param(
            {"server": {"nodeSelector": {"pool": "a"}}, "api": {"nodeSelector": {"pool": "b"}}}, id="api-elsewhere"
        ),
        pytest.param({"api": {"topologySpreadConstraints": [SPREAD]}}, id="api-spread"),
        pytest.param(source(**ARCHIVE) | {"server": {"topologySpreadConstraints": [SPREAD]}}, id="no-volume"),
        pytest.param({"training": {"enabled": False}}, id="what-an-earlier-release-trained"),
        pytest.param(OWN_CLAIM, id="own-claim"),
        pytest.param(source(path="a/b..c") | OWN_CLAIM, id="folder-of-own-claim"),
        pytest.param(source(path="a", image={"reference": "model:1"}), id="folder-of-an-image"),
        pytest.param(source(**ARCHIVE, caBundle={"configMapName": "certificates"}), id="certificates-of-an-archive"),
        pytest.param({"model": {"task": "multilabel", "labels": ["a", "A"]}}, id="labels"),
        pytest.param(
            {"training": {"enabled": False}, "loader": {"follow": False}, "server": {"fileSystemPollWaitSeconds": 0}},
            id="one-look-without-follower",
        ),
        pytest.param(
            {
                "training": {"nodeSelector": {"pool": "gpu"}},
                "api": {"nodeSelector": {"pool": "b"}},
                "modelStore": SHARED,
            },
            id="pools-with-a-shared-volume",
        ),
        pytest.param({"api": {"replicaCount": 0, "autoscaling": {"enabled": False}}}, id="none-at-all"),
        pytest.param({"server": {"nodeSelector": {"kubernetes.io/arch": "amd64"}}}, id="amd64"),
        pytest.param(
            {"server": {"resources": {"requests": {"cpu": None}}, "autoscaling": {"enabled": False}}}, id="no-request"
        ),
    ],
)
def test_combination_that_works_is_taken(values: dict[str, Any]) -> None:
    assert refusals(values) == []


@every_helm
@pytest.mark.parametrize(("version", "is_taken"), [("1.30.9", False), ("1.31.0", True), ("1.31.0-eks-1", True)])
def test_image_volume_is_refused_where_the_cluster_has_none(helm: str, version: str, is_taken: bool) -> None:  # noqa: FBT001
    values = source(image={"reference": "model:1"})
    sentence = (
        f"model.source.image.reference is set but this is Kubernetes v{version}, and image volumes are there from 1.31 "
        "on: use a newer cluster, model.source.uri, or a claim (modelStore.pvc.existingClaim)"
    )
    assert refusals(values, f"--kube-version={version}", helm=helm) == ([] if is_taken else [sentence])


@every_helm
def test_version_given_by_set_is_exact_or_refused(helm: str) -> None:
    assert refusals({}, "--set=model.version=20240601120000", helm=helm) == []
    assert refusals({}, "--set-string=model.version=9223372036854775807", helm=helm) == []
    assert refusals({}, "--set=model.version=9223372036854775807", helm=helm) == [f"model.version is {TWO_TO_53}"]


@every_helm
@pytest.mark.parametrize("name", ["models/mnist", "my model", "..", "-x", ".hidden", "", "a: b", "a\nb", "a" * 129])
def test_name_that_is_no_folder_and_part_of_urls_is_refused(helm: str, name: str) -> None:
    sentence = (
        f"model.name is {json.dumps(name)} but it is a folder and a part of URLs as it stands: use letters, digits, "
        '"_", "-" and ".", at most 128, the first a letter or digit'
    )
    assert refusals({"model": {"name": name}}, helm=helm) == [sentence]
