"""The objects of a release that the cluster has, whoever made them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.e2e.release import Release

# Of everything the chart makes.
KINDS = "all,configmaps,secrets,persistentvolumeclaims,serviceaccounts,networkpolicies,poddisruptionbudgets"
# The cluster makes and changes these by itself.
MADE_BY_THE_CLUSTER = frozenset({"Pod", "ReplicaSet"})


def names(release: Release) -> list[str]:
    """Return the kinds and names of all objects of the release."""
    return release.kubectl("get", KINDS, f"--selector={_selector(release)}", "--output=name").split()


def generations(release: Release) -> dict[str, tuple[str, int]]:
    """Return UID and generation of what the release is made of; what has no generation counts by its UID.

    Of a Deployment it is the revision of its pods, since an autoscaler that is at work makes generations as well.
    """
    found = json.loads(release.kubectl("get", KINDS, f"--selector={_selector(release)}", "--output=json"))["items"]
    return {
        f"{item['kind']}/{item['metadata']['name']}": (item["metadata"]["uid"], _generation(item["metadata"]))
        for item in found
        if item["kind"] not in MADE_BY_THE_CLUSTER
    }


def _generation(metadata: dict[str, Any]) -> int:
    revision = metadata.get("annotations", {}).get("deployment.kubernetes.io/revision")
    return int(revision or metadata.get("generation", 0))


def _selector(release: Release) -> str:
    return f"app.kubernetes.io/instance={release.name}"
