"""What every suite shares: its closing line is repeated at the end of a whole run (see ci/summary.py)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

COUNTED = ("failed", "error", "passed", "skipped", "xfailed", "xpassed")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Append `=== 12 passed, 1 skipped (unit) ===` to the file that collects closing lines, if there is one."""
    collected = os.environ.get("PYTEST_CLOSING_LINES")
    if not collected:
        return
    counts = {name: len(terminalreporter.stats.get(name, ())) for name in COUNTED}
    told = ", ".join(f"{count} {name}" for name, count in counts.items() if count) or "no tests ran"
    suite = os.environ.get("NOX_CURRENT_SESSION", "pytest")
    with Path(collected).open("a", encoding="utf-8") as lines:
        lines.write(f"=== {suite}: {told} ===\n")
