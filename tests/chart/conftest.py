"""The chart, rendered once for each values case and each Helm, and shared."""

from __future__ import annotations

import functools
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from ci import paths, tools

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CASES = sorted((paths.CHART / "ci").glob("*-values.yaml"))
HELMS: dict[str, Callable[[], Path]] = {"helm4": tools.helm, "helm3": tools.helm3}
KUBE_VERSION = "1.37.2"
WORKLOADS = ("Job", "Deployment")


class RefusedError(Exception):
    """Values the chart refuses; the message is Helm's."""


@dataclass(frozen=True)
class Rendered:
    """The objects of one render, by kind and name."""

    text: str

    @functools.cached_property
    def objects(self) -> list[dict[str, Any]]:
        """Return every object."""
        return [item for item in yaml.safe_load_all(self.text) if item]

    def of_kind(self, *kinds: str) -> list[dict[str, Any]]:
        """Return the objects of some kinds."""
        return [item for item in self.objects if item["kind"] in kinds]

    def one(self, kind: str, component: str) -> dict[str, Any]:
        """Return the only object of a kind and component; fail when there is none or more."""
        label = "app.kubernetes.io/component"
        found = [item for item in self.of_kind(kind) if item["metadata"]["labels"][label] == component]
        assert len(found) == 1, f"{len(found)} objects are {kind} of {component}"
        return found[0]

    def workloads(self) -> list[dict[str, Any]]:
        """Return the Job and the Deployments."""
        return self.of_kind(*WORKLOADS)

    def pods(self) -> list[tuple[str, dict[str, Any]]]:
        """Return name and pod spec of everything that makes a pod, the test pod too."""
        made = [(item["metadata"]["name"], item["spec"]["template"]["spec"]) for item in self.workloads()]
        return made + [(item["metadata"]["name"], item["spec"]) for item in self.of_kind("Pod")]

    def containers(self) -> list[tuple[str, dict[str, Any]]]:
        """Return `workload/container` and spec of every container and init container."""
        return [
            (f"{name}/{container['name']}", container)
            for name, pod in self.pods()
            for container in [*pod.get("initContainers", []), *pod["containers"]]
        ]


@functools.cache
def _run(helm: Path, arguments: tuple[str, ...], values: str) -> str:
    command = [str(helm), "template", "mnist", str(paths.CHART), f"--kube-version={KUBE_VERSION}", *arguments]
    done = subprocess.run([*command, "--values=-"], input=values, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RefusedError(done.stderr)
    return done.stdout


def render(values: dict[str, Any] | None = None, helm: str = "helm4") -> Rendered:
    """Return the chart rendered with values; raise RefusedError with Helm's words."""
    return Rendered(_run(HELMS[helm](), (), yaml.safe_dump(values or {})))


@pytest.fixture(params=CASES, ids=lambda path: path.name.removesuffix("-values.yaml"), scope="session")
def case(request: pytest.FixtureRequest) -> Path:
    """Return the path of one values case."""
    path: Path = request.param
    return path


@pytest.fixture(params=sorted(HELMS), scope="session")
def rendered(request: pytest.FixtureRequest, case: Path) -> Rendered:
    """Return one values case rendered by one Helm."""
    return Rendered(_run(HELMS[request.param](), (), case.read_text(encoding="utf-8")))
