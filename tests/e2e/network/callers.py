"""Pods that call others, and whether they get through."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.e2e.release import CommandFailedError
from tests.e2e.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.e2e.release import Release

# What a policy refuses is dropped: nobody answers, and the caller gives up.
CONNECT_TIMEOUT_SECONDS = 3
REACHED_TIMEOUT_SECONDS = 30
READY_TIMEOUT_SECONDS = 120
# One address, so that there is one outcome: a name may have another of a family that leads nowhere.
CONNECT = f"""\
import socket, sys
socket.create_connection((socket.gethostbyname(sys.argv[1]), int(sys.argv[2])), {CONNECT_TIMEOUT_SECONDS})
"""
LISTEN = "import http.server; http.server.test(http.server.SimpleHTTPRequestHandler, port=8080)"


@dataclass(frozen=True)
class Caller:
    """A container that calls: of a pod of its own, or of the release."""

    release: Release
    namespace: str
    target: str
    container: str

    def gets_through(self, host: str, port: int) -> bool:
        """Tell whether a connection is made; a name that is not known raises."""
        where = (f"--namespace={self.namespace}", self.target, f"--container={self.container}")
        try:
            self.release.kubectl("exec", *where, "--", "python3", "-c", CONNECT, host, str(port))
        except CommandFailedError as error:
            if "TimeoutError" in str(error):
                return False
            raise
        return True

    def reaches(self, host: str, port: int) -> bool:
        """Tell whether a connection is made within the time that a new policy or pod may take to be known."""
        try:
            return wait_for(lambda: self.gets_through(host, port), f"{host}:{port}", REACHED_TIMEOUT_SECONDS)
        except TimeoutError:
            return False


def pod(release: Release, name: str, labels: Mapping[str, str], namespace: str = "") -> Caller:
    """Run a pod with these labels that calls when told to, and listens on port 8080 as well."""
    where = namespace or release.namespace
    images = json.loads(release.access.values.read_text(encoding="utf-8"))
    image = images["api"]["image"]
    manifest: dict[str, Any] = {
        "metadata": {"name": name, "labels": dict(labels)},
        "spec": {
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 0,
            "securityContext": {"runAsNonRoot": True, "runAsUser": 10001, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [
                {
                    "name": "caller",
                    "image": f"{image['registry']}/{image['repository']}@{image['digest']}",
                    "command": ["python3", "-c", LISTEN],
                    "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
                }
            ],
        },
    }
    release.core.create_namespaced_pod(where, manifest)
    release.kubectl(
        "wait", f"--namespace={where}", "--for=condition=Ready", f"pod/{name}", f"--timeout={READY_TIMEOUT_SECONDS}s"
    )
    return Caller(release, where, f"pod/{name}", "caller")


def address(release: Release, name: str, namespace: str = "") -> str:
    """Return the address of a pod."""
    found: str = release.core.read_namespaced_pod(name, namespace or release.namespace).status.pod_ip
    return found


def of_release(release: Release, component: str) -> Caller:
    """Return a component's container as a caller."""
    return Caller(release, release.namespace, f"deployment/{release.named(component)}", component)


def labels(release: Release, component: str) -> dict[str, str]:
    """Return the labels by which the chart's policies know a component's pods."""
    return {
        "app.kubernetes.io/name": "tensorflow-model",
        "app.kubernetes.io/instance": release.name,
        "app.kubernetes.io/component": component,
    }
