"""Versions: parsed, and written down once."""

from __future__ import annotations

import hashlib
import io
import os
import re
import tarfile
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from ci import paths, steps, tools, versions
from ci.cluster import node_image
from ci.images import components

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("text", "version"),
    [("v4.3.1+gabc", (4, 3, 1)), ("go1.26.8", (1, 26, 8)), ("Client Version: v1.37.2\n", (1, 37, 2)), ("", (0, 0))],
)
def test_version_is_parsed(text: str, version: tuple[int, ...]) -> None:
    assert tools._parse_version(text) == version


@pytest.mark.parametrize(
    "sums",
    ["abc", "abc\n", "abc  tool.tar.gz\n", "123  other.tar.gz\nabc  tool.tar.gz\n", "123  a\nabc *tool.tar.gz\n"],
)
def test_published_sum_is_that_of_the_file(sums: str) -> None:
    assert tools._sum_of("tool.tar.gz", sums) == "abc"


@pytest.mark.parametrize("sums", ["", "123  a\n456  b\n", "123  tool.tar.gz\n456  tool.tar.gz\n"])
def test_published_sums_without_the_file_are_refused(sums: str) -> None:
    with pytest.raises(steps.StepError, match=r"does not name tool\.tar\.gz once"):
        tools._sum_of("tool.tar.gz", sums)


@pytest.mark.parametrize(
    ("name", "inside"),
    [
        ("helm3", "linux-amd64/helm"),
        ("helm3-oldest", "linux-amd64/helm"),
        ("kube-score", "kube-score"),
        ("actionlint", "actionlint"),
        ("kind", ""),
    ],
)
def test_downloaded_program_is_the_one_in_its_archive(
    name: str, inside: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    content = io.BytesIO()
    if inside:
        with tarfile.open(fileobj=content, mode="w:gz") as packed:
            for path, text in (("LICENSE", b"words"), (inside, b"program")):
                member = tarfile.TarInfo(path)
                member.size = len(text)
                packed.addfile(member, io.BytesIO(text))
    else:
        content.write(b"program")
    asked: list[str] = []

    def get(url: str) -> bytes:
        asked.append(url)
        is_sum = url.endswith(("sha256sum", "checksums.txt"))
        name_of = asked[0].rpartition("/")[2].removesuffix(".sha256sum")
        file_name = name_of if not name_of.endswith("checksums.txt") else f"{name}_1.2.3_linux_amd64.tar.gz"
        return (
            f"{hashlib.sha256(content.getvalue()).hexdigest()}  {file_name}\n".encode()
            if is_sum
            else content.getvalue()
        )

    monkeypatch.setattr(tools, "_get", get)
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    monkeypatch.setenv("TENSORFLOW_MODEL_CACHE", str(tmp_path))
    assert tools._download(name, "v1.2.3").read_bytes() == b"program"
    assert all(url.startswith("https://") and "{" not in url for url in asked)


def test_go_module_of_the_cluster_agrees_with_the_versions() -> None:
    lines = (tools.CLUSTER_PROGRAMS / "go.mod").read_text(encoding="utf-8").splitlines()
    required = dict(line.split()[:2] for line in lines if re.match(r"\t\S+ v", line))
    assert required["k8s.io/kubernetes"] == versions.CLUSTER["kubernetes"]
    for name in (*node_image.SYSTEM_PROGRAMS, "registry", "helm", "helm3"):
        package, _, version = versions.MODULES[name].partition("@")
        module = max((module for module in required if f"{package}/".startswith(f"{module}/")), key=len)
        assert required[module] == version, name


def test_programs_are_compiled_with_kubernetes_in_their_own_version_alone() -> None:
    parts = {name: module.partition("@") for name, module in versions.MODULES.items()}
    compiled = {
        name for name, (package, _, version) in parts.items() if tools._is_compiled_with_kubernetes(package, version)
    }
    # Of Helm 3 there are two versions.
    assert compiled == {"helm", "helm3", "local-path-provisioner", "metrics-server"}


def test_system_images_have_the_names_kubeadm_asks_for() -> None:
    names = [name for names in node_image.system_images().values() for name in names]
    assert f"registry.k8s.io/kube-proxy:{versions.CLUSTER['kubernetes']}" in names
    assert len(names) == len(set(names))


def test_interrupted_build_leaves_no_program_and_the_next_one_makes_it(tmp_path: Path) -> None:
    target = tmp_path / "bin" / "program"

    def interrupted(partial: Path) -> None:
        partial.write_text("half")
        raise KeyboardInterrupt

    def whole(partial: Path) -> None:
        partial.write_text("whole")

    with pytest.raises(KeyboardInterrupt):
        tools._made(target, "build", interrupted)
    assert not target.exists()
    tools._made(target, "build", whole)
    assert target.read_text() == "whole"
    assert os.access(target, os.X_OK)


def test_program_is_made_once_by_those_who_want_it_at_the_same_time(tmp_path: Path) -> None:
    target = tmp_path / "program"
    made: list[Path] = []
    barrier = threading.Barrier(2)

    def make(partial: Path) -> None:
        made.append(partial)
        partial.touch()

    def want(_: int) -> Path:
        barrier.wait(10)
        return tools._made(target, "build", make)

    with ThreadPoolExecutor(2) as wanting:
        assert list(wanting.map(want, range(2))) == [target, target]
    assert len(made) == 1


def test_image_version_is_the_charts_and_the_packages() -> None:
    projects = [*paths.ROOT.glob("model/*/pyproject.toml"), *paths.ROOT.glob("images/*/pyproject.toml")]
    assert len(projects) == 11
    for path in projects:
        project = path.read_text(encoding="utf-8")
        assert f'version = "{components.version()}"' in project, path


def test_pushed_image_becomes_chart_values() -> None:
    image = components.Image("api", "x", 1, "localhost:5001/team/tensorflow-model-api@sha256:abc")
    assert components.values([image]) == {
        "api": {
            "image": {"registry": "localhost:5001", "repository": "team/tensorflow-model-api", "digest": "sha256:abc"}
        }
    }


def test_shared_requirements_have_one_version_in_all_image_locks() -> None:
    seen: dict[str, set[str]] = {}
    for lock in (paths.ROOT / "images").glob("*/requirements.txt"):
        for name, version in re.findall(r"^([\w-]+)==(\S+)", lock.read_text(encoding="utf-8"), re.MULTILINE):
            seen.setdefault(name, set()).add(version)
    differing = {name: found for name, found in seen.items() if len(found) > 1 and name != "numpy"}
    assert differing == {}


def test_failed_command_tells_itself_its_last_lines_and_the_way_out() -> None:
    with pytest.raises(steps.CommandError) as failed:
        steps.run(["sh", "-c", "echo reason >&2; exit 3"], hint="do this")
    assert "exit code 3" in str(failed.value)
    assert "reason" in str(failed.value)
    assert "Try: do this" in str(failed.value)


def test_missing_program_is_named() -> None:
    with pytest.raises(steps.StepError, match="no-such-program was not found"):
        steps.run(["no-such-program"])


def test_argo_cd_is_the_one_its_program_requires() -> None:
    program = (paths.ROOT / "ci" / "addons" / "argocd" / "program" / "go.mod").read_text(encoding="utf-8")
    module, _, version = versions.MODULES["argocd"].partition("@")
    assert re.search(rf"^\t(require )?{re.escape(module)} {re.escape(version)}$", program, re.MULTILINE)
