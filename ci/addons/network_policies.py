"""Enforcement of NetworkPolicies in the test cluster, whose own network enforces none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ci import paths, tools
from ci.addons import images
from ci.cluster import node_image
from ci.steps import run, step, succeeds

if TYPE_CHECKING:
    from ci.cluster.providers import Cluster

FOLDER = paths.ROOT / "ci" / "addons" / "network"
NAME = "kube-network-policies"
READY_TIMEOUT_SECONDS = 90


def install(cluster: Cluster, registry: str) -> None:
    """Have every node enforce NetworkPolicies."""
    base = node_image.rootfs()
    image = images.ensure(NAME, FOLDER, {NAME: tools.go_program(NAME)}, base, registry)
    kubectl = _kubectl(cluster)
    with step("enforce NetworkPolicies"):
        run([*kubectl, "apply", "--filename=-"], text=_manifest(image))
        run([*kubectl, "rollout", "status", f"daemonset/{NAME}", f"--timeout={READY_TIMEOUT_SECONDS}s"])


def remove(cluster: Cluster) -> None:
    """Have no node enforce them any more."""
    kubectl = _kubectl(cluster)
    if succeeds([*kubectl, "get", f"daemonset/{NAME}"]):
        with step("enforce no NetworkPolicies any more"):
            run([*kubectl, "delete", "--ignore-not-found", "--filename=-"], text=_manifest(""))
            # Its pods take their rules away when they end.
            selector = f"--selector=app={NAME}"
            run([*kubectl, "wait", "--for=delete", "pods", selector, f"--timeout={READY_TIMEOUT_SECONDS}s"])


def _kubectl(cluster: Cluster) -> list[str]:
    return [str(tools.kubectl()), f"--kubeconfig={cluster.kubeconfig}", "--namespace=kube-system"]


def _manifest(image: str) -> str:
    return (FOLDER / "daemonset.yaml").read_text(encoding="utf-8").replace("@IMAGE@", image)
