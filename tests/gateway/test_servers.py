"""Several servers behind one name: each its share, and one that hangs or goes costs no request."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
import requests

from tests.gateway.processes import TIMEOUT_SECONDS, Api
from tests.gateway.standin import Serving
from tests.processes import free_port, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.timed

ROW = {"input": [0.1, 0.2, 0.6, 0.1]}
COUNT = 300
# Serves until it is ended; the main thread of a stand-in is nobody's.
STANDIN = """
import sys, time
from tests.gateway.standin import Serving
print(Serving().port, flush=True)
time.sleep(600)
"""


@contextlib.contextmanager
def served(count: int) -> Iterator[list[Serving]]:
    """Run stand-ins."""
    servings = [Serving() for _ in range(count)]
    try:
        yield servings
    finally:
        for serving in servings:
            serving.stop()


def api_of(*ports: int) -> Api:
    """Return a gateway in front of servers at these ports."""
    servers = ",".join(f"127.0.0.1:{port}" for port in ports)
    return Api(ports[0], "m", f"--server={servers}", "--model-task=classification")


def asked(api: Api, count: int, callers: int = 4) -> list[float]:
    """Ask so many times; return how long each took. Fail with the first answer that is not 200."""

    def ask(_: int) -> float:
        start = time.monotonic()
        reply = requests.post(api.url("/predict"), json=ROW, timeout=TIMEOUT_SECONDS)
        assert reply.status_code == 200, reply.text
        assert reply.json()["prediction"] == "2"
        return time.monotonic() - start

    with ThreadPoolExecutor(callers) as pool:
        return list(pool.map(ask, range(count)))


def test_each_of_three_servers_gets_a_third() -> None:
    with served(3) as servings, api_of(*(serving.port for serving in servings)) as api:
        wait_for(lambda: bool(asked(api, 12)) and all(s.batches for s in servings), "all are asked", TIMEOUT_SECONDS)
        for serving in servings:
            serving.batches.clear()
        asked(api, COUNT)
        for serving in servings:
            assert abs(len(serving.batches) / sum(len(s.batches) for s in servings) - 1 / 3) < 0.05


def test_server_that_refuses_is_passed_over() -> None:
    with served(2) as (first, second), api_of(first.port, second.port) as api:
        asked(api, 20)
        first.stop()
        assert max(asked(api, 50)) < 5


@pytest.mark.lengthy
def test_server_that_hangs_costs_one_wait_and_no_request() -> None:
    command = [sys.executable, "-c", STANDIN]
    environment = {**os.environ, "PYTHONPATH": ":".join(sys.path)}
    with (
        served(1) as (serving,),
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process,
    ):
        assert process.stdout is not None
        try:
            with api_of(serving.port, int(process.stdout.readline())) as api:
                asked(api, 50)
                process.send_signal(signal.SIGSTOP)
                seconds = asked(api, COUNT)
                # Those that were sent there wait until another is asked as well; all others go elsewhere at once.
                assert max(seconds) < 4
                assert sum(one > 0.5 for one in seconds) <= 12
                process.send_signal(signal.SIGCONT)
                asked(api, 50)
        finally:
            process.kill()


@pytest.mark.lengthy
def test_last_server_that_comes_back_is_used_again() -> None:
    port = free_port()
    command = [sys.executable, "-c", STANDIN.replace("Serving()", f"Serving(port={port})")]
    environment = {**os.environ, "PYTHONPATH": ":".join(sys.path)}
    api = api_of(port)
    try:
        for _ in range(2):
            with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
                wait_for(lambda: api.is_alive() and api.post("/predict", ROW).ok, "it is used", TIMEOUT_SECONDS)
                process.kill()
            reply = api.post("/predict", ROW)
            assert (reply.status_code, reply.headers["Retry-After"]) == (503, "1")
    finally:
        api.stop()
