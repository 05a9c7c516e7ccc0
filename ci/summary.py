"""The summary of several pytest runs, in pytest's own words."""

from __future__ import annotations

import datetime
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

# tests/conftest.py appends one Suite, as a line of JSON, to the file named here when a pytest run ends.
VARIABLE = "PYTEST_SUITES"
# In pytest's order.
OUTCOMES = ("failed", "passed", "skipped", "xfailed", "xpassed", "error")
WIDTH = 80
SECONDS_IN_A_MINUTE = 60


@dataclass(frozen=True)
class Suite:
    """One pytest run: its nox session, tests by outcome, seconds, and the ids of the tests that failed."""

    name: str
    counts: Mapping[str, int]
    seconds: float
    failures: Sequence[str]


def summary(suites: Sequence[Suite], code: int) -> Iterator[str]:
    """Yield the failed tests, a line for each suite, and a closing line of the whole in pytest's own words.

    A command that failed though no test did has an error more: a closing line must not look better than the exit code.
    """
    total: Counter[str] = Counter()
    for suite in suites:
        total.update(suite.counts)
        yield from (f"FAILED {failure}" for failure in suite.failures)
    for suite in suites:
        yield f"{suite.name}: {_told(suite.counts, suite.seconds)}"
    if code and not total["failed"] + total["error"]:
        total["error"] += 1
        yield f"exit code {code}, though no test failed: a session above says why"
    yield f" {_told(total, sum(suite.seconds for suite in suites))} ".center(WIDTH, "=")


def _told(counts: Mapping[str, int], seconds: float) -> str:
    """Return `2 failed, 35 passed in 361.20s (0:06:01)`, as pytest writes it."""
    outcomes = ", ".join(
        f"{counts[name]} {name}{'s' if name == 'error' and counts[name] > 1 else ''}"
        for name in OUTCOMES
        if counts.get(name)
    )
    clock = f" ({datetime.timedelta(seconds=int(seconds))})" if seconds >= SECONDS_IN_A_MINUTE else ""
    return f"{outcomes or 'no tests ran'} in {seconds:.2f}s{clock}"
