"""One Helm release under test: what helm, kubectl and the Kubernetes API say and do about it."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kubernetes import client, config

from ci import paths
from ci.cluster.forward import forwarded
from tests.e2e.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

API_PORT = 8080
SERVER_GRPC_PORT = 8500
SERVER_REST_PORT = 8501
TRAINING_TIMEOUT_SECONDS = 300
ROLLOUT_TIMEOUT_SECONDS = 240


class CommandFailedError(Exception):
    """A helm or kubectl command that exited with an error; the message holds all it printed."""


@dataclass(frozen=True)
class Access:
    """The programs and the kubeconfig that reach the cluster."""

    helm: Path
    kubectl: Path
    kubeconfig: Path
    values: Path


@dataclass
class Release:
    """A release of the chart in a namespace of its own; `values` are those of its last install or upgrade."""

    access: Access
    namespace: str
    name: str = "mnist"
    values: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Connect to the Kubernetes API."""
        connection = config.new_client_from_config(str(self.access.kubeconfig))
        self.core = client.CoreV1Api(connection)
        self.apps = client.AppsV1Api(connection)
        self.batch = client.BatchV1Api(connection)
        self.autoscaling = client.AutoscalingV2Api(connection)

    @property
    def fullname(self) -> str:
        """Return the prefix of the names of all objects of the release."""
        return f"{self.name}-tensorflow-model"

    def named(self, component: str) -> str:
        """Return the name of a component's Deployment, Service and HPA."""
        return f"{self.fullname}-{component}"

    def beside(self, name: str) -> Release:
        """Return another release in the same namespace, which is still to be installed."""
        return Release(self.access, self.namespace, name)

    # ---- helm

    def upgrade(self, values: Mapping[str, Any] | None = None, *, wait: bool = True) -> str:
        """Install or upgrade with these values on top of the images'; with `wait`, until everything is ready."""
        self.values = values or {}
        return self.helm(*self._upgrade_arguments(wait=wait), text=json.dumps(self.values))

    @contextlib.contextmanager
    def upgrading(self, values: Mapping[str, Any]) -> Iterator[subprocess.Popen[str]]:
        """Begin the same upgrade and yield helm while it waits; it has ended when the block does."""
        command = [str(self.access.helm), *self._upgrade_arguments(wait=True), *self._where]
        pipe = subprocess.PIPE
        with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.STDOUT, text=True) as helm:
            assert helm.stdin is not None
            helm.stdin.write(json.dumps(values))
            helm.stdin.close()
            # What it prints is a few lines, which fit into the pipe.
            yield helm

    def _upgrade_arguments(self, *, wait: bool) -> list[str]:
        waiting = ["--wait", f"--timeout={TRAINING_TIMEOUT_SECONDS + ROLLOUT_TIMEOUT_SECONDS}s"] if wait else []
        values = (f"--values={self.access.values}", "--values=-")
        return ["upgrade", "--install", self.name, str(paths.CHART), *values, *waiting]

    def helm(self, *arguments: str, text: str = "") -> str:
        """Run helm in the release's namespace and return what it printed."""
        return _run([str(self.access.helm), *arguments, *self._where], text)

    @property
    def _where(self) -> tuple[str, str]:
        return (f"--kubeconfig={self.access.kubeconfig}", f"--namespace={self.namespace}")

    # ---- kubectl

    @property
    def kubectl_command(self) -> list[str]:
        """Return the kubectl command line for the release's namespace."""
        return [
            str(self.access.kubectl),
            f"--kubeconfig={self.access.kubeconfig}",
            f"--namespace={self.namespace}",
        ]

    def kubectl(self, *arguments: str) -> str:
        """Run kubectl in the release's namespace and return what it printed."""
        return _run([*self.kubectl_command, *arguments])

    def shell(self, script: str, timeout_seconds: float = 300) -> str:
        """Run a command line as a person types it, with this cluster's helm and kubectl, and return what it printed."""
        with tempfile.TemporaryDirectory() as folder:
            for name, program in (("helm", self.access.helm), ("kubectl", self.access.kubectl)):
                # By its own path: the program may be one that looks at the name it is called by.
                wrapper = Path(folder) / name
                wrapper.write_text(f'#!/bin/sh\nexec {program} "$@"\n', encoding="utf-8")
                wrapper.chmod(0o755)
            environment = {
                **os.environ,
                "PATH": f"{folder}:{os.environ['PATH']}",
                "KUBECONFIG": str(self.access.kubeconfig),
            }
            done = subprocess.run(
                ["bash", "-e", "-c", script],
                env=environment,
                capture_output=True,
                text=True,
                check=False,
                timeout=timeout_seconds,
            )
        if done.returncode != 0:
            raise CommandFailedError(f"{script}\nexited with {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout

    @contextlib.contextmanager
    def port(self, component: str, port: int) -> Iterator[int]:
        """Forward a local port to a component's Service."""
        with forwarded(self.kubectl_command, f"service/{self.named(component)}", port) as local:
            yield local

    def exec(self, component: str, *command: str) -> str:
        """Run a command in a component's container and return what it printed."""
        return self.kubectl("exec", f"deployment/{self.named(component)}", f"--container={component}", "--", *command)

    # ---- objects

    def jobs(self) -> list[Any]:
        """Return the release's training Jobs, oldest first."""
        selector = f"app.kubernetes.io/instance={self.name},app.kubernetes.io/component=training"
        jobs = self.batch.list_namespaced_job(self.namespace, label_selector=selector).items
        return sorted(jobs, key=lambda job: job.metadata.creation_timestamp)

    def current_job(self) -> Any:
        """Return the Job of the release's current manifest."""
        manifest = self.helm("get", "manifest", self.name)
        return next(job for job in self.jobs() if job.metadata.name in manifest)

    def wait_for_job(self, condition: str = "Complete", timeout_seconds: float = TRAINING_TIMEOUT_SECONDS) -> Any:
        """Return the current Job once it has the condition; raise when it ends otherwise."""

        def ended() -> Any:
            job = self.current_job()
            states = {state.type: state for state in job.status.conditions or () if state.status == "True"}
            if condition in states:
                return job
            for other in {"Complete", "Failed"} & set(states):
                raise AssertionError(f"Job {job.metadata.name} ended {other}: {states[other].message}")
            return None

        return wait_for(ended, f"Job of {self.name} is {condition}", timeout_seconds)

    def pods(self, component: str, *, even_terminating: bool = False) -> list[Any]:
        """Return a component's pods, those that are being deleted (and still answer) only if asked for."""
        selector = f"app.kubernetes.io/instance={self.name},app.kubernetes.io/component={component}"
        pods = self.core.list_namespaced_pod(self.namespace, label_selector=selector).items
        return [pod for pod in pods if even_terminating or pod.metadata.deletion_timestamp is None]

    def wait_for_rollout(self, component: str, timeout_seconds: float = ROLLOUT_TIMEOUT_SECONDS) -> None:
        """Return when every pod of the component runs the current template and is ready."""
        name = f"deployment/{self.named(component)}"
        self.kubectl("rollout", "status", name, f"--timeout={timeout_seconds:.0f}s")

    def wait_for_endpoints(self, component: str, count: int, timeout_seconds: float = 90) -> None:
        """Return when a component's Service sends traffic to so many pods."""
        what = f"{count} endpoints of {self.named(component)}"
        wait_for(lambda: len(self.endpoints(component)) == count, what, timeout_seconds)

    def endpoints(self, component: str) -> list[str]:
        """Return the addresses a component's Service sends traffic to."""
        slices = client.DiscoveryV1Api(self.core.api_client).list_namespaced_endpoint_slice(
            self.namespace, label_selector=f"kubernetes.io/service-name={self.named(component)}"
        )
        return [
            address
            for item in slices.items
            for endpoint in item.endpoints or ()
            if endpoint.conditions.ready
            for address in endpoint.addresses
        ]


def _run(command: list[str], text: str = "") -> str:
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise CommandFailedError(f"{' '.join(command)} exited with {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout
