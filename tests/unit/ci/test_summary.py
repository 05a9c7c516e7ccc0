"""What a whole run ends with."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

from ci.paths import ROOT
from ci.summary import Suite, summary

if TYPE_CHECKING:
    from pathlib import Path

GREEN = Suite("unit", {"passed": 87, "error": 0}, 17.83, [])
RED = Suite("e2e", {"failed": 1, "passed": 34, "skipped": 1}, 361.2, ["tests/e2e/test_faults.py::test_it"])


def test_the_last_line_is_pytests_own_for_the_sum_of_all_suites() -> None:
    *_, last = summary([GREEN, RED], 1)
    assert last.strip("=") == " 1 failed, 121 passed, 1 skipped in 379.03s (0:06:19) "


def test_each_suite_and_each_failed_test_is_named_before() -> None:
    assert list(summary([GREEN, RED], 1))[:-1] == [
        "FAILED tests/e2e/test_faults.py::test_it",
        "unit: 87 passed in 17.83s",
        "e2e: 1 failed, 34 passed, 1 skipped in 361.20s (0:06:01)",
    ]


def test_a_failed_session_without_failed_tests_is_an_error() -> None:
    *_, reason, last = summary([GREEN], 3)
    assert reason.startswith("exit code 3")
    assert last.strip("=") == " 87 passed, 1 error in 17.83s "


# Plugins of other suites take seconds to import.
ALONE = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}


def whole_run(test: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run a file of tests as a whole run does."""
    pytest = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        *options,
        "-p",
        "xdist",
        "-p",
        "tests.conftest",
        "-p",
        "no:cacheprovider",
        str(test),
    ]
    return subprocess.run(
        [sys.executable, "-m", "ci.whole_run", *pytest],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "NOX_CURRENT_SESSION": "some", **ALONE},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_real_run_of_pytest_is_summed_up(tmp_path: Path) -> None:
    (test := tmp_path / "test_two.py").write_text("def test_a(): pass\ndef test_b(): assert 0\n")
    run = whole_run(test)
    *_, failure, suite, last = run.stdout.splitlines()
    assert run.returncode == 1
    assert failure.startswith("FAILED ")
    assert failure.endswith("test_two.py::test_b")
    assert suite.startswith("some: 1 failed, 1 passed in ")
    assert last.strip("=").startswith(" 1 failed, 1 passed in ")


def test_a_run_side_by_side_is_counted_once(tmp_path: Path) -> None:
    (test := tmp_path / "test_three.py").write_text("".join(f"def test_{number}(): pass\n" for number in range(3)))
    assert whole_run(test, "-n2").stdout.splitlines()[-1].strip("=").startswith(" 3 passed in ")
