"""Rendered elsewhere and applied, with no Helm or Argo CD in the cluster: by kubectl, or by the server as Flux does."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from ci import paths, versions
from tests.e2e import clients
from tests.e2e.argocd.objects import generations
from tests.e2e.argocd.values import values

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.release import Release

FLUX = "kustomize-controller"


@pytest.fixture(scope="module")
def manifest(release: Release, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the file that `helm template` writes for the release, the pod of `helm test` left out."""
    text = release.helm(
        "template",
        release.name,
        str(paths.CHART),
        f"--kube-version={versions.CLUSTER['kubernetes']}",
        "--skip-tests",
        f"--values={release.access.values}",
        "--values=-",
        text=json.dumps(values()),
    )
    file = tmp_path_factory.mktemp("rendered") / "release.yaml"
    file.write_text(text, encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def applied(release: Release, manifest: Path) -> Release:
    """Return the release applied by kubectl, which is told of no namespace, and ready."""
    release.shell(f"kubectl apply --filename={manifest}")
    for component in ("server", "api"):
        release.wait_for_rollout(component)
    return release


def test_objects_are_in_the_namespace_of_the_release(applied: Release) -> None:
    [job] = applied.jobs()
    assert job.status.succeeded == 1
    [answer] = clients.predict(applied, np.ones((1, 4), np.uint8))
    assert answer["prediction"] == "leaves"


def test_applying_it_again_changes_nothing(applied: Release, manifest: Path) -> None:
    before = generations(applied)
    # It ends with 1 where there is a difference.
    assert applied.shell(f"kubectl diff --filename={manifest}") == ""
    applied.shell(f"kubectl apply --filename={manifest}")
    assert generations(applied) == before


def test_another_manager_on_the_servers_side_meets_no_conflict(applied: Release, manifest: Path) -> None:
    before = generations(applied)
    for _ in range(2):
        applied.shell(f"kubectl apply --server-side --field-manager={FLUX} --filename={manifest}")
    assert generations(applied) == before
