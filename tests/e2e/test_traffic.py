"""Change under traffic, in short: an upgrade that retrains, deleted pods; tests/e2e/change has the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.e2e import traffic
from tests.e2e.change import serving
from tests.e2e.departures import Departures
from tests.e2e.waiting import wait_for

if TYPE_CHECKING:
    from tests.e2e.digits import Digits
    from tests.e2e.release import Release

pytestmark = pytest.mark.traffic
SWITCH_TIMEOUT_SECONDS = 90


def test_upgrade_and_pod_delete_lose_no_request(release: Release, digits: Digits) -> None:
    release.upgrade(serving.values())
    with (
        traffic.steady(release, serving.questions(release, digits)) as seen,
        seen.window("upgrade, pods deleted") as window,
        Departures(release) as departures,
    ):
        release.upgrade(serving.values({"api": {"podAnnotations": {"changed": "yes"}}}, seed=2))
        # While the next model is trained: pods of either revision.
        for component in ("server", "api"):
            release.core.delete_namespaced_pod(release.pods(component)[0].metadata.name, release.namespace)
        serving.ready(release)
        wait_for(lambda: set(seen.versions()) == {"2"}, "only version 2 answers", SWITCH_TIMEOUT_SECONDS)
    window.assert_faultless(least=2000)
    departures.assert_in_time(least=6)
