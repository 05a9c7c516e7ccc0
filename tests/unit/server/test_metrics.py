"""Labels come from requests: none of them is kept for ever, or long."""

from __future__ import annotations

from model_server import metrics


def test_models_nobody_configured_share_a_name() -> None:
    counter = metrics.Counter("test_counter", "model_name", "status")
    metrics.tell_apart("mine")
    for model in ("mine", "", *map(str, range(2000)), "x" * (8 << 20)):
        counter.add(model, "OK")
    assert [line.partition(" ")[0] for line in counter.lines()][1:] == [
        'test_counter{model_name="mine",status="OK"}',
        'test_counter{model_name="",status="OK"}',
        'test_counter{model_name="(unknown)",status="OK"}',
    ]
    assert counter.total() == 2003


def test_values_are_cut_and_sets_are_bounded() -> None:
    histogram = metrics.Histogram("test_histogram", (1.0,), "path")
    for number in range(metrics.MAXIMUM_SETS + 10):
        histogram.observe(1.0, str(number) + "y" * 10_000)
    lines = list(histogram.lines())
    assert max(map(len, lines)) < 400
    assert len(lines) < 4 * (metrics.MAXIMUM_SETS + 2)
