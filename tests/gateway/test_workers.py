"""Several processes on one port: all of them answer, one that is killed is replaced, all stop together."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import requests

from tests.gateway.processes import TIMEOUT_SECONDS, Api
from tests.gateway.standin import Serving
from tests.processes import wait_for

ROW = {"input": [0.1, 0.2, 0.6, 0.1]}
WORKERS = 2


def workers_of(pid: int) -> set[int]:
    """Return the processes a process has started (proc(5))."""
    return set(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()))


def test_workers_share_the_port_and_are_replaced() -> None:
    serving = Serving()
    api = Api(serving.port, "m", "--model-task=classification", f"--workers={WORKERS}")
    try:
        wait_for(lambda: api.is_alive() and api.get("/readyz").ok, "it is ready", TIMEOUT_SECONDS, api.process)
        before = workers_of(api.process.pid)
        assert len(before) == WORKERS

        def ask(_: int) -> int:
            return requests.post(api.url("/predict"), json=ROW, timeout=TIMEOUT_SECONDS).status_code

        with ThreadPoolExecutor(8) as pool:
            assert set(pool.map(ask, range(200))) <= {200, 503}
        os.kill(min(before), signal.SIGKILL)
        wait_for(lambda: len(workers_of(api.process.pid) - before) == 1, "it is replaced", TIMEOUT_SECONDS)
        wait_for(lambda: {ask(0) for _ in range(20)} == {200}, "all of them answer", TIMEOUT_SECONDS)
    finally:
        code, _ = api.stop()
        serving.stop()
    assert code == 0


def test_first_process_of_a_container_keeps_the_port_open_while_nobody_serves() -> None:
    program = (
        "-c",
        "import sys; from model_api import __main__ as api; sys.exit(api.main(sys.argv[1:], is_first=True))",
    )
    serving = Serving()
    api = Api(serving.port, "m", "--model-task=classification", program=program)
    try:
        wait_for(lambda: api.is_alive() and api.get("/readyz").ok, "it is ready", TIMEOUT_SECONDS, api.process)
        for _ in range(3):
            (worker,) = workers_of(api.process.pid)
            os.kill(worker, signal.SIGKILL)
            # A new connection each, none of which is refused.
            assert {requests.post(api.url("/predict"), json=ROW, timeout=TIMEOUT_SECONDS).status_code} == {200}
            assert workers_of(api.process.pid) != {worker}
    finally:
        code, log = api.stop()
        serving.stop()
    assert code == 0
    assert log.count("ended with -9") == 3


def test_workers_that_cannot_start_end_the_process() -> None:
    command = [sys.executable, "-m", "model_api", "--workers=2", "--host=127.0.0.1", "--port=8080"]
    command += ["--server-ca=/nowhere/ca.crt"]
    environment = {**os.environ, "PYTHONPATH": ":".join(sys.path)}
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False
    )
    assert done.returncode == 1
    assert "No such file" in done.stderr
