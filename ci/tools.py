"""Programs the cluster is driven with: from PATH, else built from pinned Go modules, else downloaded."""

from __future__ import annotations

import functools
import hashlib
import platform
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

from ci import paths, versions
from ci.steps import StepError, run, step
from ci.turns import turn

if TYPE_CHECKING:
    from collections.abc import Callable

GO_MINIMUM = (1, 26)
# The Go module of what a cluster is made of. What one of its programs has compiled is there for the others.
CLUSTER_PROGRAMS = paths.ROOT / "ci" / "cluster" / "programs"
LDFLAGS = "-s -w"
# Debug information would be stripped by the linker (-s -w) anyway: not writing it saves a seventh of the time.
# A compiler has ended before its garbage matters, but for the largest packages: an eighth of the time.
BUILD_ENVIRONMENT = {
    "CGO_ENABLED": "0",
    "GOFLAGS": "-trimpath -buildvcs=false -gcflags=all=-dwarf=false",
    "GOGC": "off",
    "GOMEMLIMIT": "2GiB",
}
# Where the projects publish their binaries, and the file that tells their SHA-256; {plain} is a version without its v.
DOWNLOADS = {
    "kind": (
        "https://github.com/kubernetes-sigs/kind/releases/download/{version}/kind-{os}-{arch}",
        "kind-{os}-{arch}.sha256sum",
    ),
    "helm": ("https://get.helm.sh/helm-{version}-{os}-{arch}.tar.gz", "helm-{version}-{os}-{arch}.tar.gz.sha256sum"),
    "helm3": ("https://get.helm.sh/helm-{version}-{os}-{arch}.tar.gz", "helm-{version}-{os}-{arch}.tar.gz.sha256sum"),
    "helm3-oldest": (
        "https://get.helm.sh/helm-{version}-{os}-{arch}.tar.gz",
        "helm-{version}-{os}-{arch}.tar.gz.sha256sum",
    ),
    "kubectl": ("https://dl.k8s.io/release/{version}/bin/{os}/{arch}/kubectl", "kubectl.sha256"),
    "kube-score": (
        "https://github.com/zegl/kube-score/releases/download/{version}/kube-score_{plain}_{os}_{arch}.tar.gz",
        "checksums.txt",
    ),
    "actionlint": (
        "https://github.com/rhysd/actionlint/releases/download/{version}/actionlint_{plain}_{os}_{arch}.tar.gz",
        "actionlint_{plain}_checksums.txt",
    ),
}
DOWNLOAD_TIMEOUT_SECONDS = 120


def provide_all() -> None:
    """Have every program a whole run asks for, in the order it does."""
    for provide in (actionlint, helm, kube_score, helm3, kind, kubectl):
        provide()


@functools.cache
def helm() -> Path:
    """Return Helm 4, or a Helm 3 of the user's that is new enough (3.14)."""
    found = shutil.which("helm")
    if found and _version_of([found, "version", "--short"]) >= (3, 14):
        return Path(found)
    return _provide("helm", versions.of_module("helm"))


@functools.cache
def helm3() -> Path:
    """Return the pinned Helm 3, which the chart must render with as well."""
    return _provide("helm3", versions.of_module("helm3"))


@functools.cache
def oldest_helm3() -> Path:
    """Return the oldest Helm 3 that the chart supports."""
    return _provide("helm3-oldest", versions.of_module("helm3-oldest"))


@functools.cache
def kind() -> Path:
    """Return the pinned kind: node images are made for one version of it."""
    return _provide("kind", versions.of_module("kind"))


@functools.cache
def kube_score() -> Path:
    """Return the pinned kube-score."""
    return _provide("kube-score", versions.of_module("kube-score"))


@functools.cache
def actionlint() -> Path:
    """Return the pinned actionlint."""
    return _provide("actionlint", versions.of_module("actionlint"))


@functools.cache
def kubectl() -> Path:
    """Return kubectl from PATH when it is within one minor version of the cluster, else the pinned one."""
    wanted = versions.CLUSTER["kubernetes"]
    found = shutil.which("kubectl")
    if found:
        major, minor = _parse_version(wanted)[:2]
        version = _version_of([found, "version", "--client"])
        if version[:1] == (major,) and abs(version[1] - minor) <= 1:
            return Path(found)
    if has_go():
        return _named(kubernetes(), "kubectl")
    return _download("kubectl", wanted)


