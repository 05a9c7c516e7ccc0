"""What a server's REST says of its versions, and what becomes of anything else it may say."""

from __future__ import annotations

import contextlib
import json
import socket
from typing import TYPE_CHECKING

import pytest

from model_loader import server_status
from model_loader.server_status import ServerStatus, VersionStatus
from tests import http_server

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def serving(status: int, body: bytes) -> Iterator[tuple[str, list[str]]]:
    """Yield the address of a server that gives one answer to everything, and the paths it is asked for."""
    paths: list[str] = []

    class Handler(http_server.Handler):
        def get(self) -> None:
            paths.append(self.path)
            self.reply(status, body)

    with http_server.serving(Handler) as address:
        yield address, paths


def test_states_and_reasons_are_read_as_tensorflow_serving_writes_them() -> None:
    answer = {
        "model_version_status": [
            {"version": "9007199254740993", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}},
            {"version": "3", "state": "END", "status": {"error_code": "NOT_FOUND", "error_message": "Op 'Foo'"}},
        ]
    }
    with serving(200, json.dumps(answer).encode()) as (url, paths):
        status = server_status.ask(url, "my model")
    assert status == ServerStatus(
        {
            9007199254740993: VersionStatus("AVAILABLE"),
            3: VersionStatus("END", "NOT_FOUND: Op 'Foo'"),
        }
    )
    assert paths == ["/v1/models/my%20model"]


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (404, b'{"error": "Could not find any versions of model"}'),
        (503, b""),
        (200, b"not JSON"),
        (200, b"[1]"),
        (200, b'{"model_version_status": 3}'),
        (200, b'{"model_version_status": [3, null, {"version": "x"}, {"state": "END"}]}'),
    ],
)
def test_any_other_answer_is_a_server_that_knows_no_version(status: int, body: bytes) -> None:
    with serving(status, body) as (url, _):
        assert server_status.ask(url, "mnist") == ServerStatus({})


def test_nobody_listening_is_a_server_that_is_gone() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        assert server_status.ask(f"http://127.0.0.1:{port}", "mnist") == ServerStatus({}, is_gone=True)
