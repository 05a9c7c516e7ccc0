"""Processes that are started again: at once, but not as often as a machine can."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

SECONDS = 10
# A worker that is killed as soon as it begins, as by a limit on memory that is too low for it.
PROGRAM = """\
import logging, os, signal, socket
from model_api import workers
logging.basicConfig()
def work(_):
    os.kill(os.getpid(), signal.SIGKILL)
raise SystemExit(workers.run([socket.create_server(("127.0.0.1", 0))], work))
"""


def test_worker_that_is_killed_whenever_it_begins_is_started_ever_less_often() -> None:
    environment = {**os.environ, "PYTHONPATH": ":".join(sys.path)}
    with subprocess.Popen([sys.executable, "-c", PROGRAM], env=environment, stderr=subprocess.PIPE, text=True) as run:
        assert run.stderr is not None
        ends: list[float] = []
        while len(ends) < 7:
            assert "ended with -9" in run.stderr.readline()
            ends.append(time.monotonic())
        run.send_signal(signal.SIGTERM)
        assert run.wait(SECONDS) == 0
    assert ends[-1] - ends[0] > 0.1 + 0.2 + 0.4 + 0.8
