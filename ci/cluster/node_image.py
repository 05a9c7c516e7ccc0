"""The image of a cluster node: pulled where that works, else built from Debian packages and Go modules."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from pathlib import Path

from ci import paths, tools, versions
from ci.cluster import docker_engine
from ci.images import local_images
from ci.steps import run, side_by_side, step

SOURCES = paths.ROOT / "ci" / "cluster" / "node"
NODE_PACKAGES = (
    "ca-certificates",
    "conntrack",
    "dbus",
    "dnsmasq-base",
    "ethtool",
    "iproute2",
    "iptables",
    "kmod",
    "mount",
    "nftables",
    "procps",
    "runc",
    "socat",
    "systemd",
    "systemd-sysv",
)
NODE_PROGRAMS = ("containerd", "containerd-shim-runc-v2", "ctr")
CNI_PROGRAMS = ("ptp", "loopback", "host-local", "portmap")
SYSTEM_PROGRAMS = ("coredns", "local-path-provisioner", "metrics-server")


def ensure() -> tuple[str, bool]:
    """Return the node image's name and whether it was built here rather than pulled."""
    public = versions.CLUSTER["public_node_image"]
    if local_images.has(public) or local_images.pulls(public):
        return public, False
    return _build(), True


def system_images() -> dict[str, list[str]]:
    """Return the names kubeadm and the add-ons use, by the target of node/system/Dockerfile behind each."""
    cluster = versions.CLUSTER
    control_plane = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy")
    return {
        "kubernetes": [
            *(f"registry.k8s.io/{name}:{cluster['kubernetes']}" for name in control_plane),
            f"registry.k8s.io/etcd:{cluster['etcd_tag']}",
            "docker.io/tensorflow-model/local-path-provisioner:node",
        ],
        "coredns": [f"registry.k8s.io/coredns/coredns:{cluster['coredns_tag']}"],
        "pause": [pause_image()],
        "metrics-server": [metrics_server_image()],
    }


def pause_image() -> str:
    """Return the name of the sandbox image."""
    return f"registry.k8s.io/pause:{versions.CLUSTER['pause_tag']}"


def metrics_server_image() -> str:
    """Return the name of the metrics-server image, the same in a public registry and in a built node."""
    return f"registry.k8s.io/metrics-server/metrics-server:{versions.of_module('metrics-server')}"


def rootfs() -> str:
    """Return the Debian a node stands on, and its pods: kube-proxy writes rules, others' helper pods run a shell."""
    return local_images.rootfs("node-rootfs", NODE_PACKAGES)


def _build() -> str:
    (kubernetes, pause, programs), base = side_by_side(_programs, rootfs)
    digest = _digest([kubernetes.name, pause.name, *(path.name for path in programs.values()), base])
    image = f"tensorflow-model-node:{digest}"
    if local_images.has(image):
        return image
    with step(f"build {image}"), tempfile.TemporaryDirectory() as folder:
        context = Path(folder)
        archive = _system_archive(context / "system", kubernetes, pause, programs, base)
        node = context / "node"
        shutil.copytree(SOURCES / "files", node / "files")
        config = node / "files" / "etc" / "containerd" / "config.toml"
        config.write_text(config.read_text(encoding="utf-8").replace("@PAUSE_IMAGE@", pause_image()), encoding="utf-8")
        _copy(node / "bin", {"kubernetes": kubernetes, **{name: programs[name] for name in NODE_PROGRAMS}})
        _copy(node / "cni", {name: programs[name] for name in CNI_PROGRAMS})
        (node / "images").mkdir()
        archive.rename(node / "images" / "system.tar")
        (node / "version").write_text(versions.CLUSTER["kubernetes"] + "\n", encoding="utf-8")
        _docker_build(SOURCES / "Dockerfile", node, image, base)
    return image


def _programs() -> tuple[Path, Path, dict[str, Path]]:
    """Return Kubernetes, the program of the sandboxes, and the others by name."""
    kubernetes = tools.kubernetes()
    names = (*NODE_PROGRAMS, *CNI_PROGRAMS, *SYSTEM_PROGRAMS)
    return kubernetes, tools.go_source("pause", SOURCES / "pause"), {name: tools.go_program(name) for name in names}


def _system_archive(context: Path, kubernetes: Path, pause: Path, programs: dict[str, Path], base: str) -> Path:
    """Build the system images and return them as one archive; layers they share are in it once."""
    system = {"kubernetes": kubernetes, "pause": pause, **{name: programs[name] for name in SYSTEM_PROGRAMS}}
    _copy(context / "bin", system)
    names: list[str] = []
    for target, tags in system_images().items():
        _docker_build(SOURCES / "system" / "Dockerfile", context, tags[0], base, f"--target={target}")
        for tag in tags[1:]:
            run([docker_engine.client(), "tag", tags[0], tag])
        names += tags
    archive = context / "system.tar"
    run([docker_engine.client(), "save", f"--output={archive}", *names])
    run([docker_engine.client(), "rmi", *names])
    return archive


def _docker_build(dockerfile: Path, context: Path, image: str, base: str, *options: str) -> None:
    run(
        [
            docker_engine.client(),
            "build",
            "--progress=plain",
            f"--file={dockerfile}",
            f"--tag={image}",
            f"--build-arg=ROOTFS={base}",
            *options,
            context,
        ],
        env={"DOCKER_BUILDKIT": "1"},
    )


def _copy(folder: Path, programs: dict[str, Path]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, path in programs.items():
        shutil.copy(path, folder / name)


def _digest(inputs: list[str]) -> str:
    """Return a digest of everything a node image is made of."""
    digest = hashlib.sha256("\0".join([*inputs, str(system_images())]).encode())
    for path in sorted(path for path in SOURCES.rglob("*") if path.is_file()):
        digest.update(str(path.relative_to(SOURCES)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:12]
