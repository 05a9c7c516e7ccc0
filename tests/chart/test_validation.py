"""Combinations that cannot work are refused at render time, with the keys and the way out."""

from __future__ import annotations

from typing import Any

import pytest

from tests.chart.conftest import RefusedError, render

SPREAD = [{"maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "DoNotSchedule"}]


@pytest.mark.parametrize(
    ("values", "named"),
    [
        pytest.param({"server": {"replicaCount": 4}}, "raise maxReplicas", id="more-than-most"),
        pytest.param({"api": {"replicaCount": 0}}, "autoscaling.enabled=false", id="none-with-hpa"),
        pytest.param({"server": {"resources": {"requests": {"cpu": None}}}}, "requests.cpu", id="hpa-without-request"),
        pytest.param({"server": {"topologySpreadConstraints": SPREAD}}, "ReadWriteMany", id="spread-on-one-node"),
        pytest.param({"modelStore": {"pvc": {"accessModes": ["ReadWriteOncePod"]}}}, "ReadWriteOnce", id="one-pod"),
        pytest.param({"modelStore": {"pvc": {"accessModes": ["ReadOnlyMany"]}}}, "training.enabled", id="read-only"),
        pytest.param({"server": {"terminationGracePeriodSeconds": 5}}, "grace period", id="no-time-to-stop"),
        pytest.param({"ingress": {"enabled": True}}, "ingress.hosts", id="ingress-without-host"),
        pytest.param({"httpRoute": {"enabled": True}}, "parentRefs", id="route-without-gateway"),
    ],
)
def test_combination_is_refused_with_the_way_out(values: dict[str, Any], named: str) -> None:
    with pytest.raises(RefusedError, match=named):
        render(values)


def test_all_problems_are_told_at_once() -> None:
    with pytest.raises(RefusedError) as refused:
        render({"server": {"replicaCount": 4}, "ingress": {"enabled": True}})
    assert "maxReplicas" in str(refused.value)
    assert "ingress.hosts" in str(refused.value)


def test_spread_is_fine_with_a_volume_many_nodes_can_mount() -> None:
    render({"server": {"topologySpreadConstraints": SPREAD}, "modelStore": {"pvc": {"accessModes": ["ReadWriteMany"]}}})
