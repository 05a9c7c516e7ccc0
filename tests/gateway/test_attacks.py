"""Nothing that is sent over HTTP stops or bloats the api or the model server, or keeps others waiting."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING

import pytest

from ci.bench.load_generator import Load, run
from tests.cables import Cable
from tests.contract import models
from tests.contract.conftest import Server
from tests.gateway import attacks
from tests.gateway.attacks import Target, connections, sent, status_of
from tests.gateway.processes import Api
from tests.processes import memory_mib, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.bystander import Watch

pytestmark = pytest.mark.timed

# The time limits are short, so that those who are slow are ended while the test looks on.
SECONDS = 2
OTHERS_SECONDS = 1.0
# The api's limit is 512 MiB in the chart, and it starts with 60. The model server's is 2 GiB.
GROWTH_MIB = {"api": 250, "server": 700}
ROW = {"instances": [1.0, 2.0, 5.0]}
PATH = "/v1/models/line:predict"


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Yield a model server with short limits."""
    base_path = tmp_path_factory.mktemp("line")
    models.line(base_path / "1", 0.5)
    limits = (f"--rest_api_header_timeout_seconds={SECONDS}", f"--rest_api_body_timeout_seconds={SECONDS}")
    with Server(f"{sys.executable} -m model_server", base_path, *limits) as server:
        yield server


@pytest.fixture(scope="module")
def api(line: Server) -> Iterator[Api]:
    """Yield a gateway with short limits."""
    limits = (f"--header-timeout-seconds={SECONDS}", f"--body-timeout-seconds={SECONDS}")
    with Api(line.grpc_port, "line", *limits) as api:
        yield api


@pytest.fixture(params=["api", "server"])
def target(request: pytest.FixtureRequest, api: Api, line: Server) -> tuple[str, Target]:
    """Return the process under attack and its name."""
    name: str = request.param
    port, process = (api.port, api.process) if name == "api" else (line.rest_port, line.process)
    good = Target(port, process.pid, PATH, b"").post(json.dumps(ROW).encode())
    return name, Target(port, process.pid, PATH, good)


@pytest.mark.parametrize("attack", attacks.ATTACKS, ids=lambda attack: attack.__name__)
def test_message_is_refused_at_little_cost(target: tuple[str, Target], attack: Callable[[Target], set[int]]) -> None:
    name, process = target
    start = time.monotonic()
    with attacks.watch(process) as watch:
        statuses = attack(process)
    assert statuses <= attacks.REFUSALS | ({200} if attack in attacks.ANSWERED else set())
    assert time.monotonic() - start < 15
    assert not watch.failures
    assert watch.slowest_seconds < OTHERS_SECONDS
    assert watch.grown_mib < GROWTH_MIB[name]
    comes_back(process, watch)


def comes_back(process: Target, watch: Watch) -> None:
    """Wait until the memory is what it was, give or take a tenth and what Python's allocator keeps of a first rush."""
    most = 1.1 * watch.before_mib + 100
    wait_for(lambda: memory_mib(process.pid) < most, f"less than {most:.0f} MiB", 20)


@pytest.mark.lengthy
def test_byte_a_second_is_not_enough(target: tuple[str, Target]) -> None:
    _, process = target
    with attacks.watch(process) as watch, process.connect() as connection:
        started = time.monotonic()
        connection.sendall(process.good[:-20])
        for byte in process.good[-20:]:
            if time.monotonic() - started > SECONDS + 2:
                break
            connection.sendall(bytes([byte]))
            time.sleep(1)
        assert status_of(connection) == 408
    assert not watch.failures


@pytest.mark.lengthy
@pytest.mark.parametrize("sent_before", [b"", b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n12"])
def test_client_that_vanished_is_let_go(line: Server, sent_before: bytes) -> None:
    limits = ("--idle-timeout-seconds=1", "--body-timeout-seconds=1", "--header-timeout-seconds=1")
    with Api(line.grpc_port, "line", *limits) as api, Cable(api.port) as cable:
        good = Target(api.port, api.process.pid, PATH, b"").post(json.dumps(ROW).encode())
        cable.client.sendall(good)
        assert cable.client.recv(65536).startswith(b"HTTP/1.1 200")
        cable.client.sendall(sent_before)
        cable.cut()
        wait_for(cable.is_let_go, "a client that is silent is let go", 10)


@pytest.mark.parametrize("body", ['{"inputs": 5}', '{"inputs": NaN}', '{"inputs": {"x": 5}}'])
def test_number_alone_is_answered_as_the_server_does(api: Api, line: Server, body: str) -> None:
    reply, wanted = api.post(PATH, body), line.post(body)
    assert (reply.status_code, reply.text) == (wanted.status_code, wanted.text)
    assert reply.status_code in {200, 400}


def test_slow_requests_keep_no_probe_waiting(target: tuple[str, Target]) -> None:
    _, process = target
    path = "/readyz" if "api" in target else "/v1/models/line/metadata"
    slow = process.post(json.dumps({"instances": [1.0] * 400_000}).encode())
    with connections(process, 16, slow):
        for _ in range(20):
            start = time.monotonic()
            assert sent(process, f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode()) == 200
            assert time.monotonic() - start < OTHERS_SECONDS


@pytest.mark.lengthy
def test_twice_the_capacity_is_answered_or_refused(api: Api) -> None:
    target = Target(api.port, api.process.pid, "/predict", b"")
    request = target.post(b'{"input": 5}')
    capacity = run(Load("127.0.0.1", api.port, request, connections=32, seconds=2)).rate
    before = memory_mib(api.process.pid)
    report = run(Load("127.0.0.1", api.port, request, connections=3000, seconds=5, rate=2 * capacity))
    assert set(report.statuses) <= {200, 429, 503}, report.statuses
    assert not report.errors
    wait_for(lambda: sent(target, request) == 200, "it has recovered", 5)
    start = time.monotonic()
    assert sent(target, request) == 200
    assert time.monotonic() - start < OTHERS_SECONDS
    assert memory_mib(api.process.pid) < before * 1.1 + 60
