"""A registry on this machine that the cluster's nodes pull from."""

from __future__ import annotations

import json
import tempfile
import urllib.request
from pathlib import Path

from ci import paths, tools, versions
from ci.cluster import docker_engine
from ci.images import local_images
from ci.steps import StepError, run, succeeds
from ci.turns import turn
from ci.waiting import first_true

NAME = "tensorflow-model-registry"
PORT = 5001
ADDRESS = f"localhost:{PORT}"
# By which containers on its network, and pods, know it.
IN_CLUSTER = "registry:5000"
NETWORK = "kind"
START_TIMEOUT_SECONDS = 90
POLL_SECONDS = 0.2
CONFIGURATION = """\
version: 0.1
storage:
  filesystem: {rootdirectory: /data}
  delete: {enabled: true}
http: {addr: ":5000"}
"""
DOCKERFILE = """\
FROM scratch
COPY registry config.yaml /
ENTRYPOINT ["/registry", "serve", "/config.yaml"]
"""


def up() -> None:
    """Run the registry on ADDRESS; a running one is left alone."""
    with turn(paths.cache() / "registry.lock"):
        if not answers():
            _start(docker_engine.client())


def connect() -> None:
    """Put the registry on the network of the cluster's nodes, which is there as soon as there was a cluster."""
    client = docker_engine.client()
    networks = json.loads(run([client, "inspect", "--format={{json .NetworkSettings.Networks}}", NAME]))
    if NETWORK not in networks:
        alias = f"--alias={IN_CLUSTER.partition(':')[0]}"
        run([client, "network", "connect", alias, NETWORK, NAME])


def down() -> None:
    """Remove the registry and what was pushed to it."""
    client = docker_engine.client()
    if succeeds([client, "container", "inspect", NAME]):
        run([client, "rm", "--force", "--volumes", NAME])
    if succeeds([client, "volume", "inspect", NAME]):
        run([client, "volume", "rm", NAME])


def answers() -> bool:
    """Tell whether the registry answers on ADDRESS."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{PORT}/v2/", timeout=2) as reply:
            return bool(reply.status == 200)  # noqa: PLR2004 - HTTP's OK
    except OSError:
        return False


def configure_node(node: str) -> None:
    """Tell a node's containerd where images of ADDRESS come from."""
    client = docker_engine.client()
    folder = f"/etc/containerd/certs.d/{ADDRESS}"
    run([client, "exec", node, "mkdir", "-p", folder])
    run(
        [client, "exec", "--interactive", node, "cp", "/dev/stdin", f"{folder}/hosts.toml"],
        text=f'[host."http://{IN_CLUSTER}"]\n',
    )


def _start(client: str) -> None:
    if succeeds([client, "container", "inspect", NAME]):
        run([client, "rm", "--force", NAME])
    run(
        [
            client,
            "run",
            "--detach",
            "--restart=unless-stopped",
            f"--name={NAME}",
            f"--publish=127.0.0.1:{PORT}:5000",
            "--volume=tensorflow-model-registry:/data",
            _image(),
        ],
        hint=f"is another program listening on {ADDRESS}?",
    )
    if not first_true(answers, START_TIMEOUT_SECONDS, POLL_SECONDS)[0]:
        raise StepError(f"the registry does not answer on {ADDRESS}", hint=f"{client} logs {NAME}")


def _image() -> str:
    public = versions.CLUSTER["public_registry_image"]
    if local_images.has(public) or local_images.pulls(public):
        return public
    program = tools.go_program("registry")
    image = f"{NAME}:{program.name.removeprefix('registry-')}"
    if local_images.has(image):
        return image
    with tempfile.TemporaryDirectory() as folder:
        context = Path(folder)
        (context / "Dockerfile").write_text(DOCKERFILE, encoding="utf-8")
        (context / "config.yaml").write_text(CONFIGURATION, encoding="utf-8")
        (context / "registry").write_bytes(program.read_bytes())
        (context / "registry").chmod(0o755)
        run(
            [docker_engine.client(), "build", f"--tag={image}", context],
            env={"DOCKER_BUILDKIT": "1"},
            cwd=paths.ROOT,
        )
    return image
