"""What values hand on to Kubernetes, and Kubernetes would not take, is refused when rendering (files/shapes.yaml)."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from ci import chart_docs
from ci.paths import CHART
from tests.chart.rendering import CASES, every_helm, refusals

if TYPE_CHECKING:
    from collections.abc import Iterator

FILE: dict[str, Any] = yaml.safe_load((CHART / "files" / "shapes.yaml").read_text(encoding="utf-8"))
COMPONENTS = ("training", "server", "api", "tensorboard")
LABEL = 'a label has letters, digits, "-", "_" and ".", at most 63, the first and last a letter or digit'
OWN_NAME = (
    'but its name has letters, digits, "-", "_" and ".", at most 63, with a domain{} and one "/" in front where you '
    "want "
    "one: write for example example.com/team"
)
PART = 'but it has small letters, digits and "-" alone, at most 63, the first and last a letter or digit: rename it'
OBJECT = (
    'but names of objects have small letters, digits, "-" and ".", the first and last a letter or digit: correct it'
)
NEEDED = "is missing or empty but Kubernetes needs it: give it"


def shapes(shape: Any) -> Iterator[dict[str, Any]]:
    """Yield a shape and all that are in it."""
    if isinstance(shape, str):
        assert shape in FILE["shapes"], f"there is no shape {shape}"
        return
    yield shape
    for inner in [shape.get("items"), shape.get("values"), *shape.get("keys", {}).values()]:
        if inner is not None:
            yield from shapes(inner)


def test_every_shape_is_of_what_there_is() -> None:
    texts = {*FILE["texts"], "any"}
    checks = (CHART / "templates" / "validation" / "_shapes.tpl").read_text(encoding="utf-8")
    for shape in [*FILE["shapes"].values(), *FILE["values"].values()]:
        for inner in shapes(shape):
            named = {inner[key] for key in ("text", "names", "orText") if key in inner}
            assert named <= texts, inner
            if "check" in inner:
                assert f'"tensorflow-model.validation.check.{inner["check"]}"' in checks


def test_every_value_that_is_handed_on_has_a_shape() -> None:
    # Objects and lists of objects are Kubernetes' own; these are closed by the schema, another API's, or the program's.
    elsewhere = ("training.code", "training.params", "training.gates", "server.config.", "extraObjects")
    known = {
        path.replace("*", component) for path in FILE["values"] for component in (COMPONENTS if "*" in path else [""])
    }
    schema = chart_docs.load_schema()
    for value in chart_docs.walk(schema, chart_docs.load_values(), schema):
        item = chart_docs.resolve(value.schema.get("items") or {}, schema)
        is_handed_on = value.schema.get("type") == "object" or "object" in item.get("type", "")
        if is_handed_on and not value.key.startswith(elsewhere) and not value.key.endswith("Probe"):
            assert value.key in known or value.key.endswith("resources"), value.key


@every_helm
def test_names_and_labels(helm: str) -> None:
    values = {
        "commonLabels": {"a b": "c"},
        "commonAnnotations": {"a/b/c": "d"},
        "server": {
            "nodeSelector": {"": "c"},
            "podLabels": {"Example.com/a": "b"},
            "podAnnotations": {"Example.com/a": "b"},
        },
        "api": {
            "service": {"labels": {"x" * 64: "a"}},
            "priorityClassName": "High_Priority",
            "nodeSelector": {"pool": "a b"},
        },
        "imagePullSecrets": ["My Registry", {"name": "my_registry"}],
        "global": {"imagePullSecrets": [{}]},
        "modelStore": {"pvc": {"storageClass": "Fast SSD", "selector": {"purpose": "models"}}},
    }
    label_name, annotation_name = OWN_NAME.format(" of small letters"), OWN_NAME.format("")
    assert sorted(refusals(values, helm=helm)) == sorted(
        [
            f'commonLabels has "a b" {label_name}',
            f'commonAnnotations has "a/b/c" {annotation_name}',
            f'server.nodeSelector has "" {label_name}',
            f'server.podLabels has "Example.com/a" {label_name}',
            f'api.service.labels has "{"x" * 64}" {label_name}',
            f'api.priorityClassName is "High_Priority" {OBJECT}',
            f'api.nodeSelector.pool is "a b" but {LABEL}',
            f'imagePullSecrets[0] is "My Registry" {OBJECT}',
            f'imagePullSecrets[1].name is "my_registry" {OBJECT}',
            f"global.imagePullSecrets[0].name {NEEDED}",
            f'modelStore.pvc.storageClass is "Fast SSD" {OBJECT}',
            (
                "modelStore.pvc.selector has purpose, which Kubernetes does not know there: write matchLabels or "
                "matchExpressions, and below it what you mean"
            ),
        ]
    )


def test_names_that_were_told_as_patterns() -> None:
    values = {
        "commonLabels": {"app.kubernetes.io/name": "x", "build": 7, "long": "x" * 64},
        "nameOverride": "My_Chart",
        "server": {"tls": {"secretName": "A_b"}, "extraEnv": [{"name": "A", "value": True}]},
        "api": {"podAnnotations": {"example.com/scrape": True}},
    }
    quotes = "but Kubernetes takes text there: put it in quotes"
    assert sorted(refusals(values)) == sorted(
        [
            (
                "commonLabels has app.kubernetes.io/name, a label of the chart's own, which selectors hold or pods "
                "are found by: "
                "leave it out"
            ),
            f"commonLabels.build is 7 {quotes}",
            f'commonLabels.long is "{"x" * 64}" but {LABEL}',
            f'nameOverride is "My_Chart" {PART}',
            f'server.tls.secretName is "A_b" {OBJECT}',
            f"server.extraEnv[0].value is true {quotes}",
            f"api.podAnnotations.example.com/scrape is true {quotes}",
        ]
    )


def test_where_pods_run() -> None:
    term = {"labelSelector": {"matchExpressions": [{"key": "app", "operator": "In"}]}}
    spread = {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"}
    values = {
        "server": {
            "tolerations": [{"key": "gpu", "operator": "Exists", "value": "true"}, {"effect": "NoSchedule"}],
            "affinity": {
                "nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{"matchExpressions": []}]}
            },
        },
        "api": {
            "tolerations": [{"key": "gpu", "operator": "exists"}, {"key": "a", "tolerationSeconds": 5}],
            "topologySpreadConstraints": [spread, {**spread, "minDomains": 2}],
            "affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}},
        },
    }
    assert sorted(refusals(values)) == sorted(
        [
            (
                "server.tolerations[0].operator is Exists but server.tolerations[0].value is true: leave the value "
                "out, or the "
                "operator"
            ),
            (
                "server.tolerations[1] has no key, which tolerates every taint, but Kubernetes wants that said: add "
                "operator: "
                "Exists, or a key"
            ),
            (
                "server.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution is "
                '[{"matchExpressions":[]}] but Kubernetes takes a map there, of names and values: write it as one'
            ),
            (
                'api.tolerations[0].operator is "exists", which Kubernetes does not know there: write Exists, Equal, '
                "Gt "
                "or Lt"
            ),
            (
                "api.tolerations[1].tolerationSeconds is for the effect NoExecute alone: add effect: NoExecute, or "
                "leave the "
                "seconds out"
            ),
            (
                "api.topologySpreadConstraints[1] has the same topologyKey and whenUnsatisfiable as an item before "
                "it (zone, "
                "ScheduleAnyway): leave one of them out, or make them differ"
            ),
            (
                "api.topologySpreadConstraints[1].minDomains is for whenUnsatisfiable: DoNotSchedule alone: leave it "
                "out, or set "
                "whenUnsatisfiable"
            ),
            f"api.affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].topologyKey {NEEDED}",
            (
                "api.affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].labelSelector."
                "matchExpressions[0].operator is In but api.affinity.podAntiAffinity."
                "requiredDuringSchedulingIgnoredDuringExecution[0].labelSelector.matchExpressions[0].values is "
                "empty: name the "
                "values, or use Exists or DoesNotExist"
            ),
        ]
    )


def test_what_a_container_finds() -> None:
    values = {
        "server": {
            "extraEnv": [
                {"name": "A=B", "value": "c"},
                {"name": "BOTH", "value": "x", "valueFrom": {"secretKeyRef": {"name": "a", "key": "b"}}},
                {"name": "NO_KEY", "valueFrom": {"secretKeyRef": {"name": "a"}}},
                {"name": "NOTHING", "valueFrom": {}},
            ],
            "extraEnvFrom": [
                {},
                {"configMapRef": {"name": "a"}, "secretRef": {"name": "b"}},
                {"secretRef": {"name": "A_b"}},
            ],
            "extraVolumes": [
                {"name": "Cache", "emptyDir": {}},
                {"name": "two", "emptyDir": {}, "configMap": {"name": "x"}},
                {"name": "unnamed", "configMap": {}},
            ],
            "extraVolumeMounts": [{"name": "two", "mountPath": "", "subPath": "a", "subPathExpr": "b"}],
        },
        "api": {
            "extraContainers": [{"name": "side_car", "image": "", "ports": [{"containerPort": "80", "name": "UI"}]}],
            "hostAliases": [{"ip": "300.1.1.1", "hostnames": ["a_b"]}],
            "dnsConfig": {
                "nameservers": ["10.0.0.1", "10.0.0.2", "10.0.0.3", "fd00::1"],
                "options": [{"name": "ndots", "value": 2}],
            },
            "resourceClaims": [{"name": "gpu"}],
        },
    }
    assert sorted(refusals(values)) == sorted(
        [
            (
                'server.extraEnv[0].name is "A=B" but the name of a variable has no "=" and printable ASCII alone: '
                "correct it"
            ),
            "server.extraEnv[1] has value and valueFrom but Kubernetes takes one of them: leave the other out",
            f"server.extraEnv[2].valueFrom.secretKeyRef.key {NEEDED}",
            (
                "server.extraEnv[3].valueFrom has none of fieldRef, resourceFieldRef, configMapKeyRef, secretKeyRef, "
                "fileKeyRef "
                "but Kubernetes needs one of them: give it"
            ),
            "server.extraEnvFrom[0] has none of configMapRef, secretRef but Kubernetes needs one of them: give it",
            (
                "server.extraEnvFrom[1] has configMapRef and secretRef but Kubernetes takes one of them: leave the "
                "other "
                "out"
            ),
            f'server.extraEnvFrom[2].secretRef.name is "A_b" {OBJECT}',
            f'server.extraVolumes[0].name is "Cache" {PART}',
            "server.extraVolumes[1] has emptyDir and configMap but Kubernetes takes one of them: leave the other out",
            f"server.extraVolumes[2].configMap.name {NEEDED}",
            f"server.extraVolumeMounts[0].mountPath {NEEDED}",
            (
                "server.extraVolumeMounts[0] has subPath and subPathExpr but Kubernetes takes one of them: leave the "
                "other out"
            ),
            f'api.extraContainers[0].name is "side_car" {PART}',
            f"api.extraContainers[0].image {NEEDED}",
            (
                'api.extraContainers[0].ports[0].containerPort is "80" but Kubernetes takes a whole number from 1 to '
                "65535 there: "
                "leave the quotes out"
            ),
            (
                'api.extraContainers[0].ports[0].name is "UI" but the name of a port has small letters, digits and '
                '"-" alone, at '
                "most 15: correct it"
            ),
            'api.hostAliases[0].ip is "300.1.1.1" but it is an address: write for example 203.0.113.7 or 2001:db8::7',
            (
                'api.hostAliases[0].hostnames[0] is "a_b" but names of hosts have small letters, digits, "-" and ".": '
                "correct it"
            ),
            "api.dnsConfig.nameservers has 4 items but Kubernetes takes 3 at most: leave some out",
            "api.dnsConfig.options[0].value is 2 but Kubernetes takes text there: put it in quotes",
            (
                "api.resourceClaims[0] has none of resourceClaimName, resourceClaimTemplateName, source but "
                "Kubernetes needs "
                "one of them: "
                "give it"
            ),
        ]
    )


def test_who_pods_run_as() -> None:
    values = {
        "server": {"podSecurityContext": {"runAsUser": "1000", "fsGroupChangePolicy": "Never", "capabilities": {}}},
        "api": {"securityContext": {"fsGroup": 1000, "runAsNonRoot": "true", "capabilities": {"drop": "ALL"}}},
    }
    assert sorted(refusals(values)) == sorted(
        [
            (
                'server.podSecurityContext.runAsUser is "1000" but Kubernetes takes a whole number from 0 to '
                "2147483647 there: "
                "leave the quotes out"
            ),
            (
                'server.podSecurityContext.fsGroupChangePolicy is "Never", which Kubernetes does not know there: write '
                "OnRootMismatch or Always"
            ),
            "server.podSecurityContext.capabilities is not of podSecurityContext: put it into securityContext",
            "api.securityContext.fsGroup is not of securityContext: put it into podSecurityContext",
            (
                'api.securityContext.runAsNonRoot is "true" but Kubernetes takes true or false there: write one of '
                "them, without "
                "quotes"
            ),
            'api.securityContext.capabilities.drop is "ALL" but Kubernetes takes a list there: write it as one',
        ]
    )


def test_how_pods_are_scaled() -> None:
    metrics = [
        {
            "type": "External",
            "pods": {"metric": {"name": "x"}, "target": {"type": "AverageValue", "averageValue": "5"}},
        },
        {"type": "Resource", "resource": {"name": "memory", "target": {"type": "Utilization"}}},
    ]
    policy = {"type": "Pods", "value": 0, "periodSeconds": 3600}
    behavior = {"scaleUp": {"policies": [policy]}, "scaleDown": {"stabilizationWindowSeconds": 4000, "policies": []}}
    key = "server.autoscaling"
    assert sorted(refusals({"server": {"autoscaling": {"metrics": metrics, "behavior": behavior}}})) == sorted(
        [
            (
                f"{key}.metrics[0].type is External but {key}.metrics[0].external is not there: give it, or correct "
                f"the "
                f"type"
            ),
            (
                f"{key}.metrics[1].resource.target has none of averageUtilization, averageValue, value but "
                f"Kubernetes needs one of "
                "them: give it"
            ),
            (
                f"{key}.behavior.scaleUp.policies[0].value is 0 but Kubernetes takes a whole number from 1 to "
                f"2147483647 there: "
                "correct it"
            ),
            (
                f"{key}.behavior.scaleUp.policies[0].periodSeconds is 3600 but Kubernetes takes a whole number from "
                f"1 to 1800 "
                "there: correct it"
            ),
            (
                f"{key}.behavior.scaleDown.stabilizationWindowSeconds is 4000 but Kubernetes takes a whole number "
                f"from 0 to 3600 "
                "there: correct it"
            ),
            (
                f"{key}.behavior.scaleDown.policies is empty but Kubernetes takes 1 item or more there: add one, or "
                f"leave the key "
                "out"
            ),
        ]
    )


def test_who_reaches_pods_and_how() -> None:
    block = {"cidr": "10.0.0.0"}
    ports = [{"port": "8501", "protocol": "tcp"}, {"port": 8000, "endPort": 7000}]
    values = {
        "networkPolicy": {
            "server": {
                "ingress": [
                    {
                        "ports": ports,
                        "from": [{}, {"podSelector": {}, "ipBlock": {"cidr": "10.0.0.0/8"}}, {"ipBlock": block}],
                    }
                ]
            }
        },
        "api": {
            "service": {"type": "LoadBalancer", "loadBalancerSourceRanges": ["10.0.0.0/33"], "loadBalancerClass": "a b"}
        },
        "ingress": {
            "enabled": True,
            "hosts": [
                "Digits.example.com",
                "10.0.0.1",
                {"host": "a.com", "paths": [{"path": "/a/../b", "pathType": "Exact"}]},
            ],
        },
    }
    host = (
        "but it is a host: write for example digits.example.com or *.example.com, in small letters, without https:// "
        "and "
        "without a port"
    )
    rule = "networkPolicy.server.ingress[0]"
    cidr = "but it is a range of addresses: write for example 203.0.113.0/24, for one address 203.0.113.7/32"
    assert sorted(refusals(values)) == sorted(
        [
            (
                f'{rule}.ports[0].port is "8501" but it is a port: write a number from 1 to 65535 without quotes, or '
                f"the name of a "
                "port"
            ),
            f'{rule}.ports[0].protocol is "tcp", which Kubernetes does not know there: write TCP, UDP or SCTP',
            f"{rule}.ports[1].endPort is 7000, which is before {rule}.ports[1].port (8000): exchange them",
            f"{rule}.from[0] names nobody: give podSelector, namespaceSelector ({{}} for all of them) or ipBlock",
            f"{rule}.from[1] has ipBlock beside a selector but Kubernetes takes one of them: make two items of it",
            f'{rule}.from[2].ipBlock.cidr is "10.0.0.0" {cidr}',
            f'api.service.loadBalancerSourceRanges[0] is "10.0.0.0/33" {cidr}',
            f'api.service.loadBalancerClass is "a b" {OWN_NAME.format(" of small letters")}',
            f'ingress.hosts[0] is "Digits.example.com" {host}',
            f'ingress.hosts[1] is "10.0.0.1" {host}',
            (
                "ingress.hosts[2].paths[0].path is /a/../b but Kubernetes takes a path without //, /./, /../ and %2F "
                "there: write it "
                "shorter"
            ),
        ]
    )


def test_routes_that_lead_nowhere() -> None:
    route = {
        "enabled": True,
        "parentRefs": [{"name": "public"}, {"name": "public"}, {"name": "public", "sectionName": "https"}],
        "matches": [{"path": {"value": "predict"}}, {"path": {"type": "Prefix", "value": "/"}}],
        "filters": [{"type": "RequestRedirect", "requestRedirect": {"scheme": "https"}}, {"type": "URLRewrite"}],
        "hostnames": ["a.example.com:80"],
    }
    (again, *sentences) = refusals({"httpRoute": route})
    assert again == (
        "httpRoute.filters[0].type is RequestRedirect, which answers in place of the api, and a route has one or the "
        "other: "
        "leave it out, and make a route of its own for it (extraObjects)"
    )
    assert sentences[0] == (
        "httpRoute.filters[1].type is URLRewrite but httpRoute.filters[1].urlRewrite is not there: give it, or "
        "correct the "
        "type"
    )
    assert sentences[1].startswith('httpRoute.hostnames[0] is "a.example.com:80" but it is a host')
    assert sentences[2:] == [
        "httpRoute.matches[0].path.value is predict but paths of requests start with /: write /predict",
        (
            'httpRoute.matches[1].path.type is "Prefix", which Kubernetes does not know there: write Exact, '
            "PathPrefix or "
            "RegularExpression"
        ),
        (
            "httpRoute.parentRefs[1] has the same namespace and name and sectionName and port as an item before it (, "
            "public, "
            ", ): leave one of them out, or make them differ"
        ),
    ]


def test_null_where_something_has_to_be() -> None:
    terms = {"nodeSelectorTerms": [None]}
    values = {
        "server": {
            "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}},
            "hostAliases": [{"ip": None}],
            "extraContainers": [{"name": "side", "image": "a", "ports": [{"containerPort": None}]}],
            "extraVolumes": [{"name": "a", "emptyDir": "1Gi"}],
        },
        "api": {
            "autoscaling": {"metrics": [{"type": None}], "behavior": {"scaleUp": {"policies": [None]}}},
            "service": {"type": "LoadBalancer", "loadBalancerSourceRanges": [""]},
        },
        "networkPolicy": {"server": {"ingress": [{"from": [{"ipBlock": None}]}]}},
    }
    nothing = "which is nothing: leave it out, or give what is meant"
    assert sorted(refusals(values)) == sorted(
        [
            (
                "server.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0] is "
                "null, "
                f"{nothing}"
            ),
            f"server.hostAliases[0].ip {NEEDED}",
            f"server.extraContainers[0].ports[0].containerPort {NEEDED}",
            (
                'server.extraVolumes[0].emptyDir is "1Gi" but Kubernetes takes a map there, of names and values: '
                "write it as "
                "one"
            ),
            f"api.autoscaling.metrics[0].type {NEEDED}",
            f"api.autoscaling.behavior.scaleUp.policies[0] is null, {nothing}",
            f'api.service.loadBalancerSourceRanges[0] is "", {nothing}',
            (
                "networkPolicy.server.ingress[0].from[0] names nobody: give podSelector, namespaceSelector ({} for "
                "all of "
                "them) or "
                "ipBlock"
            ),
        ]
    )


def test_what_is_off_is_not_looked_at() -> None:
    off = {"enabled": False}
    values = {
        "commonLabels": {},
        "tensorboard": {**off, "nodeSelector": {"a b": "c"}},
        "ingress": {**off, "hosts": ["A.com"]},
        "server": {"autoscaling": {**off, "behavior": {"scaleUp": {"policies": []}}}},
        "networkPolicy": {**off, "server": {"ingress": [{"from": [{}]}]}},
    }
    assert refusals(values) == []


@pytest.mark.parametrize("component", ["server", "api"])
def test_what_kubernetes_takes_is_taken(component: str) -> None:
    claim = {"volumeClaimTemplate": {"spec": {"accessModes": ["ReadWriteOnce"]}}}
    values: dict[str, Any] = {
        "tolerations": [
            {"operator": "Exists"},
            {"key": "gpu"},
            {"key": "a", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 0},
        ],
        "podAnnotations": {"Example.com/A.b_c": "any text: {{ at all }}"},
        "podLabels": {"example.com/team": ""},
        "extraEnv": [
            {"name": "a.b-c d", "value": ""},
            {"name": "EMPTY"},
            {"name": "FROM", "valueFrom": {"secretKeyRef": {"name": "a.b", "key": "c_D", "optional": True}}},
        ],
        "extraEnvFrom": [{"prefix": "A_", "secretRef": {"name": "a", "optional": True}}],
        "extraVolumes": [
            {"name": "none"},
            {"name": "bytes", "emptyDir": {"sizeLimit": 1000000}},
            {"name": "claim", "ephemeral": claim},
            {"name": "newer", "somethingNew": {"a": 1}},
        ],
        "hostAliases": [{"ip": "::1", "hostnames": ["a", "b.c"]}, {"ip": "10.0.0.1"}],
        "dnsConfig": {"nameservers": ["2001:db8::53"], "searches": ["_tcp.example.com.", "."]},
        "securityContext": {"seLinuxOptions": {"level": "s0:c1,c2"}, "runAsUser": 1000660000},
    }
    peers = [{"namespaceSelector": {}}, {"ipBlock": {"cidr": "2001:db8::/64", "except": ["2001:db8::/96"]}}]
    rule = {"from": peers, "ports": [{"port": "rest"}, {"port": 1, "endPort": 2}]}
    assert refusals({component: values, "networkPolicy": {"server": {"ingress": [rule]}}}) == []


@pytest.mark.parametrize("case", CASES)
def test_cases_are_of_the_shapes(case: str) -> None:
    values = copy.deepcopy(yaml.safe_load(CASES[case].read_text(encoding="utf-8")) or {})
    assert refusals(values) == []
