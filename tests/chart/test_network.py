"""Services, the ways in from outside, and who may talk to whom."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.chart.rendering import COMPONENT, at, name_of, refusals, render, render_case

if TYPE_CHECKING:
    from tests.chart.rendering import Rendered


def service(rendered: Rendered, suffix: str) -> dict[str, Any]:
    """Return the Service whose name ends so."""
    found: dict[str, Any] = next(
        item for item in rendered.of_kind("Service") if at(item, "metadata.name").endswith(suffix)
    )
    return found


def ports(item: dict[str, Any]) -> list[tuple[str, int, str]]:
    """Return name, port and target of a Service's ports."""
    return [(port["name"], port["port"], port["targetPort"]) for port in at(item, "spec.ports")]


def test_services_are_inside_the_cluster_by_default(default: Rendered) -> None:
    assert ports(service(default, "-api")) == [("http", 8080, "http")]
    assert ports(service(default, "-server")) == [("grpc", 8500, "grpc"), ("rest", 8501, "rest")]
    for item in default.of_kind("Service"):
        assert item["spec"].get("type", "ClusterIP") == "ClusterIP", name_of(item)


def test_targets_are_ports_of_the_pods(rendered: Rendered) -> None:
    for item in rendered.of_kind("Service"):
        container = rendered.container(at(item, "metadata.labels")[COMPONENT])
        names = {port["name"] for port in container["ports"]}
        assert {target for _, _, target in ports(item)} <= names, name_of(item)


def test_headless_service_names_ready_pods_whatever_the_ports(everything: Rendered) -> None:
    headless = service(everything, "-server-headless")
    assert at(headless, "spec.clusterIP") == "None"
    assert "publishNotReadyAddresses" not in at(headless, "spec")
    assert ports(headless) == [("grpc", 8500, "grpc")]


def test_services_take_their_own_values(everything: Rendered) -> None:
    server, api = service(everything, "-server"), service(everything, "-api")
    assert (at(server, "spec.type"), at(api, "spec.type")) == ("NodePort", "LoadBalancer")
    assert [(port["port"], port["nodePort"]) for port in at(server, "spec.ports")] == [(18500, 30500), (18501, 30501)]
    assert [(port["port"], port["nodePort"]) for port in at(api, "spec.ports")] == [(18080, 30080)]
    assert at(server, "metadata.annotations")["example.com/service"] == "server"
    assert at(api, "metadata.annotations")["example.com/service"] == "api"


def test_nothing_is_open_to_the_outside_by_default(default: Rendered) -> None:
    assert default.of_kind("Ingress", "HTTPRoute") == []


