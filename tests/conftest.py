"""What every suite shares: results that are summed up at the end of a whole run (see ci/summary.py)."""

from __future__ import annotations

import dataclasses
import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis

from ci import summary
from tests.scheduling import LoadFolderScheduling

if TYPE_CHECKING:
    import pytest
    from xdist.remote import Producer

STARTED = time.monotonic()

# How long an example takes says how busy the machine is, not whether a claim holds.
hypothesis.settings.register_profile("any-machine", deadline=None)
hypothesis.settings.load_profile("any-machine")


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadFolderScheduling | None:
    """Return who gives tests to processes where modules are not to be torn apart."""
    return LoadFolderScheduling(config, log) if config.getoption("dist") == "loadfile" else None


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Append the results of this run to the file that collects them, if there is one."""
    collected = os.environ.get(summary.VARIABLE)
    if not collected or hasattr(terminalreporter.config, "workerinput"):
        # One of several processes: the one that started them counts what all of them ran.
        return
    stats = terminalreporter.stats
    suite = summary.Suite(
        name=os.environ.get("NOX_CURRENT_SESSION", "pytest"),
        counts={name: len(stats.get(name, ())) for name in summary.OUTCOMES},
        seconds=time.monotonic() - STARTED,
        failures=[report.nodeid for outcome in ("failed", "error") for report in stats.get(outcome, ())],
    )
    with Path(collected).open("a", encoding="utf-8") as lines:
        lines.write(json.dumps(dataclasses.asdict(suite)) + "\n")
