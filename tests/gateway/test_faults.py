"""The gateway's process when its server is away, slow or changing, and what it does with odd requests."""

from __future__ import annotations

import socket
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import grpc
import pytest
import requests
import trustme

from tests.gateway.processes import TIMEOUT_SECONDS, Api
from tests.gateway.standin import Serving
from tests.processes import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LIMITS = ("--max-body-bytes=1000", "--request-timeout-seconds=1", "--model-task=classification")
ROW = {"input": [1, 0, 0, 0]}


@pytest.fixture
def serving() -> Iterator[Serving]:
    """Yield a running stand-in."""
    serving = Serving()
    yield serving
    serving.stop()


@pytest.fixture
def api(serving: Serving) -> Iterator[Api]:
    """Yield a gateway in front of the stand-in."""
    with Api(serving.port, "m", *LIMITS) as api:
        yield api


def test_answer_names_the_version_that_gave_it(api: Api) -> None:
    reply = api.post("/predict", {"input": [0.1, 0.2, 0.6, 0.1]})
    assert (reply.status_code, reply.content) == (200, b'{"prediction":"2","probability":"0.6000"}')
    assert reply.headers["X-Model-Version"] == "3"


def test_request_id_is_the_callers_or_a_new_one(api: Api) -> None:
    assert api.get("/livez", headers={"X-Request-Id": "mine-1"}).headers["X-Request-Id"] == "mine-1"
    new = [api.get("/livez", headers={"X-Request-Id": value}).headers["X-Request-Id"] for value in ("x" * 200, "a b")]
    assert len({*new, "a b"}) == 3


@pytest.mark.parametrize(
    ("path", "method", "status"),
    [("/nothing", "GET", 404), ("/predict", "GET", 405), ("/livez", "POST", 405), ("/v1/model", "DELETE", 405)],
)
def test_unknown_path_or_method_is_json(api: Api, path: str, method: str, status: int) -> None:
    reply = api.session.request(method, api.url(path), timeout=TIMEOUT_SECONDS)
    assert reply.status_code == status
    assert reply.json()["error"]
    assert ("Allow" in reply.headers) is (status == 405)


def test_large_body_is_refused_with_and_without_its_length(api: Api) -> None:
    assert api.post("/predict", b"x" * 1001).status_code == 413
    chunks = iter([b"x" * 600, b"x" * 600])
    assert api.session.post(api.url("/predict"), data=chunks, timeout=TIMEOUT_SECONDS).status_code == 413


def test_lost_server_is_503_and_after_a_while_not_ready(serving: Serving, api: Api) -> None:
    assert api.get("/readyz").status_code == 200
    serving.stop()
    reply = api.post("/predict", ROW)
    assert (reply.status_code, reply.headers["Retry-After"]) == (503, "1")
    wait_for(lambda: api.get("/readyz").status_code == 503, "it is not ready", TIMEOUT_SECONDS)
    assert api.get("/readyz").json() == {"error": "no server is connected"}
    assert api.get("/livez").status_code == 200


def test_slow_server_is_504_and_the_gateway_stays_ready(serving: Serving, api: Api) -> None:
    serving.hangs.set()
    reply = api.post("/predict", ROW)
    assert reply.status_code == 504
    assert "error" in reply.json()
    assert api.get("/readyz").status_code == 200
    serving.hangs.clear()


def test_concurrent_requests_are_joined_into_batches(serving: Serving, api: Api) -> None:
    def ask(value: int) -> str:
        row = [0.0] * 4
        row[value % 4] = 1.0
        answer: str = requests.post(api.url("/predict"), json={"input": row}, timeout=TIMEOUT_SECONDS).json()[
            "prediction"
        ]
        return answer

    with ThreadPoolExecutor(32) as callers:
        answers = list(callers.map(ask, range(400)))
    assert answers == [str(value % 4) for value in range(400)]
    assert max(serving.batches) > 1
    assert sum(serving.batches) == 400


def test_sigterm_finishes_what_is_under_way(serving: Serving) -> None:
    api = Api(serving.port, "m", *LIMITS).__enter__()
    serving.hangs.set()
    with ThreadPoolExecutor(1) as caller:
        reply = caller.submit(requests.post, api.url("/predict"), json=ROW, timeout=TIMEOUT_SECONDS)
        assert serving.has_arrived.wait(TIMEOUT_SECONDS)
        api.process.terminate()
        serving.hangs.clear()
        assert reply.result().status_code == 200
    assert api.stop()[0] == 0


def test_default_address_is_every_one_of_both_families(serving: Serving) -> None:
    api = Api(serving.port, "m", *LIMITS, host="")
    with api:
        for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
            with socket.socket(family, socket.SOCK_STREAM) as connection:
                connection.settimeout(TIMEOUT_SECONDS)
                connection.connect((address, api.port))


@pytest.fixture
def tls(tmp_path: Path) -> Iterator[tuple[Serving, list[str]]]:
    """Yield a stand-in that wants certificates, and the flags to reach it with one."""
    authority = trustme.CA()
    server, client = authority.issue_cert("server.example"), authority.issue_cert("api.example")
    authority.cert_pem.write_to_path(tmp_path / "ca.crt")
    client.cert_chain_pems[0].write_to_path(tmp_path / "tls.crt")
    client.private_key_pem.write_to_path(tmp_path / "tls.key")
    pair = (server.private_key_pem.bytes(), server.cert_chain_pems[0].bytes())
    credentials = grpc.ssl_server_credentials([pair], authority.cert_pem.bytes(), require_client_auth=True)
    serving = Serving(credentials=credentials)
    files = {"ca": "ca.crt", "client-certificate": "tls.crt", "client-key": "tls.key"}
    yield serving, [f"--server-{name}={tmp_path / file}" for name, file in files.items()]
    serving.stop()


@pytest.mark.parametrize(("name", "status"), [("server.example", 200), ("another.example", 503)])
def test_server_is_reached_by_tls_under_its_own_name_alone(
    tls: tuple[Serving, list[str]], name: str, status: int
) -> None:
    serving, flags = tls
    api = Api(serving.port, "m", *LIMITS, *flags, f"--server-name={name}")
    wait_for(api.is_alive, "it listens", TIMEOUT_SECONDS, api.process)
    assert api.post("/predict", ROW).status_code == status
    assert api.stop()[0] == 0
