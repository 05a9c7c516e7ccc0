"""Faults: what breaks around the server breaks neither it nor a request it has taken."""

from __future__ import annotations

import resource
import shutil
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import grpc
import pytest
import requests
from tensorflow_serving.apis import get_model_status_pb2

from tests.contract import models
from tests.contract.conftest import Server
from tests.contract.test_predict import request
from tests.processes import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.lengthy
CONNECTIONS = 10_000
CALLS = 2
HALF_OPEN_CALLS = 100
VERSION_TIMEOUT_SECONDS = 30
ANSWER = {"predictions": [2.5]}


@pytest.fixture
def server(command: str, base_path: Path) -> Iterator[Server]:
    """Yield a server that looks for versions every second and does not try again."""
    with Server(command, base_path, "--max_num_load_retries=0") as server:
        yield server


class Traffic:
    """Requests one after the other until the block ends; `failures` are the answers that were none."""

    def __init__(self, server: Server) -> None:
        self.failures: list[str] = []
        self.count = 0
        self._server = server
        self._is_done = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        while not self._is_done.is_set():
            reply = self._server.post({"instances": [1.0]})
            self.count += 1
            if not reply.ok:
                self.failures.append(reply.text)

    def __enter__(self) -> Self:
        """Begin."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End, after the request under way."""
        self._is_done.set()
        self._thread.join()


def test_model_that_is_deleted_under_load_goes_on_being_served(server: Server, base_path: Path) -> None:
    with Traffic(server) as traffic:
        shutil.rmtree(base_path)
        seen = traffic.count
        wait_for(lambda: traffic.count > seen + 200, "200 answers without the files", VERSION_TIMEOUT_SECONDS)
    assert traffic.failures == []
    assert server.states() == {1: "AVAILABLE"}


