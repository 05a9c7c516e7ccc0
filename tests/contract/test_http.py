"""The HTTP layer: methods, paths, CORS, gzip, numbers (docs/serving-contract.md, section 2)."""

from __future__ import annotations

import gzip
import socket
from typing import TYPE_CHECKING

import pytest
import requests

from tests.contract import models
from tests.contract.conftest import Server

if TYPE_CHECKING:
    from collections.abc import Iterator

NONSENSE = [
    ("GET", "/v1/models/x:predict"),
    ("POST", "/v1/models/x/metadata"),
    ("PUT", "/v1/models/x"),
    ("GET", "/v1/models/x/"),
    ("POST", "/v1/models/x:PREDICT"),
    ("GET", "/v1/models/x/versions/1/labels/a"),
    ("GET", "/v1/"),
    ("DELETE", "/v1/models/x"),
]


@pytest.fixture(scope="module")
def server(command: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Yield a server with CORS of a model whose name has a slash."""
    base_path = tmp_path_factory.mktemp("http")
    models.line(base_path / "1", 0.5)
    with Server(command, base_path, "--rest_api_enable_cors_support", name="a/b") as server:
        yield server


@pytest.mark.parametrize(("method", "path"), NONSENSE)
def test_nonsense_is_malformed(server: Server, method: str, path: str) -> None:
    reply = requests.request(method, server.url(path), timeout=10)
    assert (reply.status_code, reply.json()) == (400, {"error": f"Malformed request: {method} {path}"})


def test_missing_name_is_told(server: Server) -> None:
    reply = server.get("/v1/models")
    assert (reply.status_code, reply.json()) == (400, {"error": "Missing model name in request."})


def test_version_beyond_64_bits_is_an_empty_400(server: Server) -> None:
    reply = server.get("/v1/models/x/versions/99999999999999999999")
    assert (reply.status_code, reply.content) == (400, b"")


def test_query_is_part_of_the_name(server: Server) -> None:
    reply = server.get("/v1/models/x?y=1")
    assert (reply.status_code, reply.json()["error"]) == (404, "Could not find any versions of model x?y=1")


def test_names_are_decoded_after_matching(server: Server) -> None:
    assert server.post({"instances": [1]}, "/V1/Models/a%2Fb:predict").json() == {"predictions": [2.5]}


@pytest.mark.parametrize("path", ["/v1/models/a%2Fb", "/v1/models/none", "/v1/models/x:nothing"])
def test_every_reply_carries_cors_headers(server: Server, path: str) -> None:
    headers = server.get(path).headers
    assert headers["Access-Control-Allow-Origin"] == "*"
    assert headers["Access-Control-Allow-Methods"] == "POST, GET"
    assert headers["Access-Control-Allow-Headers"] == "Content-Type"


@pytest.mark.parametrize(("origin", "status"), [("http://x", 200), ("https://x", 200), ("x", 400), ("", 400)])
def test_options_wants_an_origin(server: Server, origin: str, status: int) -> None:
    reply = requests.options(server.url("/v1/models/x"), headers={"Origin": origin}, timeout=10)
    assert (reply.status_code, reply.content) == (status, b"")


@pytest.mark.parametrize(
    "body",
    [b"not gzip", gzip.compress(b"{}")[:-4], gzip.compress(bytes(101 << 20))],
    # What gzip writes has the time in it, and the processes that share the tests must call them the same.
    ids=["none", "cut off", "huge"],
)
def test_bad_or_huge_gzip_is_an_empty_body(server: Server, body: bytes) -> None:
    reply = server.post(body, headers={"Content-Encoding": "gzip"})
    assert (reply.status_code, reply.json()) == (400, {"error": "JSON Parse error: The document is empty"})


@pytest.mark.parametrize(
    ("body", "answer"),
    [
        ('{"instances": [1]} and more', "[2.5"),
        ('{"instances": [1], "instances": [9]}', "[2.5"),
        ('\ufeff{"instances": [1]}', "[2.5"),
        (
            '{"instances": [NaN, Infinity, -Infinity, Inf, -Inf, -NaN]}',
            "[NaN, Infinity, -Infinity, Infinity, -Infinity, NaN",
        ),
        ('{"instances": [1e39, -1e39, 1e-60]}', "[Infinity, -Infinity, 2.0"),
        ('{"instances": [2, 18000000, 0.1, 1e-4]}', "[3.0, 9000002.0, 2.05, 2.00005"),
        ('{"unknown": {"a": [1]}, "instances": [1]}', "[2.5"),
    ],
)
def test_parser_and_numbers_are_upstreams(server: Server, body: str, answer: str) -> None:
    reply = server.post(body.encode())
    assert reply.status_code == 200, reply.text
    assert f'"predictions": {answer}' in reply.text


@pytest.mark.parametrize(
    "body", ['{"instances": [1e400]}', '{"instances": [01]}', '{"instances": [1,]}', "[" * 500_000]
)
def test_what_is_no_json_is_refused(server: Server, body: str) -> None:
    reply = server.post(body)
    assert reply.status_code == 400
    assert reply.json()["error"].startswith("JSON Parse error: ")


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ('{"instances": [[1], [1, 2]], "signature_name": "rows"}', "Expecting tensor size: 1 but got: 2"),
        ('{"instances": [1, [2]]}', "Failed to process element: 1 of 'instances' list. Error: INVALID_ARGUMENT:"),
        ('{"instances": {}}', "Expecting 'instances' to be an list/array"),
        ('{"instances": []}', "No values in 'instances' array"),
        ('{"instances": [1], "inputs": [1]}', "expecting only one of 'inputs' or 'instances' keys to exist"),
        ('{"signature_name": 1, "instances": [1]}', "'signature_name' key must be a string value."),
        ("[1]", "Is not object"),
        ('{"signature_name": "pair", "instances": [1]}', "instances is a plain list, but expecting list of objects"),
        ('{"signature_name": "pair", "inputs": 1}', "inputs is a plain value/list, but expecting an object"),
        ('{"signature_name": "pair", "inputs": {"a": [1]}}', "Missing named input: s in 'inputs' object."),
        ('{"signature_name": "pair", "instances": [{"a": 1}]}', "keys must be equal to: a,s"),
        ('{"signature_name": "sum", "instances": [1]}', "Tensor name: total has no shape information"),
        ('{"signature_name": "half", "inputs": [1]}', "to type: half"),
    ],
)
def test_bodies_are_refused_in_upstreams_words(server: Server, body: str, told: str) -> None:
    reply = server.post(body)
    assert reply.status_code in {400, 501}
    assert told in reply.json()["error"]


def test_scalars_and_no_rows_are_answered(server: Server) -> None:
    assert server.post({"signature_name": "sum", "inputs": 4}).json() == {"outputs": 4.0}
    assert server.post({"inputs": []}).json() == {"outputs": []}


def test_a_client_that_sends_one_byte_at_a_time_keeps_nobody_waiting(server: Server) -> None:
    body = b'{"instances": [1]}'
    head = f"POST /v1/models/a%2Fb:predict HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    with socket.create_connection(("127.0.0.1", server.rest_port), timeout=30) as slow:
        for byte in head + body[:-1]:
            slow.sendall(bytes([byte]))
            if byte == ord("\n"):
                assert server.post({"instances": [1]}).ok
        slow.sendall(body[-1:])
        assert b"200 OK" in slow.recv(4096)
