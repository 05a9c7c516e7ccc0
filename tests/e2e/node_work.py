"""What only a node can do: kill a process of a pod, as the kernel does when memory runs out; have a small disk."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from tests.e2e.own_model import image_of
from tests.e2e.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.release import Release

POD = "node-work"
DISKS = "/var/lib/small-disks"
TIMEOUT_SECONDS = 60
# Kills the process of a container that was started last, which serves; the id of the container is in the control groups
# of all of its processes.
KILL = """\
import os, pathlib, signal, sys
pids = []
for folder in pathlib.Path("/proc").glob("[0-9]*"):
    try:
        if sys.argv[1] in (folder / "cgroup").read_text():
            pids.append(int(folder.name))
    except OSError:
        pass
os.kill(max(pids), signal.SIGKILL)
"""
# Mounts or unmounts a disk of so many bytes at a path: size in bytes, 0 to unmount.
MOUNT = """\
import ctypes, os, sys
path, size = sys.argv[1].encode(), int(sys.argv[2])
libc = ctypes.CDLL(None, use_errno=True)
if size:
    os.makedirs(path, exist_ok=True)
    failed = libc.mount(b"tmpfs", path, b"tmpfs", 0, b"mode=0777,size=%d" % size)
else:
    failed = libc.umount2(path, 2) or os.rmdir(path)
if failed:
    raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), path)
"""


@contextlib.contextmanager
def on_node(release: Release, node: str) -> Iterator[str]:
    """Yield the namespace of a pod that sees a node's processes; the release's own does not admit such a pod."""
    namespace = f"{release.namespace}-node"
    release.core.create_namespace({"metadata": {"name": namespace}})
    try:
        container = {
            "name": POD,
            "image": image_of(release, "publisher"),
            "command": ["python3", "-c", "import signal; signal.sigwait([signal.SIGTERM])"],
            "securityContext": {"privileged": True, "runAsUser": 0},
            "volumeMounts": [{"name": "disks", "mountPath": DISKS, "mountPropagation": "Bidirectional"}],
        }
        spec = {
            "nodeName": node,
            "hostPID": True,
            "terminationGracePeriodSeconds": 1,
            "containers": [container],
            "volumes": [{"name": "disks", "hostPath": {"path": DISKS, "type": "DirectoryOrCreate"}}],
        }
        release.core.create_namespaced_pod(namespace, {"metadata": {"name": POD}, "spec": spec})

        def runs() -> bool:
            return bool(release.core.read_namespaced_pod(POD, namespace).status.phase == "Running")

        wait_for(runs, "the pod on the node runs", TIMEOUT_SECONDS)
        yield namespace
    finally:
        release.core.delete_namespace(namespace)


def kill(release: Release, namespace: str, pod: Any, container: str) -> None:
    """Kill -9 the process of a container that serves, as the kernel does when memory is used up."""
    identity = _status(pod, container).container_id.rpartition("/")[2]
    run_on_node(release, namespace, KILL, identity)


def wait_for_restart(release: Release, pod: Any, container: str) -> None:
    """Return when Kubernetes has started a container again since `pod` was read."""
    count = _status(pod, container).restart_count

    def is_started_again() -> bool:
        now = release.core.read_namespaced_pod(pod.metadata.name, release.namespace)
        return bool(_status(now, container).restart_count > count)

    wait_for(is_started_again, f"{container} of {pod.metadata.name} is started again", TIMEOUT_SECONDS)


@contextlib.contextmanager
def small_disk(release: Release, namespace: str, node: str, claim: str, size_bytes: int) -> Iterator[str]:
    """Yield the path on the node of a disk that fills up, and that a claim of the release's namespace is bound to."""
    name = f"{release.namespace}-{claim}"
    path = f"{DISKS}/{name}"
    run_on_node(release, namespace, MOUNT, path, str(size_bytes))
    affinity = {"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}
    volume = {
        "capacity": {"storage": str(size_bytes)},
        "accessModes": ["ReadWriteOnce"],
        "persistentVolumeReclaimPolicy": "Retain",
        "storageClassName": name,
        "hostPath": {"path": path},
        "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [affinity]}]}},
    }
    claimed = {
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": name,
        "volumeName": name,
        "resources": {"requests": {"storage": str(size_bytes)}},
    }
    release.core.create_persistent_volume({"metadata": {"name": name}, "spec": volume})
    try:
        body = {"metadata": {"name": claim}, "spec": claimed}
        release.core.create_namespaced_persistent_volume_claim(release.namespace, body)
        yield path
    finally:
        release.core.delete_persistent_volume(name)
        run_on_node(release, namespace, MOUNT, path, "0")


def run_on_node(release: Release, namespace: str, script: str, *arguments: str) -> str:
    """Run Python in the pod on the node and return what it printed."""
    return release.kubectl("exec", f"--namespace={namespace}", POD, "--", "python3", "-c", script, *arguments)


def _status(pod: Any, container: str) -> Any:
    return next(status for status in pod.status.container_statuses if status.name == container)
