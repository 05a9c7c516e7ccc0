"""Values that cannot work together are refused when rendering: the keys, the reason and the way out, all at once."""

from __future__ import annotations

from typing import Any

import pytest

from tests.chart.rendering import HELMS, RefusedError, render

OWN = {"app.kubernetes.io/component": "server"}
SPREAD = {"maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "DoNotSchedule"}
APART = {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [
    {"labelSelector": {"matchLabels": OWN}, "topologyKey": "kubernetes.io/hostname"}
]}}  # fmt: skip
SHARED = {"pvc": {"accessModes": ["ReadWriteMany"]}}


def told(values: dict[str, Any], helm: str = "helm4") -> list[str]:
    """Return the sentences values are refused with, none when they are taken."""
    try:
        render(values, helm=helm)
    except RefusedError as error:
        head, _, rest = str(error).partition("These values cannot work together:\n")
        assert rest, head
        return [line.removeprefix("- ") for line in rest.splitlines() if line.startswith("- ")]
    return []


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
            "modelStore.pvc.accessModes has ReadWriteOncePod but training, server and api each mount the volume: use "
            "ReadWriteOnce (one node) or ReadWriteMany",
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
            "api.terminationGracePeriodSeconds is 15 but preStopSleepSeconds and the slowest request take 16: raise it "
            "to 16 or more",
            id="killed-in-the-middle",
        ),
        pytest.param(
            {"server": {"terminationGracePeriodSeconds": 5}},
            "server.terminationGracePeriodSeconds is 5 but preStopSleepSeconds and the slowest request take 11: raise "
            "it to 11 or more",
            id="no-time-to-stop",
        ),
        pytest.param(
            {"api": {"service": {"nodePorts": {"http": 30080}}}},
            "api.service.nodePorts.http is set but api.service.type is ClusterIP, which has no node ports: set type to "
            "NodePort or LoadBalancer",
            id="node-port-without-nodes",
        ),
        pytest.param(
            {"training": {"extraArgs": ["--epochs=9"]}},
            "training.extraArgs sets --epochs, which the chart sets already: use the key it comes from (README.md "
            "lists them)",
            id="input-beside-the-key",
        ),
        pytest.param(
            {"training": {"extraEnv": [{"name": "SEED", "value": "7"}]}},
            "training.extraEnv sets SEED, which the chart sets already: use the key it comes from (README.md lists "
            "them)",
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
            {"server": {"batching": {"enabled": True, "maxBatchSize": 127}}, "api": {"maxImagesPerRequest": 1}},
            "server.batching.maxBatchSize is 127, which would refuse requests of 128 rows (the most of api.batchSize, "
            "api.maxImagesPerRequest and the model's 128 warm-up rows): make it 128 or more",
            id="batches-smaller-than-the-warm-up",
        ),
        pytest.param(
            {"server": {"batching": {"enabled": True, "maxBatchSize": 200}}, "api": {"maxImagesPerRequest": 300}},
            "server.batching.maxBatchSize is 200, which would refuse requests of 300 rows (the most of api.batchSize, "
            "api.maxImagesPerRequest and the model's 128 warm-up rows): make it 300 or more",
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
            {"ingress": {"enabled": True}},
            "ingress.enabled is true but ingress.hosts is empty: name a host",
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
    assert told(values) == [sentence]


@pytest.mark.parametrize("helm", HELMS)
def test_all_problems_are_told_at_once(helm: str) -> None:
    values = {
        "server": {"replicaCount": 5, "topologySpreadConstraints": [SPREAD]},
        "api": {"replicaCount": 0},
        "ingress": {"enabled": True},
    }
    assert len(told(values, helm)) == 4


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
            {"server": {"nodeSelector": {"pool": "a"}}, "api": {"nodeSelector": {"pool": "a"}}}, id="one-pool"
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
    assert told(values) == []
