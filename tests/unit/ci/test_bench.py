"""Which benchmarks are run, and with which outcome."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from ci.bench import __main__ as bench
from ci.bench import process_times

if TYPE_CHECKING:
    from collections.abc import Sequence


@pytest.mark.parametrize(
    ("arguments", "commands"),
    [
        ([], [["training"], ["server"], ["versions"], ["predict"]]),
        (["versions"], [["versions"]]),
        (["predict", "--rounds", "3", "server"], [["predict", "--rounds", "3"], ["server"]]),
        (["load", "--url", "http://x", "--body", "server"], [["load", "--url", "http://x", "--body", "server"]]),
    ],
    ids=["all", "one", "two with arguments", "load takes all"],
)
def test_arguments_belong_to_the_benchmark_before_them(arguments: list[str], commands: list[list[str]]) -> None:
    assert bench.commands_of(arguments) == commands


def test_an_unknown_name_is_told_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.main(["latency"]) == 2
    assert (
        capsys.readouterr()
        .err.strip()
        .startswith("expected one of training, server, versions, predict, http, timeline, load")
    )


def test_every_benchmark_runs_and_one_below_its_goal_fails_all(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ran: list[str] = []

    def run(command: Sequence[str], **_: Any) -> subprocess.CompletedProcess[bytes]:
        ran.append(command[2])
        return subprocess.CompletedProcess(command, int(command[2] == "ci.bench.server"))

    monkeypatch.setattr(subprocess, "run", run)
    assert bench.main([]) == 1
    assert ran == ["ci.bench.training", "ci.bench.server", "ci.bench.versions", "ci.bench.predict"]
    assert "server (exit code 1)" in capsys.readouterr().err
    assert bench.main(["versions"]) == 0


def test_a_process_name_may_hold_brackets_and_spaces() -> None:
    line = "7 (a name) of (its own) S 1 7 7 0 -1 4194560 1 0 0 0 30 12 0 0 20"
    assert process_times.parsed(line) == (1, 42)


def test_what_a_child_takes_is_its_parents() -> None:
    busy = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'sum(range(10**7))\\ninput()'])"
    with subprocess.Popen(["python3", "-c", busy], stdin=subprocess.PIPE) as process:
        for _ in range(200):
            if process_times.seconds_of({"it": process.pid})["it"] > 0.1:
                break
        taken = process_times.seconds_of({"it": process.pid, "nobody": 2**30})
        process.communicate(b"\n")
    assert taken["it"] > 0.1
    assert taken["nobody"] == 0
