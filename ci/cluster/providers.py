"""A real cluster to install on: kind by default, minikube, or the one kubectl already points to."""

from __future__ import annotations

import ipaddress
import json
import os
import re
import shutil
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ci import paths, tools
from ci.cluster import docker_engine, node_image, registry
from ci.steps import CommandError, StepError, run, step, succeeds
from ci.turns import turn

if TYPE_CHECKING:
    from pathlib import Path

NAME = "tensorflow-model"
NODE_LABEL = f"label=io.x-k8s.kind.cluster={NAME}"
# kind's own defaults (kind.sigs.k8s.io, "Networking").
POD_RANGE = "10.244.0.0/16"
SERVICE_RANGE = "10.96.0.0/16"
READY_TIMEOUT_SECONDS = 180
MINIKUBE_REGISTRY_PORT = 5000
NODE_STATES = (
    '{range .items[*]}{.metadata.name}: {range .status.conditions[?(@.type=="Ready")]}'
    'Ready is {.status}, {.reason}: {.message}{end}{"\\n"}{end}'
)
FAILED_UNITS = ("systemctl", "list-units", "--failed", "--plain", "--no-legend")
# Only a node image built here needs these: it runs on cgroup v1 as well and has a resolver of its own for pods.
BUILT_NODE_PATCH = """\
kubeadmConfigPatches:
  - |
    kind: KubeletConfiguration
    failCgroupV1: false
    resolvConf: /kind/pod-resolv.conf
"""
CONFIGURATION = """\
kind: Cluster
apiVersion: kind.x-k8s.io/v1alpha4
name: {name}
{patch}nodes:
  - role: control-plane
  - role: worker
"""


@dataclass(frozen=True)
class Cluster:
    """A cluster that answers: how to reach it, and the registry its nodes pull from ("" when it is not ours)."""

    provider: str
    kubeconfig: Path
    registry: str


def up(provider: str) -> Cluster:
    """Return a healthy cluster of the provider, making or repairing it where that is ours to do."""
    with turn(paths.cache() / "cluster.lock", step("wait for another run, which makes the cluster")):
        return {"kind": _kind, "minikube": _minikube, "existing": _existing}[provider]()


def down() -> None:
    """Remove the kind cluster, the registry, and the routes made for them; Docker Engine stays."""
    if not docker_engine.answers():
        docker_engine.ensure()
    with step("remove the cluster"):
        run([tools.kind(), "delete", "cluster", f"--name={NAME}", f"--kubeconfig={kubeconfig()}"])
        registry.down()
        _remove_guards()
        for name in ("kubeconfig", "images-values.json"):
            (paths.cache() / name).unlink(missing_ok=True)


def forget_nodes() -> None:
    """Remove the nodes of the kind cluster, if there are any; Docker Engine must answer."""
    nodes = run([docker_engine.client(), "ps", "--all", "--quiet", f"--filter={NODE_LABEL}"]).split()
    if nodes:
        run([docker_engine.client(), "rm", "--force", "--volumes", *nodes])


def kubeconfig() -> Path:
    """Return the path of the cluster's kubeconfig; the user's own is never written to."""
    return paths.cache() / "kubeconfig"


# ---- kind


def _kind() -> Cluster:
    docker_engine.ensure()
    if not _is_healthy():
        _create()
    registry.up()
    registry.connect()
    return Cluster("kind", kubeconfig(), registry.ADDRESS)


def _create() -> None:
    image, built = node_image.ensure()
    configuration = CONFIGURATION.format(name=NAME, patch=BUILT_NODE_PATCH if built else "")
    with step("create a kind cluster of two nodes"):
        # A damaged cluster is cheaper to make again than to repair: its nodes may have swapped addresses.
        run([tools.kind(), "delete", "cluster", f"--name={NAME}", f"--kubeconfig={kubeconfig()}"])
        if built:
            _guard_ranges()
        run(
            [
                tools.kind(),
                "create",
                "cluster",
                "--config=-",
                f"--image={image}",
                f"--kubeconfig={kubeconfig()}",
                f"--wait={READY_TIMEOUT_SECONDS}s",
            ],
            text=configuration,
            show=False,
        )
        for node in _node_names():
            registry.configure_node(node)
        _wait_for_nodes()
    with step("install metrics-server"):
        manifest = (paths.ROOT / "ci" / "cluster" / "manifests" / "metrics-server.yaml").read_text(encoding="utf-8")
        image = node_image.metrics_server_image()
        run([*_kubectl(), "apply", "--filename=-"], text=manifest.replace("@METRICS_SERVER_IMAGE@", image))


