"""The numbers a load is told by."""

from __future__ import annotations

import doctest
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ci.bench import load_report
from ci.bench.load_report import Latencies, Report, bucket_of, microseconds_of


def test_examples_are_true() -> None:
    assert doctest.testmod(load_report).failed == 0


@given(st.integers(0, 10**12))
def test_a_bucket_is_within_a_thousandth(microseconds: int) -> None:
    least = microseconds_of(bucket_of(microseconds))
    assert least <= microseconds <= least * 1.001 + (least < 2048)
    assert microseconds_of(bucket_of(microseconds) + 1) > microseconds


@given(st.lists(st.floats(0, 100), min_size=1), st.sampled_from([0.5, 0.9, 0.99, 1.0]))
def test_a_quantile_is_that_of_the_sorted_list(seconds: list[float], share: float) -> None:
    latencies = Latencies()
    for each in seconds:
        latencies.add(each)
    expected = sorted(seconds)[math.ceil(share * len(seconds)) - 1]
    assert latencies.quantile(share) == pytest.approx(expected, rel=1e-3, abs=1.1e-6)
    assert latencies.longest_seconds == max(seconds)


@given(st.lists(st.floats(0, 100)), st.lists(st.floats(0, 100), min_size=1))
def test_merged_latencies_are_those_of_both(first: list[float], second: list[float]) -> None:
    one, other, both = Latencies(), Latencies(), Latencies()
    for latencies, values in ((one, first), (other, second), (both, first + second)):
        for value in values:
            latencies.add(value)
    one.merge(other)
    assert [one.quantile(share / 10) for share in range(11)] == [both.quantile(share / 10) for share in range(11)]
    assert (one.count, one.longest_seconds) == (both.count, both.longest_seconds)


def test_no_answer_has_no_latency() -> None:
    assert math.isnan(Latencies().quantile(0.5))


def test_failures_are_bad_statuses_and_missing_answers() -> None:
    report = Report(seconds=2.0, in_time=6)
    report.statuses.update({200: 6, 503: 3})
    report.errors.update({"timeout": 1})
    assert (report.rate, report.requests, report.failures, report.error_share) == (3.0, 10, 4, 0.4)
    assert report.line() == "3 requests/s, 3 x 503, 1 x timeout"


def test_a_load_without_requests_is_a_failure() -> None:
    assert Report().error_share == 1.0
