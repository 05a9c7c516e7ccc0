"""Argo CD in the test cluster: built from its Go modules, installed by upstream's own core manifests."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from ci import paths, tools, versions
from ci.addons import images
from ci.images import local_images
from ci.steps import run, step, succeeds

if TYPE_CHECKING:
    from ci.cluster.providers import Cluster

FOLDER = paths.ROOT / "ci" / "addons" / "argocd"
MODULE = "github.com/argoproj/argo-cd/v3"
NAMESPACE = "argocd"
WORKLOADS = ("deployment/argocd-redis", "deployment/argocd-repo-server", "statefulset/argocd-application-controller")
# It calls git, also for a chart in a registry, and looks for ssh.
PACKAGES = ("ca-certificates", "git", "openssh-client", "redis-server")
READY_TIMEOUT_SECONDS = 180


def install(cluster: Cluster, registry: str) -> None:
    """Have Argo CD run in the cluster; one that is there is brought to the pinned version."""
    version = versions.of_module("argocd")
    program = tools.go_module("argocd", version, FOLDER / "program", takes="some 4 minutes of 2 cores")
    programs = {"argocd": program, "helm": tools.go_program("helm")}
    image = images.ensure("argocd", FOLDER, programs, local_images.rootfs("argocd-rootfs", PACKAGES), registry)
    kubectl = _kubectl(cluster)
    with step(f"install Argo CD {version}"), tempfile.TemporaryDirectory() as folder:
        _write_manifests(Path(folder), image)
        manifest = run([*kubectl, "kustomize", folder])
        # On the server's side: one definition does not fit into the annotation that kubectl would keep.
        apply = [*kubectl, "apply", "--server-side", "--force-conflicts"]
        run([*apply, "--filename=-"], text=manifest)
        for name in WORKLOADS:
            command = ["rollout", "status", name, f"--namespace={NAMESPACE}", f"--timeout={READY_TIMEOUT_SECONDS}s"]
            run([*kubectl, *command])
        # Of a kind that is known by now.
        run([*apply, f"--filename={FOLDER / 'project.yaml'}"])


def remove(cluster: Cluster) -> None:
    """Remove Argo CD and its Applications, and what these installed where they have the finalizer for it."""
    kubectl = _kubectl(cluster)
    if not succeeds([*kubectl, "get", "namespace", NAMESPACE]):
        return
    with step("remove Argo CD"), tempfile.TemporaryDirectory() as folder:
        # While the controller is there to answer for their finalizers.
        run([*kubectl, "delete", "applications.argoproj.io", "--all", "--all-namespaces"])
        _write_manifests(Path(folder), "any@sha256:0")
        run([*kubectl, "delete", "--ignore-not-found", f"--kustomize={folder}"])


def _kubectl(cluster: Cluster) -> list[str]:
    return [str(tools.kubectl()), f"--kubeconfig={cluster.kubeconfig}"]


def _manifests() -> Path:
    """Return the folder of upstream's manifests, which the module holds."""
    return tools.go_module_folder(FOLDER / "program", MODULE) / "manifests"


def _write_manifests(folder: Path, image: str) -> None:
    """Fill a folder with the kustomization and what it names."""
    for path in (FOLDER / "namespace.yaml", _manifests() / "core-install.yaml"):
        # Modules are read-only.
        (folder / path.name).write_bytes(path.read_bytes())
    repository, _, digest = image.partition("@")
    text = (FOLDER / "kustomization.yaml").read_text(encoding="utf-8")
    filled = text.replace("@REPOSITORY@", repository).replace("@DIGEST@", digest)
    (folder / "kustomization.yaml").write_text(filled, encoding="utf-8")
