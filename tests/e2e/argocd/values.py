"""Values of releases under Argo CD: a program that trains in seconds, and HPAs, as by default."""

from __future__ import annotations

from typing import Any

from tests.e2e import quick

SCALED = {"autoscaling": {"enabled": True, "maxReplicas": 2}}


def values(params: dict[str, Any] | None = None, **training: Any) -> dict[str, Any]:
    """Return values that train quick.py with these parameters, both components under their HPA."""
    base = quick.values(params, **training)
    return {**base, "server": {**base["server"], **SCALED}, "api": {**base["api"], **SCALED}}


def busy(given: dict[str, Any]) -> dict[str, Any]:
    """Return the values with an api of which the autoscaler thinks that it has too much to do, whatever it does."""
    scaling = {
        **SCALED["autoscaling"],
        "targetCPUUtilizationPercentage": 1,
        "behavior": {"scaleUp": {"stabilizationWindowSeconds": 0}},
    }
    return {**given, "api": {**given["api"], "autoscaling": scaling, "resources": {"requests": {"cpu": "5m"}}}}
