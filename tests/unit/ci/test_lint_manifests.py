"""What linters of manifests find is mended or waived with a reason, and nothing is waived for nothing."""

from __future__ import annotations

import pytest

from ci.lint import manifests
from ci.lint.manifests import Finding, Waiver

OPEN = Finding("no-limit", "Deployment", "mnist-api", "default", "CPU limit is not set")


def test_what_nothing_waives_is_told_with_case_object_and_rule() -> None:
    assert manifests.judge([OPEN, OPEN], []) == ["default: Deployment mnist-api: no-limit: CPU limit is not set"]


def test_waived_rule_is_left() -> None:
    assert manifests.judge([OPEN], [Waiver(("no-limit",), "why")]) == []


@pytest.mark.parametrize("waiver", [
    Waiver(("no-limit",), "why", kinds=("Job",)), Waiver(("no-limit",), "why", cases=("everything",)),
    Waiver(("no-limit",), "why", kinds=("Deployment",), cases=("everything",)),
])  # fmt: skip
def test_waiver_of_other_kinds_or_cases_does_not_count(waiver: Waiver) -> None:
    (told, stale) = manifests.judge([OPEN], [waiver])
    assert told.startswith("default: Deployment mnist-api: no-limit")
    assert "no-limit, which is not found any longer" in stale


def test_waiver_that_nothing_needs_is_told() -> None:
    (told,) = manifests.judge([OPEN], [Waiver(("no-limit", "gone"), "why")])
    assert told == "waived.toml waives gone, which is not found any longer: remove it"


def test_every_waiver_of_ours_has_a_reason() -> None:
    waived = manifests.waivers(manifests.WAIVED.read_text(encoding="utf-8"))
    assert len(waived) > 1
    assert [waiver for waiver in waived if len(waiver.reason.split()) < 6] == []
