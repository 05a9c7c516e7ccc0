"""The chart rendered: by either Helm, once for each set of values, with its objects easy to ask for."""

from __future__ import annotations

import functools
import os
import subprocess
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from ci import paths, tools

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

Manifest = dict[str, Any]

RELEASE = "mnist"
NAMESPACE = "demo"
KUBE_VERSION = "1.37.2"
CASES = {path.name.removesuffix("-values.yaml"): path for path in sorted((paths.CHART / "ci").glob("*-values.yaml"))}
OLDEST = "oldest-helm3"
HELMS: dict[str, Callable[[], Path]] = {
    OLDEST: tools.oldest_helm3,
    "helm3": tools.helm3,
    "helm4": tools.helm,
}
# The oldest is built for its tests alone, which takes minutes: `ci/nox -s helms` runs them.
every_helm = pytest.mark.parametrize(
    "helm", [pytest.param(helm, marks=[pytest.mark.lengthy] if helm == OLDEST else []) for helm in HELMS]
)
COMPONENT = "app.kubernetes.io/component"
KEY = "tensorflow-model/model-key"
STORE = "tensorflow-model/model-store"


@dataclass(frozen=True)
class Component:
    """What a component is made of; a new one is entered here before its tests pass."""

    kind: str
    init_containers: tuple[str, ...]
    container: str
    # Init containers that stay, where they are there at all.
    sidecars: tuple[str, ...] = ()
    writes_models: bool = False
    # Values without which it is not there.
    needs: Mapping[str, Any] = field(default_factory=dict)


COMPONENTS = {
    "training": Component("Job", ("check", "training"), "training", sidecars=("server",), writes_models=True),
    "server": Component("Deployment", ("loader",), "server", sidecars=("follower",)),
    "api": Component("Deployment", (), "api"),
    "tensorboard": Component("Deployment", (), "tensorboard", needs={"enabled": True}),
}
# A render ends before its garbage matters; collecting it was a third to half of its time.
ENVIRONMENT = {**os.environ, "GOGC": "off"}
SERVING = ("server", "api")


class RefusedError(Exception):
    """Values the chart refuses; the message is what Helm prints."""


def name_of(manifest: Manifest) -> str:
    """Return kind and name, for messages."""
    return f"{manifest['kind']} {manifest['metadata']['name']}"


def at(manifest: Manifest, path: str) -> Any:
    """Return what is at a dotted path; fail with the object's name and the missing part when nothing is."""
    found: Any = manifest
    for part in path.split("."):
        assert isinstance(found, dict), f"{name_of(manifest)}: {path} ends before {part!r}"
        assert part in found, f"{name_of(manifest)} has no {path}: {part!r} is missing, there are {sorted(found)}"
        found = found[part]
    return found


def pod_spec(manifest: Manifest) -> Manifest:
    """Return the pod spec of a workload or pod."""
    paths_by_kind = {"Pod": "spec", "CronJob": "spec.jobTemplate.spec.template.spec"}
    spec: Manifest = at(manifest, paths_by_kind.get(manifest["kind"], "spec.template.spec"))
    return spec


def containers(manifest: Manifest) -> dict[str, Manifest]:
    """Return the containers of a workload or pod by name, init containers first."""
    pod = pod_spec(manifest)
    return {item["name"]: item for item in [*pod.get("initContainers", []), *pod["containers"]]}


def environment(container: Manifest) -> dict[str, str]:
    """Return a container's variables; fail when one is there twice, which server-side apply refuses."""
    names = [item["name"] for item in container.get("env", [])]
    assert len(names) == len(set(names)), f"container {container['name']} sets a variable twice: {sorted(names)}"
    return {item["name"]: item["value"] for item in container.get("env", []) if "value" in item}


@dataclass(frozen=True)
class Rendered:
    """The objects of one render."""

    text: str

    @functools.cached_property
    def manifests(self) -> list[Manifest]:
        """Return every object, in the order Helm prints them."""
        # The loader in C: parsing would otherwise take longer than rendering.
        return [item for item in yaml.load_all(self.text, Loader=yaml.CSafeLoader) if item]

    def of_kind(self, *kinds: str) -> list[Manifest]:
        """Return the objects of some kinds."""
        return [item for item in self.manifests if item["kind"] in kinds]

    def one(self, kind: str, component: str = "") -> Manifest:
        """Return the only object of a kind and component; fail when there is none or more than one."""
        found = [item for item in self.of_kind(kind) if component in ("", item["metadata"]["labels"][COMPONENT])]
        assert len(found) == 1, f"{kind} of {component or 'any component'}: {[name_of(item) for item in found]}"
        return found[0]

    def workload(self, component: str) -> Manifest:
        """Return the Job or Deployment of a component."""
        return self.one(COMPONENTS[component].kind, component)

    def container(self, component: str, name: str = "") -> Manifest:
        """Return a component's main container, or another one of its pod."""
        return containers(self.workload(component))[name or COMPONENTS[component].container]

    def workloads(self) -> list[Manifest]:
        """Return the Job and the Deployments."""
        return self.of_kind("Job", "Deployment")

    def pod_makers(self) -> list[Manifest]:
        """Return everything that makes a pod: the workloads, a schedule's Jobs, and the pod of `helm test`."""
        return [*self.workloads(), *self.of_kind("CronJob", "Pod")]


def render(
    values: Mapping[str, Any] | None = None, *flags: str, helm: str = "helm4", release: str = RELEASE
) -> Rendered:
    """Return the chart rendered with values on top of its defaults; raise RefusedError with Helm's words."""
    return render_text(yaml.safe_dump(dict(values or {})), flags, helm, release)


def render_case(case: str, helm: str = "helm4") -> Rendered:
    """Return the chart rendered with a values case."""
    return render_text(CASES[case].read_text(encoding="utf-8"), (), helm)


@functools.cache
def render_text(values: str, flags: tuple[str, ...] = (), helm: str = "helm4", release: str = RELEASE) -> Rendered:
    """Render values written as YAML, once: what is returned is shared and must not be changed."""
    return Rendered(template(values, flags, helm, release))


def refusals(values: dict[str, Any], *flags: str, helm: str = "helm4") -> list[str]:
    """Return the sentences that values which cannot work together are refused with, none when they are taken.

    Fail where Helm refuses them for anything else.
    """
    try:
        render(values, *flags, helm=helm)
    except RefusedError as error:
        head, _, rest = str(error).partition("These values cannot work together:\n")
        assert rest, head
        return [line.removeprefix("- ") for line in rest.splitlines() if line.startswith("- ")]
    return []


def template(
    values: str,
    flags: tuple[str, ...] = (),
    helm: str = "helm4",
    release: str = RELEASE,
    chart: Path = paths.CHART,
) -> str:
    """Return what `helm template` prints for values (YAML); raise RefusedError with Helm's words."""
    command = [
        str(HELMS[helm]()),
        "template",
        release,
        str(chart),
        f"--namespace={NAMESPACE}",
        # A Helm built from source without its release flags takes a Kubernetes of long ago for the default.
        f"--kube-version={KUBE_VERSION}",
        "--values=-",
        *flags,
    ]
    done = subprocess.run(command, input=values, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RefusedError(done.stderr)
    return done.stdout
