"""Gates: what a model's metrics must be for it to be published. Pure: whoever calls knows what is served."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from model_publisher.errors import PublisherError

if TYPE_CHECKING:
    from collections.abc import Mapping

SERVED = "served"
MAXIMIZE, MINIMIZE = "maximize", "minimize"
FIELDS = frozenset({"metric", "min", "max", "notWorseThan", "by", "goal", "allowOtherData"})
# Names of metrics that tell whether more or less of it is better, as Keras and scikit-learn use them. The chart's
# templates/validation/_training.tpl knows the same.
_MORE = re.compile(r"(.*_)?(accuracy|acc|auc|precision|recall|f1|f1_score|r2|r2_score)")
_LESS = re.compile(r"(.*_)?(loss|error|mae|mse|rmse|mape)|mean_.*")


@dataclass(frozen=True)
class Gate:
    """One metric, and what it must be: bounds that belong to what passes, or not worse than the model in service."""

    metric: str
    minimum: float | None = None
    maximum: float | None = None
    is_compared: bool = False
    by: float = 0.0
    goal: str = ""
    allows_other_data: bool = False


@dataclass(frozen=True)
class Served:
    """What the model in service says of itself: `problem` tells why that is nothing, "" where there is none."""

    version: int | None = None
    metrics: Mapping[str, float] | None = None
    data_sha256: str = ""
    problem: str = ""


def parse(text: str) -> list[Gate]:
    """Return the gates in a JSON list; raise PublisherError that names the gate and what is wrong with it."""
    try:
        given = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise PublisherError(f"the gates are not JSON: {error}") from error
    if not isinstance(given, list):
        raise PublisherError('the gates are no list: expected [{"metric": "accuracy", "min": 0.9}]')
    return [_gate(f"gates[{index}]", entry) for index, entry in enumerate(given)]


def failures(gates: list[Gate], metrics: Mapping[str, float], data_sha256: str, served: Served | None) -> list[str]:
    """Return why metrics do not pass, a sentence for each gate that fails; none where all pass.

    `served` is the model in service, None where nothing is published yet: nothing is worse than that. A metric that is
    not a number fails, whether a gate is about it or not.
    """
    told = [f"metric {name} is {value}" for name, value in metrics.items() if not math.isfinite(value)]
    for gate in gates:
        value = metrics.get(gate.metric)
        if value is None:
            told.append(f"metric {gate.metric} is not reported; reported are {', '.join(sorted(metrics)) or 'none'}")
        elif math.isfinite(value):
            told += _failures(gate, value, data_sha256, served)
    return told


def needs_served(gates: list[Gate]) -> bool:
    """Tell whether the model in service has to be asked."""
    return any(gate.is_compared for gate in gates)


def _failures(gate: Gate, value: float, data_sha256: str, served: Served | None) -> list[str]:
    told = []
    if gate.minimum is not None and value < gate.minimum:
        told.append(f"{gate.metric} {_apart(value, gate.minimum)} is below the minimum {_apart(gate.minimum, value)}")
    if gate.maximum is not None and value > gate.maximum:
        told.append(f"{gate.metric} {_apart(value, gate.maximum)} is above the maximum {_apart(gate.maximum, value)}")
    if gate.is_compared and served is not None:
        told += _compare(gate, value, data_sha256, served)
    return told


def _compare(gate: Gate, value: float, data_sha256: str, served: Served) -> list[str]:
    if served.problem:
        return [f"{gate.metric} cannot be compared with the model in service: {served.problem}"]
    where = f"version {served.version} in service"
    other = (served.metrics or {}).get(gate.metric)
    if other is None or not math.isfinite(other):
        return [f"{gate.metric} cannot be compared: {where} does not tell its own"]
    if data_sha256 != served.data_sha256 and not gate.allows_other_data:
        mine, theirs = (digest[:12] or "unknown" for digest in (data_sha256, served.data_sha256))
        figures = f"{gate.metric} {value:.6g} and {other:.6g} of {where}"
        return [f"{figures} are of different data ({mine} and {theirs}), which allowOtherData would allow"]
    is_more = _is_more_better(gate)
    # In decimals, as people wrote them: 0.8 - 0.1 is more than 0.7 in floats.
    by = _decimal(gate.by)
    bound = _decimal(other) - by if is_more else _decimal(other) + by
    if (_decimal(value) < bound) if is_more else (_decimal(value) > bound):
        margin = f" by more than {gate.by:.6g}: {bound:.6g} is {'least' if is_more else 'most'}" if gate.by else ""
        return [f"{gate.metric} {_apart(value, other)} is worse than {_apart(other, value)} of {where}{margin}"]
    return []


def _decimal(value: float) -> Decimal:
    return Decimal(repr(value))


def _apart(value: float, other: float) -> str:
    """Return a number as people read it, with all its digits where it would read as the other one."""
    short = f"{value:.6g}"
    return repr(value) if short == f"{other:.6g}" and value != other else short


def _is_more_better(gate: Gate) -> bool:
    return gate.goal == MAXIMIZE if gate.goal else _MORE.fullmatch(gate.metric) is not None


def _gate(place: str, given: Any) -> Gate:
    if not isinstance(given, dict):
        raise PublisherError(f'{place}: expected an object like {{"metric": "accuracy", "min": 0.9}}')
    unknown = sorted(set(given) - FIELDS)
    if unknown:
        raise PublisherError(f"{place} has {unknown[0]!r}, which means nothing: known are {', '.join(sorted(FIELDS))}")
    metric = given.get("metric")
    if not isinstance(metric, str) or not metric:
        raise PublisherError(f"{place}.metric: expected the name of a reported metric, found {json.dumps(metric)}")
    is_compared = "notWorseThan" in given
    gate = Gate(
        metric=metric,
        minimum=_number(place, given, "min"),
        maximum=_number(place, given, "max"),
        is_compared=is_compared,
        by=_number(place, given, "by") or 0.0,
        goal=_goal(place, given),
        allows_other_data=_boolean(place, given, "allowOtherData"),
    )
    _check(place, gate, given)
    return gate


def _check(place: str, gate: Gate, given: Mapping[str, Any]) -> None:
    if gate.minimum is None and gate.maximum is None and not gate.is_compared:
        raise PublisherError(f"{place} holds {gate.metric} to nothing: give min, max, or notWorseThan: {SERVED}")
    if not gate.is_compared:
        return
    if given["notWorseThan"] != SERVED:
        raise PublisherError(f"{place}.notWorseThan: expected {SERVED!r}, found {json.dumps(given['notWorseThan'])}")
    if gate.by < 0:
        raise PublisherError(f"{place}.by: expected a number, 0 or more, found {gate.by:g}")
    if not gate.goal and not _MORE.fullmatch(gate.metric) and not _LESS.fullmatch(gate.metric):
        raise PublisherError(
            f"{place} compares {gate.metric}, whose name does not tell whether more or less of it is better: add goal, "
            f"{MAXIMIZE} or {MINIMIZE}"
        )


def _number(place: str, given: Mapping[str, Any], name: str) -> float | None:
    value = given.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise PublisherError(f"{place}.{name}: expected a number, found {json.dumps(value)[:80]}")
    return float(value)


def _goal(place: str, given: Mapping[str, Any]) -> str:
    goal = given.get("goal", "")
    if goal not in {"", MAXIMIZE, MINIMIZE}:
        raise PublisherError(f"{place}.goal: expected {MAXIMIZE} or {MINIMIZE}, found {json.dumps(goal)[:80]}")
    return str(goal)


def _boolean(place: str, given: Mapping[str, Any], name: str) -> bool:
    value = given.get(name, False)
    if not isinstance(value, bool):
        raise PublisherError(f"{place}.{name}: expected true or false, found {json.dumps(value)[:80]}")
    return value