def test_ingress_leads_to_the_api(everything: Rendered) -> None:
    backend = {"service": {"name": "clothes-api", "port": {"name": "http"}}}
    ingress = everything.one("Ingress")
    assert at(ingress, "spec") == {
        "ingressClassName": "nginx",
        "tls": [{"hosts": ["clothes.example.com"], "secretName": "clothes-tls"}],
        "rules": [
            {
                "host": "clothes.example.com",
                "http": {"paths": [{"path": "/predict", "pathType": "Exact", "backend": backend}]},
            },
            {"host": "all.example.com", "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}},
            {"http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}},
        ],
    }
    assert at(ingress, "metadata.annotations")["example.com/ingress"] == "api"


def test_route_leads_to_the_api(everything: Rendered) -> None:
    route = everything.one("HTTPRoute")
    assert route["apiVersion"] == "gateway.networking.k8s.io/v1"
    assert at(route, "spec") == {
        "parentRefs": [{"name": "public", "namespace": "gateways"}],
        "hostnames": ["route.example.com"],
        "rules": [
            {
                "backendRefs": [{"name": "clothes-api", "port": 18080}],
                "matches": [{"path": {"type": "PathPrefix", "value": "/predict"}}],
                "filters": [{"type": "RequestHeaderModifier", "requestHeaderModifier": {"remove": ["x-debug"]}}],
            }
        ],
    }


DNS = {"ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]}
BOTH = {"policyTypes": ["Ingress", "Egress"]}


def tcp(port: int) -> list[dict[str, Any]]:
    """Return what a rule calls a port; without the protocol a second manager of the policy would meet a conflict."""
    return [{"port": port, "protocol": "TCP"}]


def pods(rendered: Rendered, component: str) -> list[dict[str, Any]]:
    """Return what a rule calls the pods of one of the release's components."""
    labels = at(rendered.workload("api"), "spec.selector.matchLabels")
    return [{"podSelector": {"matchLabels": {**labels, COMPONENT: component}}}]


def policies(rendered: Rendered) -> dict[str, dict[str, Any]]:
    """Return what each component's policy says but for whom, by component."""
    return {
        at(item, "metadata.labels")[COMPONENT]: {k: v for k, v in item["spec"].items() if k != "podSelector"}
        for item in rendered.of_kind("NetworkPolicy")
    }


def test_only_the_release_reaches_the_server_by_default(default: Rendered) -> None:
    assert policies(default) == {
        "training": {"policyTypes": ["Ingress"]},
        "server": {
            "policyTypes": ["Ingress"],
            "ingress": [
                {"from": pods(default, "api"), "ports": tcp(8500)},
                {"from": pods(default, "training"), "ports": tcp(8501)},
            ],
        },
    }


def test_policies_are_for_the_pods_of_their_component(rendered: Rendered) -> None:
    for item in rendered.of_kind("NetworkPolicy"):
        component = at(item, "metadata.labels")[COMPONENT]
        [selected] = pods(rendered, component)
        assert at(item, "spec.podSelector") == selected["podSelector"], name_of(item)
        labels = at(rendered.workload(component), "spec.template.metadata.labels")
        assert selected["podSelector"]["matchLabels"].items() <= labels.items(), name_of(item)


def test_policies_allow_what_is_needed_and_nothing_else() -> None:
    rendered = render({"networkPolicy": {"training": BOTH, "server": BOTH, "api": BOTH}})
    asked = tcp(8501)
    assert policies(rendered) == {
        "training": {**BOTH, "egress": [DNS, {"to": pods(rendered, "server"), "ports": asked}]},
        "server": {
            **BOTH,
            "ingress": [
                {"from": pods(rendered, "api"), "ports": tcp(8500)},
                {"from": pods(rendered, "training"), "ports": asked},
            ],
        },
        "api": {
            **BOTH,
            "ingress": [{"from": pods(rendered, "test"), "ports": tcp(8080)}, {"ports": tcp(8080)}],
            "egress": [{"to": pods(rendered, "server"), "ports": tcp(8500)}, DNS],
        },
    }


def test_values_add_rules_to_their_own_component_and_direction(
    everything: Rendered, everything_values: dict[str, Any]
) -> None:
    found = policies(everything)
    assert sorted(found) == ["api", "server", "tensorboard", "training"]
    for component, policy in found.items():
        given = everything_values["networkPolicy"][component]
        assert policy["policyTypes"] == given["policyTypes"], component
        for direction in ("ingress", "egress"):
            [given_rule] = given[direction]
            rule = {**given_rule, "ports": tcp(given_rule["ports"][0]["port"])}
            assert policy[direction].count(rule) == 1, (component, direction)


def test_naming_who_calls_the_api_leaves_nobody_else_but_the_test() -> None:
    rule = {"from": [{"namespaceSelector": {}}], "ports": tcp(8080)}
    rendered = render({"networkPolicy": {"api": {"policyTypes": ["Ingress"], "ingress": [rule]}}})
    assert policies(rendered)["api"]["ingress"] == [
        {"from": pods(rendered, "test"), "ports": tcp(8080)},
        rule,
    ]
    test_pod = rendered.one("Pod", "test")
    [tested] = pods(rendered, "test")
    assert tested["podSelector"]["matchLabels"].items() <= at(test_pod, "metadata.labels").items()


def test_server_may_fetch_a_model_and_nothing_else() -> None:
    assert policies(render_case("https-model"))["server"]["egress"] == [DNS, {"ports": tcp(8443)}]


def test_training_may_fetch_its_data() -> None:
    assert {"ports": tcp(8443)} in policies(render_case("https-data"))["training"]["egress"]


@pytest.mark.parametrize("off", [{"enabled": False}, {"enabled": None}, None])
def test_no_policies_where_they_are_off(off: dict[str, Any] | None) -> None:
    assert render({"networkPolicy": off}).of_kind("NetworkPolicy") == []


@pytest.mark.parametrize("component", ["training", "server", "api", "tensorboard"])
@pytest.mark.parametrize("key", ["", "policyTypes", "ingress", "egress"])
def test_null_means_nothing_bounded_or_added(component: str, key: str) -> None:
    given: dict[str, Any] | None = {**BOTH, key: None} if key else None
    rendered = render({"tensorboard": {"enabled": True}, "networkPolicy": {component: given}})
    assert (component in policies(rendered)) is (key in {"ingress", "egress"})


@pytest.mark.parametrize("service_type", ["NodePort", "LoadBalancer"])
def test_server_that_is_seen_outside_says_who_may_call(service_type: str) -> None:
    values: dict[str, Any] = {"server": {"service": {"type": service_type}}}
    sentence = (
        f"server.service.type is {service_type} but the server's NetworkPolicy lets only the release's own pods reach "
        "it: name who may call in networkPolicy.server.ingress, for example [{ports: [{port: 8500}]}] for everybody, "
        "or set networkPolicy.server.policyTypes=[]"
    )
    assert refusals(values) == [sentence]
    ways_out: list[dict[str, Any]] = [{"ingress": [{"ports": tcp(8500)}]}, {"policyTypes": []}]
    for way_out in ways_out:
        assert render({**values, "networkPolicy": {"server": way_out}})


def test_rules_of_a_direction_that_is_not_bounded_are_refused() -> None:
    rule: dict[str, Any] = {"from": [{"namespaceSelector": {}}]}
    told = refusals({"networkPolicy": {"api": {"ingress": [rule]}, "server": {"egress": [{}]}}})
    assert (
        "networkPolicy.api.ingress has rules but networkPolicy.api.policyTypes does not name Ingress, so that "
        "everything is allowed: set networkPolicy.api.policyTypes={Ingress}"
    ) in told
    assert (
        "networkPolicy.server.egress has rules but networkPolicy.server.policyTypes does not name Egress, so that "
        "everything is allowed: set networkPolicy.server.policyTypes={Ingress,Egress}"
    ) in told
