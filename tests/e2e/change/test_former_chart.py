"""An upgrade from a chart that was released before, with its values: nothing is lost, and nothing is trained."""

from __future__ import annotations

import io
import json
import subprocess
import tarfile
from typing import TYPE_CHECKING

import pytest

from ci import paths
from tests.e2e import traffic
from tests.e2e.change import serving
from tests.e2e.departures import Departures

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.digits import Digits
    from tests.e2e.release import Release

# The chart as it was before a first release; a tag takes its place once there is one.
FORMER = "bc9b5f6e30843f96e6da21939807d4dfb778c150"


@pytest.fixture(scope="session")
def former_chart(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the package of the former chart."""
    folder = tmp_path_factory.mktemp("former")
    command = ["git", "-C", str(paths.ROOT), "archive", FORMER, "charts/tensorflow-model"]
    packed = subprocess.run(command, capture_output=True, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        archive.extractall(folder, filter="data")
    return folder / "charts" / "tensorflow-model"


@pytest.mark.parametrize("reused", [False, True], ids=["its-values", "reuse-values"])
def test_upgrade_from_the_former_chart(
    release: Release, digits: Digits, former_chart: Path, tmp_path: Path, *, reused: bool
) -> None:
    one = release.beside("reused" if reused else "given")
    one.helm("package", str(former_chart), f"--destination={tmp_path}")
    package = next(tmp_path.glob("*.tgz"))
    # Keys that both charts have.
    values = json.dumps({name: value for name, value in serving.values().items() if name != "networkPolicy"})
    common = (f"--values={one.access.values}", "--values=-", "--wait", "--timeout=500s")
    one.helm("install", one.name, str(package), *common, text=values)
    uid = one.current_job().metadata.uid
    with (
        traffic.steady(one, serving.by_api(one, digits)) as seen,
        Departures(one) as departures,
        seen.window(f"former chart, {'reused' if reused else 'given'} values") as window,
    ):
        if reused:
            # A new label, so that there is something to roll for.
            changed = ("--set=commonLabels.changed=once",)
            one.helm("upgrade", one.name, str(paths.CHART), "--reuse-values", *changed, "--wait", "--timeout=500s")
        else:
            one.helm("upgrade", one.name, str(paths.CHART), *common, text=values)
        serving.ready(one)
        one.wait_for_job()
    window.assert_faultless()
    departures.assert_in_time(least=0)
    assert seen.versions(seconds=3600).keys() == {"1"}, "nothing is trained again"
    if one.current_job().metadata.uid != uid:
        assert "already published" in one.kubectl("logs", f"job/{one.current_job().metadata.name}", "--container=check")
    one.helm("uninstall", one.name, "--wait", "--timeout=120s")
