"""A release of MNIST with two pods of each, quickly trained, and the digits its models are sure of."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

import numpy as np

from tests.e2e import clients, traffic
from tests.e2e.digits import Digits
from tests.e2e.release import SERVER_GRPC_PORT

if TYPE_CHECKING:
    from tests.e2e.release import Release

# Models of other seeds are sure of these digits, too.
LEAST_PROBABILITY = 0.97
# Big steps of big batches: seconds, and 0.95 right.
PARAMS = {"epochs": 1, "batch_size": 256}
FIXED = {"autoscaling": {"enabled": False}}


def values(over: dict[str, Any] | None = None, *, seed: int = 1) -> dict[str, Any]:
    """Return values of two pods each and a port on the nodes, with others laid over them."""
    base: dict[str, Any] = {
        "training": {
            "params": {**PARAMS, "seed": seed},
            "resources": {"requests": {"cpu": "50m", "memory": "256Mi"}, "limits": {"memory": "2Gi"}},
        },
        "server": {**FIXED, "replicaCount": 2, "resources": {"requests": {"cpu": "50m", "memory": "256Mi"}}},
        "api": {**FIXED, "replicaCount": 2, "service": {"type": "NodePort"}},
        # Clients of the server itself.
        "networkPolicy": {
            "server": {"ingress": [{"from": [{"podSelector": {}}], "ports": [{"port": SERVER_GRPC_PORT}]}]}
        },
    }
    return merged(base, over or {})


def merged(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Return values with others laid over them, as helm does."""
    result = dict(base)
    for key, value in over.items():
        is_map = isinstance(value, dict) and isinstance(result.get(key), dict)
        result[key] = merged(result[key], value) if is_map else value
    return result


def ready(release: Release) -> None:
    """Return when every pod of server and api runs the current template and is ready."""
    for component in ("server", "api"):
        release.wait_for_rollout(component)


def by_api(release: Release, digits: Digits) -> traffic.Questions:
    """Return what `questions` does for the api, and nothing of the servers themselves."""
    return dataclasses.replace(questions(release, digits), grpc=())


def questions(release: Release, digits: Digits) -> traffic.Questions:
    """Return test digits that the served model is sure of, each to be answered with its own label."""
    tried = digits.first(100)
    answers = clients.predict(release, tried.images)
    sure = [
        float(answer["probability"]) >= LEAST_PROBABILITY and answer["prediction"] == str(label)
        for answer, label in zip(answers, tried.labels, strict=True)
    ]
    chosen = np.flatnonzero(sure)[:40]
    assert len(chosen) >= 20, json.dumps(answers)
    return traffic.of_digits(Digits(tried.images[chosen], tried.labels[chosen]))
