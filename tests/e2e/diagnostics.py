"""Keep what explains a failed test: objects, events, descriptions and logs of a namespace."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.release import Release


def collect(release: Release, folder: Path) -> None:
    """Write the namespace's state into `folder`; what cannot be had is written as the reason."""
    folder.mkdir(parents=True, exist_ok=True)
    _save(release, folder / "objects.txt", "get", "all,pvc,hpa,endpointslices", "--output=wide")
    _save(release, folder / "events.txt", "get", "events", "--sort-by=.lastTimestamp")
    _save(release, folder / "descriptions.txt", "describe", "pods,jobs,deployments,hpa,pvc")
    _save(release, folder / "jobs.yaml", "get", "jobs", "--output=yaml")
    for pod in release.core.list_namespaced_pod(release.namespace).items:
        name = pod.metadata.name
        logs = ("logs", name, "--all-containers", "--prefix", "--timestamps")
        _save(release, folder / f"{name}.log", *logs)
        _save(release, folder / f"{name}.previous.log", *logs, "--previous")


def _save(release: Release, path: Path, *arguments: str) -> None:
    done = subprocess.run(
        [*release.kubectl_command, *arguments], capture_output=True, text=True, check=False, timeout=60
    )
    if done.stdout or not path.name.endswith(".previous.log"):
        path.write_text(done.stdout + done.stderr, encoding="utf-8")
