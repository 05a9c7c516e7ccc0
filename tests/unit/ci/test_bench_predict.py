"""What the benchmark of /predict makes of its measures."""

from __future__ import annotations

import json
import math

import pytest

from ci.bench.load_report import Report
from ci.bench.predict import INPUTS, Goal, Measured, compared
from ci.bench.predict_servers import ALONE, FLOOR, OURS, PIXELS, Server


@pytest.mark.parametrize(
    ("value", "is_met"), [(0.59, False), (0.6, True), (math.nan, False)], ids=["below", "at", "nothing measured"]
)
def test_a_goal_is_met_at_its_bound(value: float, *, is_met: bool) -> None:
    assert Goal("ratio", value, minimum=0.6).is_met is is_met
    assert Goal("ratio", -value, maximum=-0.6).is_met is is_met


def test_a_goal_that_is_missed_stands_out() -> None:
    assert Goal("p99 / p50", 4.0, maximum=3.0).row() == "| p99 / p50 | 4.00 | 3.0 or less | **no** |"


def measured(*rates: int) -> Measured:
    """Return rounds of these rates."""
    return Measured([Report(seconds=1.0, in_time=rate) for rate in rates])


def test_ratios_are_those_of_the_medians_and_peers_may_be_left_out() -> None:
    rates = {OURS: measured(1, 60, 900), ALONE: measured(70, 70, 70), FLOOR: measured(100, 1, 100)}
    goals = list(compared({(name, kind): result for name, result in rates.items() for kind in INPUTS}))
    assert [goal.value for goal in goals] == [0.6, 0.6, 0.7, 0.7]
    assert all(goal.is_met for goal in goals)


@pytest.mark.parametrize("is_v2", [False, True])
def test_every_server_is_asked_the_same_image(*, is_v2: bool) -> None:
    head, _, body = Server(1, {}, "/path", is_v2=is_v2).request(PIXELS).partition(b"\r\n\r\n")
    assert head.startswith(b"POST /path HTTP/1.1\r\n")
    sent = json.loads(body)
    assert (sent["inputs"][0]["data"] if is_v2 else sent["input"]) == PIXELS


def test_floats_are_the_same_image_scaled() -> None:
    assert [round(number * 255) for number in INPUTS["floats"]] == list(INPUTS["integers"])
