"""An Application of Argo CD that installs the chart from the cluster's registry, and all that Argo CD says of it."""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
import threading
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from kubernetes import client, watch

from ci import paths, tools
from ci.cluster import registry
from tests.e2e.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.e2e.release import Release

ARGO_CD = "argocd"
KIND = {"group": "argoproj.io", "version": "v1alpha1", "namespace": ARGO_CD, "plural": "applications"}
PAGE = paths.ROOT / "docs" / "argo-cd.md"
# The registry by the name that pods know it by.
CHARTS = f"{registry.IN_CLUSTER}/charts"
SYNC_TIMEOUT_SECONDS = 300
TRAINED_TIMEOUT_SECONDS = 420
FINALIZED_TIMEOUT_SECONDS = 120


@dataclass(frozen=True)
class State:
    """What Argo CD says of an Application, and how many seconds after its creation it began to say so."""

    seconds: float
    sync: str
    health: str
    phase: str
    message: str = ""

    def row(self) -> str:
        """Return a line of a table of states."""
        return f"{self.seconds:7.1f} s  {self.sync:10} {self.health:12} {self.phase:10} {self.message}"


def documented(kind: str) -> dict[str, Any]:
    """Return the manifest of a kind that docs/argo-cd.md shows."""
    blocks = re.findall(r"^```yaml\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    found: dict[str, Any] = next(item for item in map(yaml.safe_load, blocks) if item["kind"] == kind)
    return found


def push_chart() -> str:
    """Push the chart to the registry under a version of its own; return the version."""
    version = f"0.1.0-e2e.{uuid.uuid4().hex[:8]}"
    with tempfile.TemporaryDirectory() as folder:
        for arguments in (
            ("package", str(paths.CHART), f"--version={version}", f"--destination={folder}"),
            ("push", f"{folder}/tensorflow-model-{version}.tgz", f"oci://{registry.ADDRESS}/charts", "--plain-http"),
        ):
            done = subprocess.run([tools.helm(), *arguments], capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stdout + done.stderr
    return version


@dataclass
class Application:
    """The Application of a release, which is installed by nobody else, and the states it went through."""

    release: Release
    version: str
    states: list[State] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Connect to the Kubernetes API."""
        self.name = self.release.namespace
        self.objects = client.CustomObjectsApi(self.release.core.api_client)
        self._created = 0.0
        self._stopped = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)

    # ---- what a person does

    def create(self, values: Mapping[str, Any]) -> None:
        """Create it as documented, with the images and values of the test, and note each state from now on."""
        manifest = documented("Application")
        manifest["metadata"]["name"] = self.name
        source = manifest["spec"]["source"]
        source.update(repoURL=CHARTS, targetRevision=self.version)
        source["helm"].update(releaseName=self.release.name, valuesObject=self._with_images(values))
        manifest["spec"]["destination"]["namespace"] = self.release.namespace
        self._created = time.monotonic()
        self.objects.create_namespaced_custom_object(**KIND, body=manifest)
        self._watcher.start()

    def change(self, values: Mapping[str, Any]) -> None:
        """Give it other values, as a commit to its repository would."""
        helm = {"valuesObject": self._with_images(values)}
        # A merge patch would leave keys that are not there any more.
        body = [{"op": "replace", "path": "/spec/source/helm/valuesObject", "value": helm["valuesObject"]}]
        self._patch(body)

    def hard_refresh(self) -> None:
        """Render it again, whatever was kept, and return when Argo CD has compared."""
        self._patch([{"op": "add", "path": "/metadata/annotations", "value": {"argocd.argoproj.io/refresh": "hard"}}])
        wait_for(
            lambda: "argocd.argoproj.io/refresh" not in self.get()["metadata"].get("annotations", {}),
            "Argo CD has refreshed",
            SYNC_TIMEOUT_SECONDS,
        )

    def sync(self) -> dict[str, Any]:
        """Apply it once more, as the button does; return the operation once it has ended."""
        before = (self.get().get("status", {}).get("operationState") or {}).get("startedAt")
        self._patch([{"op": "add", "path": "/operation", "value": {"sync": {"prune": True}}}])

        def ended() -> dict[str, Any] | None:
            state: dict[str, Any] = self.get().get("status", {}).get("operationState") or {}
            return state if state.get("startedAt") != before and state.get("finishedAt") else None

        return wait_for(ended, "the sync has ended", SYNC_TIMEOUT_SECONDS)

    def delete(self) -> None:
        """Delete it, and return when it and what it installed are gone."""
        self.objects.delete_namespaced_custom_object(**KIND, name=self.name)
        wait_for(lambda: not self.exists(), "the Application is gone", FINALIZED_TIMEOUT_SECONDS)

    def exists(self) -> bool:
        """Tell whether it is there."""
        found = self.objects.list_namespaced_custom_object(**KIND)
        return self.name in [item["metadata"]["name"] for item in found["items"]]

    # ---- what Argo CD says

    def get(self) -> dict[str, Any]:
        """Return the Application."""
        found: dict[str, Any] = self.objects.get_namespaced_custom_object(**KIND, name=self.name)
        return found

    def state(self) -> State:
        """Return what Argo CD says now."""
        return self._state(self.get())

    def wait_for(self, sync: str, health: str, timeout_seconds: float = TRAINED_TIMEOUT_SECONDS) -> State:
        """Return the state once it is this one for the values given last."""

        def reached() -> State | None:
            found = self.get()
            state = self._state(found)
            compared = found.get("status", {}).get("sync", {}).get("comparedTo", {}).get("source", {}).get("helm")
            is_current = compared == found["spec"]["source"]["helm"] and not found.get("operation")
            return state if is_current and (state.sync, state.health) == (sync, health) else None

        try:
            return wait_for(reached, f"{self.name} is {sync} and {health}", timeout_seconds)
        except TimeoutError as error:
            conditions = self.get().get("status", {}).get("conditions")
            raise TimeoutError(f"{error}\n{self.told()}\n{json.dumps(conditions, indent=1)}") from None

    def told(self) -> str:
        """Return every state so far as a table."""
        return "\n".join(state.row() for state in self.states)

    def since(self, state: State) -> list[State]:
        """Return the states that came after one that `state` or `wait_for` returned."""
        return [one for one in self.states if one.seconds > state.seconds]

    def stop(self) -> None:
        """Note no more states."""
        self._stopped.set()

    # ---- within

    def _watch(self) -> None:
        stream = watch.Watch()
        selector = f"metadata.name={self.name}"
        for event in stream.stream(
            self.objects.list_namespaced_custom_object, **KIND, field_selector=selector, timeout_seconds=1200
        ):
            if self._stopped.is_set():
                return
            state = self._state(event["object"])
            last = self.states[-1] if self.states else None
            if last is None or (last.sync, last.health, last.phase) != (state.sync, state.health, state.phase):
                self.states.append(state)

    def _state(self, found: dict[str, Any]) -> State:
        status = found.get("status", {})
        operation = status.get("operationState") or {}
        return State(
            time.monotonic() - self._created,
            status.get("sync", {}).get("status", ""),
            status.get("health", {}).get("status", ""),
            operation.get("phase", ""),
            str(operation.get("message", "")).partition("\n")[0],
        )

    def _with_images(self, values: Mapping[str, Any]) -> dict[str, Any]:
        images = json.loads(Path(self.release.access.values).read_text(encoding="utf-8"))
        return {name: {**images.get(name, {}), **values.get(name, {})} for name in {*images, *values}}

    def _patch(self, body: list[dict[str, Any]]) -> None:
        # The client takes every patch of such objects for a merge patch unless told otherwise.
        kind = "application/json-patch+json"
        self.objects.patch_namespaced_custom_object(**KIND, name=self.name, body=body, _content_type=kind)
