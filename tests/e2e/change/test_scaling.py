"""Pods that come and go with the load, and who decides about their number."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e import traffic
from tests.e2e.change import serving
from tests.e2e.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.digits import Digits
    from tests.e2e.release import Release
    from tests.e2e.traffic import Questions, Traffic

METRIC_TIMEOUT_SECONDS = 120
SCALE_TIMEOUT_SECONDS = 180
# As fast as they may be asked for here: half a minute before pods come is the chart's own default.
BEHAVIOR = {
    "scaleDown": {"stabilizationWindowSeconds": 15, "policies": [{"type": "Pods", "value": 2, "periodSeconds": 15}]}
}
REST_PORT = 8501
METRICS = "monitoring/prometheus/metrics"
CALLS = re.compile(r"^:tensorflow:serving:request_count\{[^}]*\} (\S+)$", re.MULTILINE)


def values(target_percent: int) -> dict[str, Any]:
    """Return values of one to three servers, whose CPU request is so small that a start would be load if it counted."""
    autoscaling = {
        "enabled": True,
        "maxReplicas": 3,
        "targetCPUUtilizationPercentage": target_percent,
        "behavior": BEHAVIOR,
    }
    server = {"replicaCount": 1, "autoscaling": autoscaling, "resources": {"requests": {"cpu": "50m"}}}
    return serving.values({"server": server})


@pytest.fixture(scope="module")
def scaled(release: Release) -> Release:
    """Return a release whose servers are scaled by their load."""
    release.upgrade(values(80))
    return release


@pytest.fixture(scope="module")
def asked(scaled: Release, digits: Digits) -> Questions:
    """Return what the clients ask: the api alone, whose calls are counted at the servers."""
    return serving.by_api(scaled, digits)


def heavy(questions: Questions) -> Questions:
    """Return requests of 32 digits each, and nothing else."""
    rows = [json.loads(body)["input"] for body, _ in questions.predict]
    return traffic.Questions(questions.model, [(json.dumps({"inputs": (rows * 2)[:32]}), None)])


def rescales(release: Release) -> list[str]:
    """Return what the server's autoscaler has done."""
    events = release.core.list_namespaced_event(release.namespace).items
    name = release.named("server")
    return [
        event.message for event in events if event.reason == "SuccessfulRescale" and event.involved_object.name == name
    ]


def utilization(release: Release) -> int | None:
    """Return the share of its CPU request that the autoscaler sees the server use, None while it sees none."""
    hpa = release.autoscaling.read_namespaced_horizontal_pod_autoscaler(release.named("server"), release.namespace)
    for metric in hpa.status.current_metrics or ():
        if metric.resource is not None and metric.resource.current.average_utilization is not None:
            return int(metric.resource.current.average_utilization)
    return None


def calls(release: Release) -> dict[str, float]:
    """Return how many calls each server has answered."""
    pods = [pod.metadata.name for pod in release.pods("server")]
    return {
        pod: sum(
            map(
                float,
                CALLS.findall(
                    release.core.connect_get_namespaced_pod_proxy_with_path(
                        f"{pod}:{REST_PORT}", release.namespace, METRICS
                    )
                ),
            )
        )
        for pod in pods
    }


def shares(release: Release, seen: Traffic, name: str, seconds: float) -> list[float]:
    """Return each server's share of the calls while traffic goes on for so long."""
    before = calls(release)
    seen.watch(name, seconds).assert_faultless()
    made = {pod: count - before[pod] for pod, count in calls(release).items()}
    return [count / sum(made.values()) for count in made.values()]


def test_start_of_a_server_is_not_taken_for_load(scaled: Release) -> None:
    wait_for(lambda: utilization(scaled) is not None, "the autoscaler sees the server", METRIC_TIMEOUT_SECONDS)
    assert not rescales(scaled)
    assert len(scaled.pods("server")) == 1


@pytest.fixture
def restored(scaled: Release) -> Iterator[None]:
    """Leave the autoscaler as it was found."""
    yield
    scaled.upgrade(values(80))


@pytest.mark.usefixtures("restored")
def test_load_takes_servers_from_one_to_three_and_back(scaled: Release, asked: Questions) -> None:
    with traffic.steady(scaled, asked) as seen:
        with traffic.steady(scaled, heavy(asked)), seen.window("1 to 3 servers by load") as up:
            # What this machine's load is of a processor depends on the machine: a target that it is far above.
            used = wait_for(lambda: utilization(scaled), "the load is seen", METRIC_TIMEOUT_SECONDS)
            scaled.upgrade(values(max(5, used // 4)))
            scaled.wait_for_endpoints("server", 3, SCALE_TIMEOUT_SECONDS)
            scaled.upgrade(serving.merged(values(max(5, used // 4)), {"server": {"podLabels": {"changed": "yes"}}}))
            scaled.wait_for_rollout("server")
            assert len(scaled.endpoints("server")) == 3, "an upgrade keeps what the autoscaler has set"
        up.assert_faultless()
        spread = shares(scaled, seen, "three servers by turns", 10)
        assert len(spread) == 3
        assert all(abs(share - 1 / 3) <= 0.15 / 3 for share in spread), spread
        with seen.window("3 to 1 servers") as down:
            scaled.upgrade(values(1000))
            scaled.wait_for_endpoints("server", 1, SCALE_TIMEOUT_SECONDS)
        down.assert_faultless()


def test_outside_scaler_is_left_alone(release: Release, digits: Digits) -> None:
    other = release.beside("outside")
    unsaid = serving.values({name: {"replicaCount": None} for name in ("server", "api")})
    other.upgrade(unsaid)
    with traffic.steady(other, serving.by_api(other, digits)) as seen:
        with seen.window("scaled from outside, upgraded") as window:
            for component in ("server", "api"):
                other.kubectl("scale", f"deployment/{other.named(component)}", "--replicas=3")
                other.wait_for_endpoints(component, 3)
            other.upgrade(serving.merged(unsaid, {"api": {"podLabels": {"changed": "yes"}}}))
            serving.ready(other)
            assert [len(other.endpoints(component)) for component in ("server", "api")] == [3, 3]
        window.assert_faultless()
        spread = shares(other, seen, "three servers by turns", 10)
        assert all(abs(share - 1 / 3) <= 0.15 / 3 for share in spread), spread
    other.helm("uninstall", other.name, "--wait", "--timeout=120s")
