"""A release whose models are in a bucket of a real S3 server in its namespace."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from ci.addons import s3_server
from tests.e2e import clients, jobs, quick
from tests.e2e.waiting import wait_for

if TYPE_CHECKING:
    import trustme

    from tests.e2e.release import Release

BUCKET = "models"
PREFIX = "team"
SECRET = "s3"  # noqa: S105 - its name
ACCESS_KEY, SECRET_KEY = "key-of-the-suite", "secret-that-is-nowhere-else"
TIMEOUT_SECONDS = 240
FOLLOW_TIMEOUT_SECONDS = 90


@dataclass
class Server:
    """The S3 server: stopped, started, and looked into."""

    release: Release

    def install(self) -> None:
        """Make it, and return when it answers."""
        apply(self.release, s3_server.manifest())
        self._wait(1)

    def kill(self) -> None:
        """End it at once, and keep it from coming back."""
        self.release.kubectl("scale", "deployment/s3", "--replicas=0")
        self.release.kubectl("delete", "pods", "--selector=app=s3", "--grace-period=0", "--force")
        wait_for(lambda: not self._pods(), "no S3 server", TIMEOUT_SECONDS)

    def start(self) -> None:
        """Let it come back, and return when it answers."""
        self.release.kubectl("scale", "deployment/s3", "--replicas=1")
        self._wait(1)

    def shell(self, script: str) -> str:
        """Run a script where its buckets are folders."""
        folder = f"/data/buckets/{BUCKET}"
        return self.release.kubectl("exec", "deployment/s3", "--", "sh", "-c", f"cd {folder} && {script}")

    def versions(self) -> list[str]:
        """Return the paths of the versions that are published."""
        found = self.shell("find . -name manifest.json").split()
        paths = [path.removeprefix("./").removesuffix("/manifest.json") for path in found]
        return sorted(paths, key=lambda path: int(path.rpartition("/")[2]))

    def _wait(self, count: int) -> None:
        self.release.kubectl("rollout", "status", "deployment/s3", f"--timeout={TIMEOUT_SECONDS}s")
        wait_for(lambda: len(self._pods()) == count, f"{count} S3 servers", TIMEOUT_SECONDS)

    def _pods(self) -> list[Any]:
        pods: list[Any] = self.release.core.list_namespaced_pod(self.release.namespace, label_selector="app=s3").items
        return pods


def apply(release: Release, manifest: str) -> None:
    """Make or change objects in the release's namespace."""
    command = [*release.kubectl_command, "apply", "--filename=-"]
    subprocess.run(command, input=manifest, text=True, check=True, capture_output=True)


def put_credentials(release: Release) -> None:
    """Make the Secret with the S3 server's own keys."""
    keys = {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY}
    secret = {"metadata": {"name": SECRET}, "stringData": keys}
    release.core.create_namespaced_secret(release.namespace, secret)


def put_authority(release: Release, authority: trustme.CA, config_map: str) -> None:
    """Make a ConfigMap with an authority's certificate, as a release is given it."""
    data = {"ca.crt": authority.cert_pem.bytes().decode()}
    release.core.create_namespaced_config_map(release.namespace, {"metadata": {"name": config_map}, "data": data})


def publish_again(release: Release, run: str, version: int) -> None:
    """Have a scheduled run publish a version, and return when the server's pods that were there answer with it."""
    pods = {pod.metadata.name for pod in release.pods("server")}
    jobs.run_now(release, run)
    jobs.wait_for_end(release, run, "Complete")
    for name in pods:

        def is_followed(name: str = name) -> bool:
            return f"version {version}" in release.kubectl("logs", name, "--container=follower", "--tail=-1")

        wait_for(is_followed, f"{name} follows", FOLLOW_TIMEOUT_SECONDS)
    wait_for(
        lambda: clients.served_model(release)["version"] == version, "the new version answers", FOLLOW_TIMEOUT_SECONDS
    )
    assert {pod.metadata.name for pod in release.pods("server")} == pods


def values(score: float = 0.9, **training: Any) -> dict[str, Any]:
    """Return values of a release that trains in seconds and serves from the bucket with two pods on two nodes."""
    given = quick.values({"score": score}, **training)
    spread = {"maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "DoNotSchedule"}
    given["server"] = {
        **given["server"],
        "replicaCount": 2,
        "topologySpreadConstraints": [spread],
        "preStopSleepSeconds": 1,
        # One node may have no room for a third: the old pod goes first.
        "strategy": {"rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}},
    }
    given["api"] = {**given["api"], "drainSeconds": 1}
    for component in ("training", "server", "api"):
        # One of the cluster's two nodes is its control plane's.
        given[component]["tolerations"] = [{"key": "node-role.kubernetes.io/control-plane", "operator": "Exists"}]
    given["modelStore"] = {
        "type": "s3",
        "s3": {
            "endpoint": f"http://s3:{s3_server.PORT}",
            "bucket": BUCKET,
            "prefix": PREFIX,
            "existingSecret": SECRET,
        },
    }
    return given


@pytest.fixture(scope="module")
def server(release: Release) -> Server:
    """Return the S3 server of the release's namespace."""
    put_credentials(release)
    server = Server(release)
    server.install()
    return server
