"""Run nox and sum up every pytest run in it, so that a log ends as a log of pytest ends.

A run of every session needs late what takes a machine minutes to make: programs and images. They are made
beside the first sessions, with what those leave of the processors.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from ci import paths
from ci.summary import VARIABLE, Suite, summary

if TYPE_CHECKING:
    from collections.abc import Iterator

LOWEST_PRIORITY = 19


def main(command: list[str]) -> int:
    """Run a nox command, `[nox, --envdir=FOLDER, *arguments]`; return its exit code after printing the summary."""
    is_every_session = all(argument.startswith("--envdir=") for argument in command[1:])
    with tempfile.TemporaryDirectory() as folder:
        lines = Path(folder) / "suites"
        with _prepared_beside() if is_every_session else contextlib.nullcontext():
            code = subprocess.run(command, env={**os.environ, VARIABLE: str(lines)}, check=False).returncode
        if lines.exists():
            suites = [Suite(**json.loads(line)) for line in lines.read_text(encoding="utf-8").splitlines()]
            sys.stdout.flush()
            print(*summary(suites, code), sep="\n", flush=True)
    return code


@contextlib.contextmanager
def _prepared_beside() -> Iterator[None]:
    """Have `python -m ci prepare` at work within; who needs a program or an image waits for it or makes it.

    Its failure is not this run's: the session that needs what could not be made meets the same failure and tells it.
    """
    log = paths.cache() / "prepare.log"
    with log.open("w", encoding="utf-8") as output:
        builder = subprocess.Popen(
            [sys.executable, "-m", "ci", "prepare"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            # Not a session of its own: Linux shares processors among sessions first, whatever their priorities
            # (sched(7), "The autogroup feature").
            process_group=0,
        )
    os.setpriority(os.PRIO_PGRP, builder.pid, LOWEST_PRIORITY)
    try:
        yield
    finally:
        # With the compilers it has started: they are its process group.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(builder.pid, signal.SIGKILL)
        builder.wait()


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
