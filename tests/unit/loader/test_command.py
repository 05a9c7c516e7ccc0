"""The command as Kubernetes runs it: a process, its signals, its exit codes, its termination message."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import IO, TYPE_CHECKING

import pytest

from model_loader import __main__ as command
from model_loader.reason import Reason
from tests import http_server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.unit.loader.conftest import Publish

SECONDS = 30


@pytest.fixture
def started() -> Iterator[list[subprocess.Popen[str]]]:
    """Yield a list for processes that are ended at last."""
    processes: list[subprocess.Popen[str]] = []
    yield processes
    for process in processes:
        process.kill()
        process.communicate()


def start(started: list[subprocess.Popen[str]], arguments: list[str]) -> IO[str]:
    """Start the loader in a process and return its log."""
    process = subprocess.Popen(
        [sys.executable, "-m", "model_loader", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    started.append(process)
    assert process.stdout is not None
    return process.stdout


def until(log: IO[str], text: str) -> str:
    """Return the first line of a log with a text in it."""
    seen = []
    for line in log:
        seen.append(line)
        if text in line:
            return line
    raise AssertionError(f"{text!r} was not told, but {seen}")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_while_waiting_ends_at_once_and_leaves_the_reason(
    started: list[subprocess.Popen[str]], flags: list[str], tmp_path: Path, number: signal.Signals
) -> None:
    log = start(started, [*flags, "--timeout-seconds=300", "--poll-seconds=100"])
    until(log, "waiting since 0 s")
    started[0].send_signal(number)
    assert started[0].wait(SECONDS) == 128 + number
    assert "looked for mnist" in (tmp_path / "reason").read_text()
    assert "Traceback" not in log.read()


def test_follower_hands_over_what_is_published_and_ends_with_0(
    started: list[subprocess.Popen[str]], publish: Publish, flags: list[str], tmp_path: Path, server: str
) -> None:
    publish(version=1)
    assert command.main(flags) == 0
    log = start(started, [*flags, "--follow=on", "--poll-seconds=0.05", f"--server-rest={server}"])
    until(log, "version 1 of mnist is served")
    publish(version=2)
    until(log, "version 2 of mnist is served")
    assert [path.name for path in (tmp_path / "models" / "mnist").glob("[0-9]*")] == ["2"]
    started[0].send_signal(signal.SIGTERM)
    assert started[0].wait(SECONDS) == 0
    assert "Traceback" not in log.read()


def test_follower_names_a_version_that_does_not_fit_beside_the_served_one(
    started: list[subprocess.Popen[str]], publish: Publish, flags: list[str], tmp_path: Path, server: str
) -> None:
    folder = publish(version=1)
    used_bytes = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    limited = [*flags, f"--size-limit={int(used_bytes * 1.8)}"]
    assert command.main(limited) == 0
    log = start(started, [*limited, "--follow=on", "--poll-seconds=0.05", f"--server-rest={server}"])
    publish(version=2)
    assert "that are handed over, loader.sizeLimit is" in until(log, "raise it")
    assert [path.name for path in (tmp_path / "models" / "mnist").glob("[0-9]*")] == ["1"]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """Yield the address of a stand-in that serves every version in the target."""

    class Handler(http_server.Handler):
        def get(self) -> None:
            folders = (tmp_path / "models" / "mnist").glob("[0-9]*")
            statuses = [{"version": path.name, "state": "AVAILABLE", "status": {}} for path in folders]
            self.reply(200, json.dumps({"model_version_status": statuses}).encode())

    with http_server.serving(Handler) as address:
        yield address


def test_bad_flag_is_one_sentence_and_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--verify=perhaps"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "--verify" in line
    assert "'perhaps'" in line


def test_what_nobody_thought_of_is_one_sentence_and_2(
    monkeypatch: pytest.MonkeyPatch, flags: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> None:
        raise KeyError("surprise")

    monkeypatch.setattr(command, "load", fail)
    assert command.main(flags) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "unexpected KeyError: 'surprise'" in line
    assert "surprise" in (tmp_path / "reason").read_text()


def test_long_reason_is_cut_where_kubernetes_would_cut_it(tmp_path: Path) -> None:
    (tmp_path / "reason").touch()
    Reason(tmp_path / "reason").leave("ü" * 5000)
    assert (tmp_path / "reason").read_text() == "ü" * 2000


def test_reason_is_left_nowhere_where_there_is_no_file(tmp_path: Path) -> None:
    Reason(tmp_path / "reason").leave("anything")
    assert not Path(tmp_path / "reason").exists()
