"""A SavedModel that nobody here trained: made in the cluster by Keras, copied into a claim by its owner."""

from __future__ import annotations

import base64
import io
import json
import tarfile
from typing import TYPE_CHECKING, Any

from tests.e2e.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.e2e.release import Release

WRITER = "writer"
MOUNT = "/store"
READY_TIMEOUT_SECONDS = 120
# Writes a model that says whether four numbers add up to more than nothing: make.py FOLDER [SLOPE]. Its score is
# sigmoid(slope * sum), so that versions can be told apart.
MAKE = """\
import sys
import keras
folder, slope = sys.argv[1], float((sys.argv[2:] or ["1"])[0])
start = keras.initializers.Constant(slope)
layers = [keras.Input((4,), name="features"), keras.layers.Dense(1, "sigmoid", kernel_initializer=start)]
keras.Sequential(layers).export(folder, verbose=False)
"""
# A model of two inputs, which no client of the other one can use.
MAKE_PAIR = """\
import sys
import keras
a, b = keras.Input((4,), name="a"), keras.Input((1,), name="b")
joined = keras.layers.Concatenate()([a, b])
keras.Model({"a": a, "b": b}, keras.layers.Dense(2)(joined)).export(sys.argv[1], verbose=False)
"""


def image_of(release: Release, component: str) -> str:
    """Return the image of a component as the release's values name it."""
    image = json.loads(release.access.values.read_text(encoding="utf-8"))[component]["image"]
    return f"{image['registry']}/{image['repository']}@{image['digest']}"


def claim(release: Release, name: str) -> None:
    """Make a claim as its owner would."""
    body = {
        "metadata": {"name": name},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }
    release.core.create_namespaced_persistent_volume_claim(release.namespace, body)


def writer(release: Release, claim_name: str, name: str = WRITER) -> None:
    """Start a pod that has TensorFlow and the claim; return when commands can run in it."""
    container = {
        "name": WRITER,
        "image": image_of(release, "server"),
        "command": ["python3", "-c", "import signal; signal.sigwait([signal.SIGTERM])"],
        "env": [{"name": "HOME", "value": "/tmp"}, {"name": "TF_CPP_MIN_LOG_LEVEL", "value": "3"}],  # noqa: S108
        "volumeMounts": [{"name": "store", "mountPath": MOUNT}, {"name": "tmp", "mountPath": "/tmp"}],  # noqa: S108
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    pod = {
        "metadata": {"name": name},
        "spec": {
            "terminationGracePeriodSeconds": 1,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 10001,
                "runAsGroup": 10001,
                "fsGroup": 10001,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [container],
            "volumes": [
                {"name": "store", "persistentVolumeClaim": {"claimName": claim_name}},
                {"name": "tmp", "emptyDir": {}},
            ],
        },
    }
    release.core.create_namespaced_pod(release.namespace, pod)

    def runs() -> bool:
        return bool(release.core.read_namespaced_pod(name, release.namespace).status.phase == "Running")

    wait_for(runs, "the writer runs", READY_TIMEOUT_SECONDS)


def store(release: Release, claim_name: str) -> Release:
    """Return a release in whose namespace there is a claim that holds `churn/1`, and a pod to write to it."""
    claim(release, claim_name)
    writer(release, claim_name)
    put(release, "churn/1")
    return release


def installed(release: Release, name: str, given: dict[str, Any], *, wait: bool = True) -> Release:
    """Return another release in the same namespace, installed with these values."""
    other = release.beside(name)
    other.upgrade(given, wait=wait)
    return other


def in_store(release: Release, *command: str) -> str:
    """Run a command in the writer and return what it printed."""
    return release.kubectl("exec", WRITER, "--", *command)


def put(release: Release, path: str, slope: float = 1.0) -> None:
    """Put a version of the model into the claim, at once, as a careful owner does."""
    hidden = f"{MOUNT}/.incoming"
    in_store(release, "python3", "-c", MAKE, hidden, str(slope))
    move(release, hidden, f"{MOUNT}/{path}")


def copy_out(release: Release, path: str, target: Path) -> None:
    """Copy a folder of the claim into a local one; the image has no tar, which kubectl cp would ask for."""
    script = (
        "import base64, io, sys, tarfile; packed = io.BytesIO(); archive = tarfile.open(fileobj=packed, mode='w'); "
        "archive.add(sys.argv[1], sys.argv[2]); archive.close(); print(base64.b64encode(packed.getvalue()).decode())"
    )
    packed = base64.b64decode(in_store(release, "python3", "-c", script, f"{MOUNT}/{path}", path))
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        archive.extractall(target, filter="data")


def move(release: Release, source: str, target: str) -> None:
    """Rename a folder of the claim; its parent is made."""
    script = "import os, sys; os.makedirs(os.path.dirname(sys.argv[2]), exist_ok=True); os.rename(*sys.argv[1:])"
    in_store(release, "python3", "-c", script, source, target)


def values(model: dict[str, Any], claim_name: str = "", server: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return values that serve a model nobody here trains."""
    fixed = {"autoscaling": {"enabled": False}}
    return {
        "model": model,
        "training": {"enabled": False},
        "modelStore": {"pvc": {"existingClaim": claim_name}} if claim_name else {},
        "server": {**fixed, **(server or {})},
        "api": fixed,
    }


def loader_messages(release: Release, container: str = "loader") -> list[str]:
    """Return why the loaders of the server's pods ended last, as `kubectl describe pod` shows it."""
    found: list[str] = []
    for pod in release.pods("server"):
        statuses: Sequence[Any] = pod.status.init_container_statuses or ()
        for status in statuses:
            states = (status.state.terminated, status.last_state.terminated) if status.name == container else ()
            found += [str(state.message) for state in states if state is not None and state.message]
    return found