@pytest.mark.parametrize("file", ["saved_model.pb", "variables/variables.data-00000-of-00001"])
def test_cut_off_file_fails_its_version_alone(server: Server, base_path: Path, tmp_path: Path, file: str) -> None:
    models.line(tmp_path / "new", 3.0)
    whole = (tmp_path / "new" / file).read_bytes()
    (tmp_path / "new" / file).write_bytes(whole[: len(whole) // 2])
    with Traffic(server) as traffic:
        (tmp_path / "new").rename(base_path / "2")
        wait_for(lambda: server.states() == {2: "END", 1: "AVAILABLE"}, "version 2 failed", VERSION_TIMEOUT_SECONDS)
    assert traffic.failures == []
    assert server.post({"instances": [1.0]}).json() == ANSWER


def test_full_disk_below_the_logs_does_not_matter(command: str, base_path: Path) -> None:
    with Server(f"sh -c 'exec \"$@\" >/dev/full 2>&1' sh {command}", base_path) as server:
        assert server.post({"instances": [1.0]}).json() == ANSWER
        assert server.get("/v1/models/none").status_code == 404
        assert server.stop() == 0


def test_ten_thousand_idle_connections_keep_nobody_waiting(command: str, base_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (CONNECTIONS + 1000, max(before[1], CONNECTIONS + 1000)))
    idle: list[socket.socket] = []
    try:
        with Server(command, base_path) as server:
            address = ("127.0.0.1", server.rest_port)
            idle.extend(socket.create_connection(address, timeout=10) for _ in range(CONNECTIONS))
            assert server.post({"instances": [1.0]}).json() == ANSWER
            assert server.prediction.Predict(request(x=[1.0]), timeout=10).outputs["y"].float_val[:] == [2.5]
            for connection in idle:
                connection.close()
            assert server.post({"instances": [1.0]}).json() == ANSWER
    finally:
        for connection in idle:
            connection.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_sigterm_loses_no_request_that_was_taken(command: str, base_path: Path) -> None:
    slow = {"signature_name": "slow", "instances": [1.0]}
    with Server(command, base_path, "--rest_api_timeout_in_ms=0") as server, ThreadPoolExecutor(CALLS) as callers:
        by_rest = [callers.submit(server.post, slow) for _ in range(CALLS)]
        wait_for(lambda: _connections(server.rest_port) >= CALLS, "the calls have arrived", VERSION_TIMEOUT_SECONDS)
        by_grpc = [server.prediction.Predict.future(request("slow", x=[1.0]), timeout=120) for _ in range(CALLS)]
        _wait_for_arrival(server)
        server.process.terminate()
        assert [call.result().outputs["y"].float_val[0] > 0 for call in by_grpc] == [True] * CALLS
        assert [call.result().status_code for call in by_rest] == [200] * CALLS
        assert server.process.wait(60) == 0
        with pytest.raises(requests.ConnectionError):
            server.post({"instances": [1.0]})


def _wait_for_arrival(server: Server) -> None:
    """Return when the calls sent before have arrived: one of another kind, behind them, has been answered."""
    asked = get_model_status_pb2.GetModelStatusRequest()
    asked.model_spec.name = "line"
    server.models.GetModelStatus(asked, timeout=60)


def _connections(port: int) -> int:
    """Return how many connections to a local port are open and have nothing left to read (/proc/net/tcp)."""
    lines = Path("/proc/net/tcp").read_text().splitlines() + Path("/proc/net/tcp6").read_text().splitlines()
    fields = [line.split() for line in lines]
    return sum(
        local.endswith(f":{port:04X}") and state == "01" and queue.endswith(":00000000")
        for _, local, _, state, queue, *_ in fields
    )


def test_killed_server_starts_again_where_it_was(command: str, base_path: Path, tmp_path: Path) -> None:
    flag = f"--grpc_socket_path={tmp_path / 'socket'}"
    with Server(command, base_path, flag) as first:
        first.process.kill()
        assert first.process.wait(30) != 0
    with Server(command, base_path, flag, ports=(first.grpc_port, first.rest_port)) as second:
        assert second.post({"instances": [1.0]}).json() == ANSWER
        with grpc.insecure_channel(f"unix:{tmp_path / 'socket'}") as channel:
            grpc.channel_ready_future(channel).result(10)


def test_no_more_inferences_run_at_once_than_there_are_grpc_threads(command: str, base_path: Path) -> None:
    with Server(command, base_path, "--grpc_max_threads=1") as server:
        running = server.prediction.Predict.future(request("slow", x=[models.MINUTES]), timeout=4)
        _wait_for_arrival(server)
        for late in (running, server.prediction.Predict.future(request(x=[1.0]), timeout=1)):
            assert late.exception().code() is grpc.StatusCode.DEADLINE_EXCEEDED
        assert server.prediction.Predict(request(x=[1.0]), timeout=60).outputs["y"].float_val[:] == [2.5]


def test_cancelled_calls_that_wait_their_turn_are_never_run(command: str, base_path: Path) -> None:
    with Server(command, base_path, "--grpc_max_threads=1") as server:
        running = server.prediction.Predict.future(request("slow", x=[models.MINUTES]), timeout=4)
        _wait_for_arrival(server)
        long = request("slow", x=[models.MINUTES])
        waiting: list[Any] = [server.prediction.Predict.future(long, timeout=120) for _ in range(10)]
        _wait_for_arrival(server)
        for call in waiting:
            call.cancel()
        assert server.prediction.Predict(request(x=[1.0]), timeout=60).outputs["y"].float_val[:] == [2.5]
        assert running.done()


def test_a_run_that_outlasts_the_drain_does_not_keep_the_process(command: str, base_path: Path) -> None:
    with Server(command, base_path) as server:
        running = server.prediction.Predict.future(request("slow", x=[models.MINUTES]), timeout=120)
        _wait_for_arrival(server)
        server.process.terminate()
        assert server.process.wait(40) == 0
        assert running.exception() is not None


def test_calls_whose_message_never_comes_leave_the_port_to_the_others(server: Server) -> None:
    is_over = threading.Event()

    def nothing() -> Iterator[bytes]:
        is_over.wait(60)
        yield from ()

    half_open: Any = server.channel.stream_unary("/tensorflow.serving.PredictionService/Predict")
    calls = [half_open.future(nothing()) for _ in range(HALF_OPEN_CALLS)]
    try:
        assert server.prediction.Predict(request(x=[1.0]), timeout=10).outputs["y"].float_val[:] == [2.5]
        assert not any(call.done() for call in calls)
    finally:
        is_over.set()
