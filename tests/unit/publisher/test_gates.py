"""Gates: what passes, what does not, and in which words."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_publisher import gates
from model_publisher.errors import PublisherError
from model_publisher.gates import Gate, Served

SHA256 = "a" * 64
IN_SERVICE = Served(7, {"accuracy": 0.9, "loss": 0.2}, SHA256)
finite = st.floats(-1e6, 1e6)


def failures(gate: dict[str, Any], metrics: dict[str, float], served: Served | None = IN_SERVICE) -> list[str]:
    """Return why metrics of the same data do not pass one gate."""
    return gates.failures(gates.parse(json.dumps([gate])), metrics, SHA256, served)


@pytest.mark.parametrize(
    ("gate", "metrics", "told"),
    [
        ({"min": 0.9}, {"accuracy": 0.9}, ""),
        ({"min": 0.9}, {"accuracy": 0.8999}, "accuracy 0.8999 is below the minimum 0.9"),
        ({"max": 0.9}, {"accuracy": 0.9}, ""),
        ({"max": 0.9}, {"accuracy": 0.91}, "accuracy 0.91 is above the maximum 0.9"),
        ({"min": 0.9}, {"loss": 1.0, "auc": 0.5}, "metric accuracy is not reported; reported are auc, loss"),
        ({"min": 0.9}, {}, "metric accuracy is not reported; reported are none"),
        ({"min": 0.9}, {"accuracy": math.nan}, "metric accuracy is nan"),
        ({"min": 0.9}, {"accuracy": 0.95, "loss": math.inf}, "metric loss is inf"),
        ({"notWorseThan": "served"}, {"accuracy": 0.9}, ""),
        ({"notWorseThan": "served"}, {"accuracy": 0.89}, "accuracy 0.89 is worse than 0.9 of version 7 in service"),
        ({"notWorseThan": "served", "by": 0.02}, {"accuracy": 0.881}, ""),
        (
            {"notWorseThan": "served", "by": 0.02},
            {"accuracy": 0.879},
            "accuracy 0.879 is worse than 0.9 of version 7 in service by more than 0.02",
        ),
        ({"notWorseThan": "served", "by": 0.2}, {"accuracy": 0.7}, ""),
        ({"min": 0.9}, {"accuracy": 0.89999999}, "accuracy 0.89999999 is below the minimum 0.9"),
        ({"notWorseThan": "served", "goal": "minimize"}, {"accuracy": 0.95}, "accuracy 0.95 is worse than 0.9"),
    ],
)
def test_metric_passes_or_is_told_with_both_values(gate: dict[str, Any], metrics: dict[str, float], told: str) -> None:
    found = failures({"metric": "accuracy", **gate}, metrics)
    assert bool(found) == bool(told), found
    assert not told or found[0].startswith(told)


def test_less_is_better_for_a_loss() -> None:
    gate = {"metric": "loss", "notWorseThan": "served", "by": 0.01}
    assert failures(gate, {"loss": 0.21}) == []
    assert failures(gate, {"loss": 0.22})[0].startswith("loss 0.22 is worse than 0.2 of version 7")


def test_nothing_published_yet_is_nothing_to_be_worse_than() -> None:
    assert failures({"metric": "accuracy", "notWorseThan": "served"}, {"accuracy": 0.1}, None) == []


@pytest.mark.parametrize(
    ("served", "told"),
    [
        (Served(7, problem="version 7 says nothing of itself"), "version 7 says nothing of itself"),
        (Served(7, {"loss": 1.0}, SHA256), "version 7 in service does not tell its own"),
        (Served(7, {"accuracy": math.nan}, SHA256), "does not tell its own"),
        (Served(7, {"accuracy": 0.5}, "b" * 64), "are of different data (aaaaaaaaaaaa and bbbbbbbbbbbb)"),
        (Served(7, {"accuracy": 0.5}, ""), "are of different data (aaaaaaaaaaaa and unknown)"),
    ],
)
def test_what_cannot_be_compared_fails_and_says_why(served: Served, told: str) -> None:
    (found,) = failures({"metric": "accuracy", "notWorseThan": "served"}, {"accuracy": 0.9}, served)
    assert told in found


def test_figures_of_other_data_pass_where_that_is_allowed() -> None:
    gate = {"metric": "accuracy", "notWorseThan": "served", "allowOtherData": True}
    assert failures(gate, {"accuracy": 0.9}, Served(7, {"accuracy": 0.5}, "b" * 64)) == []


def test_all_that_fails_is_told_at_once() -> None:
    both = gates.parse('[{"metric": "a", "min": 1}, {"metric": "b", "max": 1}]')
    assert len(gates.failures(both, {"a": 0.0, "b": 2.0, "c": math.nan}, "", None)) == 3


@given(finite, finite, st.floats(0, 1e6))
def test_better_or_equal_never_fails(value: float, other: float, by: float) -> None:
    served = Served(1, {"accuracy": other, "loss": other}, SHA256)
    for metric, is_fine in (("accuracy", value >= other - by), ("loss", value <= other + by)):
        held = [Gate(metric, is_compared=True, by=by)]
        assert (gates.failures(held, {metric: value}, SHA256, served) == []) == is_fine


@given(st.sampled_from(["accuracy", "loss"]), st.sampled_from([math.nan, math.inf, -math.inf]))
def test_what_is_no_number_always_fails(metric: str, value: float) -> None:
    for held in ([], [Gate(metric, minimum=-math.inf)], [Gate("other", minimum=0)]):
        assert gates.failures(held, {metric: value}, "", None)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "not JSON"),
        ("{}", "no list"),
        ("[1]", "gates[0]: expected an object"),
        ('[{"metric": "a", "min": 1}, {"metric": "a"}]', "gates[1] holds a to nothing"),
        ('[{"min": 1}]', "gates[0].metric: expected the name of a reported metric"),
        ('[{"metric": "a", "minimum": 1}]', "gates[0] has 'minimum', which means nothing: known are"),
        ('[{"metric": "a", "min": "x"}]', "gates[0].min: expected a number"),
        ('[{"metric": "a", "min": NaN}]', "gates[0].min: expected a number"),
        ('[{"metric": "a", "min": true}]', "gates[0].min: expected a number"),
        ('[{"metric": "accuracy", "notWorseThan": "best"}]', "gates[0].notWorseThan: expected 'served'"),
        ('[{"metric": "speed", "notWorseThan": "served"}]', "add goal, maximize or minimize"),
        ('[{"metric": "accuracy", "notWorseThan": "served", "goal": "up"}]', "gates[0].goal: expected maximize or"),
        ('[{"metric": "accuracy", "notWorseThan": "served", "by": -1}]', "gates[0].by: expected a number, 0 or more"),
        ('[{"metric": "accuracy", "notWorseThan": "served", "allowOtherData": 1}]', "expected true or false"),
    ],
)
def test_gate_that_is_none_is_named(text: str, told: str) -> None:
    with pytest.raises(PublisherError) as error:
        gates.parse(text)
    assert told in str(error.value)
    assert error.value.exit_code == 2


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(sorted(gates.FIELDS)), inner),
    )
)
def test_any_json_is_gates_or_refused(value: Any) -> None:
    try:
        found = gates.parse(json.dumps(value))
    except PublisherError:
        return
    assert all(isinstance(gate, Gate) for gate in found)
