"""Steady traffic while something changes: every answer, failure and version is kept."""

from __future__ import annotations

import collections
import contextlib
import json
import subprocess
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.e2e.own_model import image_of
from tests.e2e.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.release import Release

# Run in a pod of the release's own api image, so that it reaches the Service as the cluster's clients do: a request
# every 1/RATE seconds, every other on a new connection, until its standard input is closed.
CLIENT = """\
import http.client, json, sys, threading, time
host, body, rate = sys.argv[1], sys.argv[2], float(sys.argv[3])
stopped = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), stopped.set()), daemon=True).start()
def ask(connection):
    connection.request("POST", "/predict", body, {"Content-Type": "application/json"})
    reply = connection.getresponse()
    return reply.status, reply.getheader("X-Model-Version"), reply.read().decode()
lock = threading.Lock()
def run(kept):
    connection = None
    while not stopped.wait(4 / rate):
        started = time.time()
        try:
            if connection is None or not kept:
                connection = http.client.HTTPConnection(host, 8080, timeout=20)
            status, version, text = ask(connection)
        except Exception as error:
            status, version, text, connection = 0, None, repr(error), None
        with lock:
            print(json.dumps([started, time.time() - started, status, version, text]), flush=True)
threads = [threading.Thread(target=run, args=(i % 2 == 0,)) for i in range(4)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
"""
POD = "traffic"
START_TIMEOUT_SECONDS = 120


@dataclass
class Traffic:
    """What the clients saw."""

    requests: list[dict[str, Any]] = field(default_factory=list)

    def failures(self) -> list[dict[str, Any]]:
        """Return what was not answered with 200."""
        return [request for request in self.requests if request["status"] != 200]

    def versions(self, since: float = 0.0) -> collections.Counter[str]:
        """Return how often each version answered since a time."""
        return collections.Counter(str(request["version"]) for request in self.requests if request["started"] >= since)


def start(release: Release) -> None:
    """Start the pod the requests come from."""
    container = {
        "name": POD,
        "image": image_of(release, "api"),
        "command": ["python3", "-c", "import signal; signal.sigwait([signal.SIGTERM])"],
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    security = {"runAsNonRoot": True, "runAsUser": 10001, "seccompProfile": {"type": "RuntimeDefault"}}
    spec = {"terminationGracePeriodSeconds": 1, "securityContext": security, "containers": [container]}
    release.core.create_namespaced_pod(release.namespace, {"metadata": {"name": POD}, "spec": spec})

    def runs() -> bool:
        return bool(release.core.read_namespaced_pod(POD, release.namespace).status.phase == "Running")

    wait_for(runs, "the traffic's pod runs", START_TIMEOUT_SECONDS)


@contextlib.contextmanager
def steady(release: Release, body: dict[str, Any], rate: float = 40.0) -> Iterator[Traffic]:
    """Send a body to /predict at a rate from inside the cluster while the block runs."""
    traffic = Traffic()
    command = [
        *release.kubectl_command,
        "exec",
        "--stdin",
        POD,
        "--",
        "python3",
        "-c",
        CLIENT,
        release.named("api"),
        json.dumps(body),
        str(rate),
    ]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdin is not None

        def read(lines: Any) -> None:
            for line in lines:
                started, seconds, status, version, text = json.loads(line)
                traffic.requests.append(
                    {"started": started, "seconds": seconds, "status": status, "version": version, "text": text}
                )

        reader = threading.Thread(target=read, args=(process.stdout,))
        reader.start()
        try:
            wait_for(lambda: traffic.requests, "the first answer", START_TIMEOUT_SECONDS)
            yield traffic
        finally:
            process.stdin.close()
            reader.join(30)