@functools.cache
def kubernetes() -> Path:
    """Return the one binary that is every program of a node, built from Kubernetes' own modules."""
    version = versions.CLUSTER["kubernetes"]
    major, minor = _parse_version(version)[:2]
    package = "k8s.io/component-base/version"
    flags = f"-X {package}.gitVersion={version} -X {package}.gitMajor={major} -X {package}.gitMinor={minor}"
    takes = "6 to 12 minutes on 2 cores"
    return go_module("kubernetes", version, CLUSTER_PROGRAMS, "./kubernetes", flags=flags, takes=takes)


def go_module(name: str, version: str, source: Path, package: str = ".", *, flags: str = "", takes: str = "") -> Path:
    """Return a program of a Go module of the tree, built once for what is in the module's folder.

    The toolchain its go.mod asks for is fetched as a module where the one on PATH is older.
    """
    digest = hashlib.sha256()
    for path in sorted(path for path in source.rglob("*") if path.is_file()):
        digest.update(str(path.relative_to(source)).encode() + b"\0" + path.read_bytes())
    digest.update(version.encode())
    target = paths.cache() / "bin" / f"{name}-{version}-{digest.hexdigest()[:12]}"

    def build(partial: Path) -> None:
        _require_go(name)
        environment = {**BUILD_ENVIRONMENT, "GOTOOLCHAIN": "auto"}
        run(
            ["go", "build", f"-ldflags={LDFLAGS} {flags}".rstrip(), "-o", partial, package], cwd=source, env=environment
        )

    return _made(target, f"build {name} {version}" + (f" ({takes}, once)" if takes else ""), build)


def go_module_folder(source: Path, module: str) -> Path:
    """Return where the files of a module are that a module of the tree requires."""
    command = ["go", "list", "-m", "-f", "{{.Dir}}", module]
    return Path(run(command, cwd=source, env={"GOFLAGS": "-mod=mod", "GOTOOLCHAIN": "auto"}).strip())


def go_program(name: str) -> Path:
    """Return a program of ci/versions.toml's modules, built once: with Kubernetes if its module has it, else alone."""
    package, _, version = versions.MODULES[name].partition("@")
    if (CLUSTER_PROGRAMS / name).is_dir():
        return go_module(name, version, CLUSTER_PROGRAMS, f"./{name}")
    if _is_compiled_with_kubernetes(package, version):
        return go_module(name, version, CLUSTER_PROGRAMS, package)
    return _go_install(name, package, version)


def _is_compiled_with_kubernetes(package: str, version: str) -> bool:
    """Tell whether a program is a tool of CLUSTER_PROGRAMS, in this version: of Helm 3 there are two."""
    words = [line.split() for line in (CLUSTER_PROGRAMS / "go.mod").read_text(encoding="utf-8").splitlines()]
    required = {line[0]: line[1] for line in words if len(line) > 1}
    modules = [module for module in required if f"{package}/".startswith(f"{module}/")]
    return [package] in words and any(required[module] == version for module in modules)


def _go_install(name: str, package: str, version: str) -> Path:
    target = paths.cache() / "bin" / f"{name}-{version}"

    def build(partial: Path) -> None:
        _require_go(name)
        with tempfile.TemporaryDirectory() as folder:
            command = ["go", "install", f"-ldflags={LDFLAGS}", f"{package}@{version}"]
            run(command, cwd=Path(folder), env={**BUILD_ENVIRONMENT, "GOBIN": folder})
            shutil.copy(next(path for path in Path(folder).iterdir() if path.is_file()), partial)

    return _made(target, f"build {name} {version}", build)


def go_source(name: str, folder: Path) -> Path:
    """Return a program built from one Go file of the tree that needs the standard library only."""
    source = folder / f"{name}.go"
    target = paths.cache() / "bin" / f"{name}-{hashlib.sha256(source.read_bytes()).hexdigest()[:12]}"

    def build(partial: Path) -> None:
        _require_go(name)
        run(["go", "build", f"-ldflags={LDFLAGS}", "-o", partial, source], env=BUILD_ENVIRONMENT)

    return _made(target, f"build {name}", build)


