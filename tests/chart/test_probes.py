"""Probes that know whether the model is there, and pods that leave without losing a request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.chart.rendering import SERVING, environment, name_of, pod_spec, render

if TYPE_CHECKING:
    from tests.chart.rendering import Rendered

PROBES = ("startupProbe", "readinessProbe", "livenessProbe")


def test_server_is_ready_only_with_a_loaded_model(rendered: Rendered) -> None:
    container = rendered.container("server")
    name = environment(rendered.container("server", "loader"))["MODEL_NAME"]
    for probe in ("startupProbe", "readinessProbe"):
        assert container[probe]["httpGet"] == {"path": f"/v1/models/{name}/metadata", "port": "rest"}


def test_server_is_alive_while_grpc_answers(rendered: Rendered) -> None:
    container = rendered.container("server")
    # Probes speak no TLS: there the port must do.
    has_tls = any(argument.startswith("--ssl_config_file=") for argument in container["args"])
    action = {"tcpSocket": {"port": "grpc"}} if has_tls else {"grpc": {"port": 8500}}
    assert container["livenessProbe"].items() >= action.items()
    assert ("--enable_grpc_healthcheck_service=true" in container["args"]) is not has_tls


def test_api_is_ready_only_while_a_server_serves(rendered: Rendered) -> None:
    container = rendered.container("api")
    assert container["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "http"}
    for probe in ("startupProbe", "livenessProbe"):
        assert container[probe]["httpGet"] == {"path": "/livez", "port": "http"}


def test_probed_ports_are_ports_of_the_container(rendered: Rendered) -> None:
    for component in SERVING:
        container = rendered.container(component)
        ports = {port[key] for port in container["ports"] for key in ("name", "containerPort")}
        for probe in PROBES:
            action = next(
                container[probe][kind] for kind in ("httpGet", "tcpSocket", "grpc") if kind in container[probe]
            )
            assert action["port"] in ports, f"{component}.{probe}"


@pytest.mark.parametrize("component", SERVING)
@pytest.mark.parametrize("probe", PROBES)
def test_timings_come_from_values(
    everything: Rendered, everything_values: dict[str, Any], component: str, probe: str
) -> None:
    assert everything.container(component)[probe].items() >= everything_values[component][probe].items()


@pytest.mark.parametrize(("component", "seconds", "grace"), [("server", 13, 33), ("api", 14, 34)])
def test_stopping_pod_answers_until_the_cluster_knows(
    everything: Rendered, component: str, seconds: int, grace: int
) -> None:
    assert everything.container(component)["lifecycle"] == {"preStop": {"sleep": {"seconds": seconds}}}
    assert pod_spec(everything.workload(component))["terminationGracePeriodSeconds"] == grace


def test_old_servers_answer_until_the_api_pods_of_a_new_model_name_are_ready(default: Rendered) -> None:
    # Names are cached for 5 seconds, looked up every 2, and the new api pods are asked in turns.
    seconds = 5 + 2 + 2 * default.container("api")["readinessProbe"]["periodSeconds"]
    assert default.container("server")["lifecycle"]["preStop"]["sleep"]["seconds"] >= seconds


@pytest.mark.parametrize("component", SERVING)
def test_no_sleep_renders_no_hook(component: str) -> None:
    assert "lifecycle" not in render({component: {"preStopSleepSeconds": 0}}).container(component)


def test_grace_period_leaves_time_after_the_sleep(rendered: Rendered) -> None:
    for component in SERVING:
        workload = rendered.workload(component)
        sleep = rendered.container(component).get("lifecycle", {"preStop": {"sleep": {"seconds": 0}}})
        grace = pod_spec(workload)["terminationGracePeriodSeconds"]
        assert grace > sleep["preStop"]["sleep"]["seconds"], name_of(workload)
