"""Services, the ways in from outside, and who may talk to whom."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.chart.rendering import COMPONENT, at, name_of, render, render_case

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
    assert default.of_kind("Ingress", "HTTPRoute", "NetworkPolicy") == []


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


def test_policies_allow_what_is_needed_and_nothing_else() -> None:
    rendered = render({"networkPolicy": {"enabled": True}})
    allowed = {
        at(item, "metadata.labels")[COMPONENT]: (item["spec"].get("ingress", []), item["spec"].get("egress", []))
        for item in rendered.of_kind("NetworkPolicy")
    }

    def pods(component: str) -> list[dict[str, Any]]:
        return [{"podSelector": at(rendered.workload(component), "spec.selector")}]

    dns = {"ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]}
    training = [
        {"podSelector": {"matchLabels": {**pods("api")[0]["podSelector"]["matchLabels"], COMPONENT: "training"}}}
    ]
    names = {"ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]}
    asked = [{"port": 8501}]
    assert allowed == {
        "training": ([], [names, {"to": pods("server"), "ports": asked}]),
        "server": (
            [{"from": pods("api"), "ports": [{"port": 8500}]}, {"from": training, "ports": asked}],
            [],
        ),
        "api": ([{"ports": [{"port": 8080}]}], [{"to": pods("server"), "ports": [{"port": 8500}]}, dns]),
    }


def test_server_may_fetch_a_model_and_nothing_else() -> None:
    policy = next(
        item
        for item in render_case("https-model").of_kind("NetworkPolicy")
        if at(item, "metadata.name").endswith("-server")
    )
    dns = [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]
    assert at(policy, "spec.egress") == [{"ports": [{"port": 8443}, *dns]}]


@pytest.mark.parametrize("case", ["everything", "https-model"])
def test_policies_say_both_directions(case: str) -> None:
    for item in render_case(case).of_kind("NetworkPolicy"):
        assert at(item, "spec.policyTypes") == ["Ingress", "Egress"], name_of(item)