@functools.cache
def has_go() -> bool:
    """Tell whether a Go toolchain that can build Kubernetes is on PATH."""
    return shutil.which("go") is not None and _version_of(["go", "env", "GOVERSION"]) >= GO_MINIMUM


def _provide(name: str, version: str) -> Path:
    return go_program(name) if has_go() else _download(name, version)


def _require_go(name: str) -> None:
    if not has_go():
        raise StepError(
            f"{name} must be built here and Go {GO_MINIMUM[0]}.{GO_MINIMUM[1]} or newer is not on PATH",
            hint="install Go (https://go.dev/doc/install), or give Docker access to a registry with kindest/node",
        )


def _made(target: Path, title: str, make: Callable[[Path], None]) -> Path:
    """Return a program, made first where it is not there: by one process at a time, and seen only when complete."""
    if target.exists():
        return target
    partial = target.with_name(f"{target.name}.partial")
    with step(title), turn(target.with_name(f"{target.name}.lock")):
        # Another process may have made it while this one waited; one that was killed has left its partial file.
        if not target.exists():
            partial.unlink(missing_ok=True)
            make(partial)
            partial.chmod(0o755)
            partial.replace(target)
    return target


def _named(binary: Path, name: str) -> Path:
    """Return a link by whose name the one Kubernetes binary knows which program to be."""
    folder = binary.with_name(f"{binary.name}.d")
    folder.mkdir(exist_ok=True)
    link = folder / name
    if not link.is_symlink():
        link.symlink_to(binary)
    return link


def _download(name: str, version: str) -> Path:
    target = paths.cache() / "bin" / f"{name}-{version}"
    arch = {"x86_64": "amd64", "aarch64": "arm64", "arm64": "arm64"}.get(platform.machine(), platform.machine())
    facts = {"version": version, "plain": version.removeprefix("v"), "arch": arch}
    facts["os"] = "darwin" if sys.platform == "darwin" else "linux"
    url, sums = (part.format(**facts) for part in DOWNLOADS[name])
    folder_url, _, file_name = url.rpartition("/")

    def fetch(partial: Path) -> None:
        published = _sum_of(file_name, _get(f"{folder_url}/{sums}").decode())
        with tempfile.TemporaryDirectory() as folder:
            archive = Path(folder) / file_name
            archive.write_bytes(_get(url))
            if hashlib.sha256(archive.read_bytes()).hexdigest() != published:
                raise StepError(f"{url} does not have the SHA-256 published beside it", hint="try again later")
            if archive.suffixes[-2:] == [".tar", ".gz"]:
                with tarfile.open(archive) as packed:
                    packed.extractall(folder, filter="data")
                # Helm is called so in every archive, whichever it is here.
                called = versions.MODULES[name].partition("@")[0].rpartition("/")[2]
                archive = next(path for path in Path(folder).rglob(called) if path.is_file())
            shutil.copy(archive, partial)

    return _made(target, f"download {name} {version}", fetch)


def _sum_of(name: str, sums: str) -> str:
    """Return the SHA-256 of a file from what `sha256sum` prints of many, or of it alone with or without its name."""
    lines = [line.split() for line in sums.splitlines() if line.strip()]
    found = [words[0] for words in lines if len(lines) == 1 or words[-1].lstrip("*") == name]
    if len(found) != 1:
        raise StepError(f"the published list of SHA-256 sums does not name {name} once", hint="try again later")
    return found[0]


def _get(url: str) -> bytes:
    try:
        with urllib.request.urlopen(url, timeout=DOWNLOAD_TIMEOUT_SECONDS) as reply:  # noqa: S310 - https, above
            content: bytes = reply.read()
            return content
    except OSError as error:
        raise StepError(f"{url} cannot be fetched", why=str(error), hint="install Go, or the tool itself") from error


def _version_of(command: list[str]) -> tuple[int, ...]:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return _parse_version(done.stdout)


def _parse_version(text: str) -> tuple[int, ...]:
    """Return the first dotted version in a text as numbers; (0, 0) when there is none."""
    found = re.search(r"(\d+)\.(\d+)(?:\.(\d+))?", text)
    return tuple(int(part) for part in found.groups() if part) if found else (0, 0)