def _wait_for_nodes() -> None:
    """Wait until every node is Ready; raise StepError with what the nodes say of themselves when one is not."""
    try:
        run([*_kubectl(), "wait", "--for=condition=Ready", "nodes", "--all", f"--timeout={READY_TIMEOUT_SECONDS}s"])
    except CommandError as error:
        # `kubectl wait` names nodes it had no time left to look at, too.
        states = run([*_kubectl(), "get", "nodes", f"--output=jsonpath={NODE_STATES}"])
        failed = [
            f"{node}: {unit.strip()}"
            for node in _node_names()
            for unit in run([docker_engine.client(), "exec", node, *FAILED_UNITS]).splitlines()
        ]
        raise StepError(
            f"the nodes were not ready within {READY_TIMEOUT_SECONDS} s",
            why="\n".join([states.strip(), *failed]),
            hint=f"docker exec NODE journalctl --unit=kubelet, or kind export logs --name={NAME}; then run this again",
        ) from error


def _is_healthy() -> bool:
    """Tell whether the API server is ready and every node is Ready."""
    if not kubeconfig().exists():
        return False
    # Docker restarts the nodes with itself, and a busy machine is slow: what is not healthy is made anew, with all that
    # runs there. One that is gone refuses at once.
    if not succeeds([*_kubectl(), "--request-timeout=30s", "get", "--raw=/readyz"]):
        return False
    wait = ["wait", "--for=condition=Ready", "nodes", "--all", "--timeout=60s"]
    return succeeds([*_kubectl(), *wait]) and len(_node_names()) == len(_running_nodes())


def _node_names() -> list[str]:
    return run([tools.kind(), "get", "nodes", f"--name={NAME}"]).split()


def _running_nodes() -> list[str]:
    return run([docker_engine.client(), "ps", "--quiet", f"--filter={NODE_LABEL}", "--filter=status=running"]).split()


def _kubectl() -> list[str | Path]:
    return [tools.kubectl(), f"--kubeconfig={kubeconfig()}"]


def _guard_ranges() -> None:
    """Keep packets for pods and Services from leaving the machine while a node has no rules for them."""
    if sys.platform == "linux" and os.geteuid() == 0 and shutil.which("ip"):
        for network in (POD_RANGE, SERVICE_RANGE):
            run(["ip", "route", "replace", "unreachable", str(ipaddress.ip_network(network))])


def _remove_guards() -> None:
    if sys.platform == "linux" and os.geteuid() == 0 and shutil.which("ip"):
        for network in (POD_RANGE, SERVICE_RANGE):
            succeeds(["ip", "route", "delete", "unreachable", network])


# ---- minikube


def _minikube() -> Cluster:
    minikube = shutil.which("minikube")
    if minikube is None:
        raise StepError(
            "minikube is not on PATH",
            hint="install it (https://minikube.sigs.k8s.io/docs/start/), or use --provider kind",
        )
    profile = f"--profile={NAME}"
    environment = {"KUBECONFIG": str(kubeconfig())}
    with step("start minikube"):
        run(
            [
                minikube,
                "start",
                profile,
                "--addons=registry,metrics-server",
                "--insecure-registry=10.0.0.0/8",
            ],
            env=environment,
            show=True,
        )
        address = run([minikube, "ip", profile], env=environment).strip()
    return Cluster("minikube", kubeconfig(), f"{address}:{MINIKUBE_REGISTRY_PORT}")


# ---- existing


def _existing() -> Cluster:
    """Take the current context of the user's kubeconfig, copied so that everything here names one file."""
    kubectl = tools.kubectl()
    try:
        view = run([kubectl, "config", "view", "--minify", "--raw", "--flatten", "--output=json"])
        run([kubectl, "--request-timeout=10s", "get", "--raw=/readyz"])
    except CommandError as error:
        raise StepError(
            "the current kubectl context does not answer",
            why=error.tail.strip(),
            hint="kubectl config use-context NAME, or use --provider kind",
        ) from error
    configuration: dict[str, Any] = json.loads(view)
    context = re.sub(r"[^\w.-]+", "-", str(configuration.get("current-context", "existing")))
    target = paths.cache() / f"kubeconfig-{context}"
    target.touch(mode=0o600)
    target.write_text(view, encoding="utf-8")
    return Cluster("existing", target, "")
