"""TensorBoard shows the runs of a release: their metrics, and the parameters they were told, in a real browser."""

from __future__ import annotations

import json
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e import browser, jobs
from tests.e2e.waiting import wait_for

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.release import Release

PORT = 6006
LISTED_TIMEOUT_SECONDS = 90


def values(epochs: int) -> dict[str, Any]:
    """Return values of a quick training with TensorBoard beside it."""
    fixed = {"autoscaling": {"enabled": False}}
    return {
        "training": {"params": {"epochs": epochs}},
        "tensorboard": {"enabled": True},
        "server": fixed,
        "api": fixed,
    }


@pytest.fixture(scope="module")
def installed(release: Release) -> Release:
    """Return the release after two trainings of other parameters."""
    for epochs in (1, 2):
        release.upgrade(values(epochs))
        release.wait_for_job()
    return release


def ask(port: int, path: str) -> Any:
    """Return TensorBoard's answer to a page of JSON."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as reply:
        return json.load(reply)


def test_runs_of_all_keys_are_listed_with_their_metrics(installed: Release) -> None:
    with installed.port("tensorboard", PORT) as port:
        runs = wait_for(
            lambda: [run for run in ask(port, "/data/runs") if run.endswith("logs/train")] or None,
            "runs are listed",
            LISTED_TIMEOUT_SECONDS,
        )
        wait_for(
            lambda: len([run for run in ask(port, "/data/runs") if run.endswith("logs/train")]) == 2,
            "both runs are listed",
            LISTED_TIMEOUT_SECONDS,
        )
        tags = ask(port, "/data/plugin/scalars/tags")
    assert {"epoch_loss", "epoch_accuracy"} <= set(tags[runs[0]])


def test_parameters_and_metrics_are_seen_in_a_browser(installed: Release, tmp_path: Path) -> None:
    with installed.port("tensorboard", PORT) as port:
        picture = tmp_path / "tensorboard.png"
        text = browser.text_of(f"http://127.0.0.1:{port}/#hparams", picture, wait_for="hidden_units")
    for word in ("epochs", "hidden_units", "learning_rate"):
        assert word in text, text[:2000]
    assert picture.stat().st_size > 10_000


def test_tensorboard_only_reads(installed: Release) -> None:
    (pod,) = installed.pods("tensorboard")
    mounts = {mount.name: mount for mount in pod.spec.containers[0].volume_mounts}
    assert mounts["workspace"].read_only
    assert "model-store" not in mounts
    assert "port-forward service/mnist-tensorflow-model-tensorboard 6006:6006" in installed.helm(
        "get", "notes", installed.name
    )
    assert jobs.log(installed, "publisher")
