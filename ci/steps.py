"""Long work shown as steps: what runs, how long it took, and what to try when it fails."""

from __future__ import annotations

import contextlib
import os
import shlex
import subprocess
import sys
import threading
import time
from collections import deque
from concurrent.futures import Future
from typing import IO, TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

TAIL_LINES = 20
TICK_SECONDS = 10.0
Beside = TypeVar("Beside")
Here = TypeVar("Here")


class StepError(Exception):
    """Say what happened, why, and what to do; `ci` prints it without a traceback and exits 1."""

    def __init__(self, what: str, *, why: str = "", hint: str = "") -> None:
        self.what = what
        self.why = why
        self.hint = hint
        super().__init__("\n".join(part for part in (what, why, hint and f"Try: {hint}") if part))


class CommandError(StepError):
    """A command that exited with an error: the command, its last lines, and what to try."""

    def __init__(self, command: Sequence[str], returncode: int, tail: str, hint: str) -> None:
        self.command = tuple(command)
        self.returncode = returncode
        self.tail = tail
        super().__init__(
            f"command failed with exit code {returncode}: {shlex.join(command)}",
            why=tail.rstrip(),
            hint=hint,
        )


@contextlib.contextmanager
def step(title: str) -> Iterator[None]:
    """Print the title, a sign of life every ten seconds, and how long the block took."""
    print(f"▶ {title}", flush=True)
    start = time.monotonic()
    done = threading.Event()
    ticker = threading.Thread(target=_tick, args=(title, start, done), daemon=True)
    ticker.start()
    outcome = "✘"
    try:
        yield
        outcome = "✔"
    finally:
        done.set()
        ticker.join()
        print(f"{outcome} {title} ({time.monotonic() - start:.0f} s)", flush=True)


def side_by_side(beside: Callable[[], Beside], here: Callable[[], Here]) -> tuple[Beside, Here]:
    """Do one thing in a thread and the other here; return what both return.

    An error of `here` is raised at once, and what is beside ends with the process; one of `beside` when `here` is done.
    """
    outcome: Future[Beside] = Future()

    def do() -> None:
        try:
            outcome.set_result(beside())
        except BaseException as error:  # noqa: BLE001 - handed on
            outcome.set_exception(error)

    threading.Thread(target=do, daemon=True).start()
    done = here()
    return outcome.result(), done


def run(
    command: Sequence[str | Path],
    *,
    hint: str = "",
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdin: IO[bytes] | None = None,
    text: str | None = None,
    show: bool = False,
    quiet: bool = False,
) -> str:
    """Run a command, printing it first, and return its standard output.

    `env` is added to the environment; `text` or `stdin` feeds standard input; `show` streams the
    output as it comes (standard error included) instead of keeping it for the error message only;
    `quiet` leaves out the printed command, for polling.
    Raise CommandError, which carries the last lines of the output and `hint`, when it exits with an error.
    """
    words = [str(word) for word in command]
    if not quiet:
        print(f"  $ {shlex.join(words)}", flush=True)
    merged = {**os.environ, **(env or {})}
    try:
        if show:
            return _stream(words, merged, cwd, hint)
        done = subprocess.run(
            words,
            env=merged,
            cwd=cwd,
            input=None if text is None else text.encode(),
            stdin=stdin if stdin is not None else (subprocess.DEVNULL if text is None else None),
            capture_output=True,
            check=False,
        )
    except FileNotFoundError as error:
        raise StepError(f"{words[0]} was not found", hint=hint or f"install {words[0]}") from error
    output = done.stdout.decode(errors="replace")
    if done.returncode != 0:
        errors = done.stderr.decode(errors="replace")
        tail = "\n".join((output + errors).splitlines()[-TAIL_LINES:])
        raise CommandError(words, done.returncode, tail, hint)
    return output


def succeeds(command: Sequence[str | Path], *, env: Mapping[str, str] | None = None) -> bool:
    """Tell, without printing anything, whether a command exists and exits with 0."""
    try:
        done = subprocess.run(
            [str(word) for word in command],
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
        )
    except FileNotFoundError:
        return False
    return done.returncode == 0


def _stream(words: list[str], env: Mapping[str, str], cwd: Path | None, hint: str) -> str:
    lines: list[str] = []
    tail: deque[str] = deque(maxlen=TAIL_LINES)
    with subprocess.Popen(
        words,
        env=dict(env),
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        assert process.stdout is not None  # noqa: S101 - PIPE was asked for
        for line in process.stdout:
            print(f"    {line.rstrip()}", flush=True)
            lines.append(line)
            tail.append(line)
    if process.returncode != 0:
        raise CommandError(words, process.returncode, "".join(tail), hint)
    return "".join(lines)


def _tick(title: str, start: float, done: threading.Event) -> None:
    while not done.wait(TICK_SECONDS):
        print(f"  … {title}: {time.monotonic() - start:.0f} s", file=sys.stdout, flush=True)
