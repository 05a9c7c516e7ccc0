"""Pods and processes that go without being asked: what is lost is what was under way on their own connections."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.e2e import node_work
from tests.e2e.change import serving
from tests.e2e.departures import Departures

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.release import Release
    from tests.e2e.traffic import Traffic


@pytest.fixture(scope="module")
def node(served: Release) -> Iterator[str]:
    """Yield the namespace of a pod on the node that the release's pods run on."""
    with node_work.on_node(served, served.pods("server")[0].spec.node_name) as namespace:
        yield namespace


@pytest.fixture(autouse=True)
def whole(served: Release) -> Iterator[None]:
    """Leave the release with two pods of each that answer."""
    yield
    serving.ready(served)
    for component in ("server", "api"):
        served.wait_for_endpoints(component, 2)


@pytest.mark.parametrize("component", ["server", "api"])
def test_deleted_pod_loses_nothing(served: Release, seen: Traffic, component: str) -> None:
    with Departures(served) as departures, seen.window(f"pod of {component} deleted") as window:
        served.core.delete_namespaced_pod(served.pods(component)[0].metadata.name, served.namespace)
        serving.ready(served)
    window.assert_faultless()
    departures.assert_in_time()


def test_killed_server_among_two_loses_no_request_of_the_api(served: Release, seen: Traffic, node: str) -> None:
    with seen.window("server killed, one of two") as window:
        pod = served.pods("server")[0]
        node_work.kill(served, node, pod, "server")
        node_work.wait_for_restart(served, pod, "server")
        served.wait_for_endpoints("server", 2)
    by_api = [answer for answer in window.errors if not answer.client.startswith("grpc")]
    assert not by_api, by_api[:5]
    # Who asks the server without the api has to try again: what was under way is lost with the connection.
    assert {answer.client for answer in window.errors} <= {"grpc, service", "grpc, headless"}


def test_killed_api_loses_the_requests_on_its_own_connections(served: Release, seen: Traffic, node: str) -> None:
    with seen.window("api killed, one of two") as window:
        pod = served.pods("api")[0]
        node_work.kill(served, node, pod, "api")
        seen.watch("after that", 5)
    # Its first process holds the port, so that Kubernetes need not notice.
    assert [one.status.container_statuses[0].restart_count for one in served.pods("api")] == [0, 0]
    lost = [(answer.client, round(answer.started - window.since, 2), answer.problem) for answer in window.errors]
    # Each client has one connection.
    assert len(lost) == len({client for client, *_ in lost}), lost


def test_last_server_gone_and_back_is_told_to_come_back(served: Release, seen: Traffic, node: str) -> None:
    with seen.window("both servers killed") as window:
        pods = served.pods("server")
        for pod in pods:
            node_work.kill(served, node, pod, "server")
        for pod in pods:
            node_work.wait_for_restart(served, pod, "server")
        served.wait_for_endpoints("server", 2)
    by_api = [answer for answer in window.errors if not answer.client.startswith("grpc")]
    assert by_api, "the servers were not missed"
    told = {(answer.status, bool(answer.retry_after)) for answer in by_api}
    assert told == {(503, True)}, [answer for answer in by_api if answer.status != 503][:5]
    after = seen.watch("after that", 3)
    assert not [answer for answer in after.errors if not answer.client.startswith("grpc")]
