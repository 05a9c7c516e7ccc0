"""What is not good enough is never published, and says why: gates over metrics, and the real server's blessing."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e import clients, jobs, quick

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.release import Release

NOT_WORSE = [{"metric": "accuracy", "notWorseThan": "served", "by": 0.01}]
# What each release trains that must not be published: its container that tells, exit code, and what it tells.
REFUSED: dict[str, tuple[dict[str, Any], str, int, str]] = {
    "below": (
        quick.values({"score": 0.7}, gates=[{"metric": "accuracy", "min": 0.8}]),
        "publisher",
        3,
        r"accuracy.*0\.7.*0\.8.*nothing was published",
    ),
    "nan": (quick.values({"finite": False}, gates=[]), "publisher", 3, r"accuracy.*nan.*nothing was published"),
    "unreported": (
        quick.values(gates=[{"metric": "auc", "min": 0.8}]),
        "publisher",
        3,
        r"auc.*accuracy.*nothing was published",
    ),
    "mismatch": (quick.values({"error": 0.01}), "publisher", 3, r"output_0.*nothing was published"),
    "unloadable": (
        quick.values({"broken": True}),
        "publisher",
        3,
        r"cannot load the model: .*checkpoint.*nothing was published",
    ),
    "program": (quick.values({"exit": 1}), "training", 1, r"the program ends with 1"),
}


@pytest.fixture(scope="module")
def refused(release: Release) -> Iterator[dict[str, Release]]:
    """Yield releases that train what must not be published, all of them at once."""
    releases = {name: release.beside(name) for name in REFUSED}
    for name, one in releases.items():
        one.upgrade(REFUSED[name][0], wait=False)
    yield releases
    for one in releases.values():
        one.helm("uninstall", one.name)


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_good_enough_says_why(refused: dict[str, Release], name: str) -> None:
    _, container, code, told = REFUSED[name]
    end = jobs.failure(refused[name], container)
    assert end.exit_code == code
    assert re.search(told, end.message, re.DOTALL), end.message


def test_notes_print_the_command_that_tells_the_reason(refused: dict[str, Release]) -> None:
    release = refused["below"]
    jobs.failure(release, "publisher")
    notes = release.helm("get", "notes", release.name)
    commands = [line.strip() for line in notes.splitlines() if "terminat" in line and line.startswith("  kubectl")]
    assert commands, notes
    printed = release.shell(commands[0])
    assert "nothing was published" in printed


def test_candidate_is_held_to_the_model_in_service(release: Release) -> None:
    served = release.beside("served")
    served.upgrade(quick.values({"score": 0.9}, gates=NOT_WORSE))
    assert "nothing is published yet" in jobs.log(served, "publisher")
    before = clients.served_model(served)
    assert before["metrics"]["accuracy"] == pytest.approx(0.9)

    served.upgrade(quick.values({"score": 0.85}, gates=NOT_WORSE), wait=False)
    end = jobs.failure(served, "publisher")
    assert end.exit_code == 3
    assert re.search(r"accuracy.*0\.85.*0\.9.*nothing was published", end.message, re.DOTALL), end.message
    assert clients.served_model(served)["version"] == before["version"]

    served.upgrade(quick.values({"score": 0.895}, gates=NOT_WORSE))
    served.wait_for_rollout("server")
    assert re.search(r"blessed.*\d s", jobs.log(served, "publisher"))
