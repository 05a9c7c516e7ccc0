"""Downloads: whole and of the digest asked for, or not at all; no secret is told."""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import pathlib
import ssl
import threading
from typing import TYPE_CHECKING, Any

import pytest
import trustme

from model_download import download
from model_download.errors import DownloadError, FetchError, RefusedError, UnreachableError, VolumeError
from model_download.keys import Keys
from tests import http_server
from tests.http_server import running

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

CONTENT = bytes(range(256)) * 4096
KEYS = Keys("archive", "the.uri", "the.sha256", "the.sizeLimit", "the.timeoutSeconds", "--ca-bundle")
DIGEST = hashlib.sha256(CONTENT).hexdigest()


class Handler(http_server.Handler):
    """Answers as the server's script says."""

    server: Server

    def get(self) -> None:
        """Answer."""
        self.server.requests.append(self)
        self.server.answer(self, len(self.server.requests))

    def send(self, status: int = 200, content: bytes = CONTENT, *, length: int = -1, **headers: str) -> None:
        """Send an answer; a `length` above the content's is an interruption."""
        self.send_response(status)
        self.send_header("Content-Length", str(len(content) if length < 0 else length))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        with contextlib.suppress(OSError):
            self.wfile.write(content)


class Server(http.server.ThreadingHTTPServer):
    """A server on loopback; `answer` gets a request and its number, from 1."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests: list[Handler] = []
        self.answer: Callable[[Handler, int], None] = lambda request, _number: request.send()
        self.scheme = "http"

    def url(self, path: str = "/model.tar.gz") -> str:
        """Return an address in it."""
        return f"{self.scheme}://127.0.0.1:{self.server_address[1]}{path}"


@pytest.fixture
def server() -> Iterator[Server]:
    """Yield a server that answers everything with CONTENT until it is told otherwise."""
    with running(Server()) as server:
        yield server


class Clock:
    """Time that passes only in pauses."""

    def __init__(self) -> None:
        self.now = 0.0
        self.pauses: list[float] = []

    def __call__(self) -> float:
        """Return the time."""
        return self.now

    def pause(self, seconds: float) -> None:
        """Let time pass."""
        self.pauses.append(seconds)
        self.now += seconds


def get(server: Server, path: Path, clock: Clock | None = None, **given: Any) -> bytes:
    """Download and return what is there then."""
    time = clock or Clock()
    facts = {
        "uri": server.url(),
        "sha256": DIGEST,
        "keys": KEYS,
        "tell": print,
        "timeout_seconds": 100.0,
        "clock": time,
        "pause": time.pause,
        **given,
    }
    download.download(download.Source(**facts), path)
    return path.read_bytes()


def test_archive_of_the_digest_arrives(server: Server, tmp_path: Path) -> None:
    assert get(server, tmp_path / "archive") == CONTENT


def test_another_digest_is_refused_with_both(server: Server, tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match=f"{DIGEST}, the.sha256 says {'0' * 64}"):
        get(server, tmp_path / "archive", sha256="0" * 64)
    assert len(server.requests) == 1


def test_interrupted_download_goes_on_where_it_ended(server: Server, tmp_path: Path) -> None:
    def answer(request: Handler, number: int) -> None:
        if number == 1:
            request.send(content=CONTENT[:1000], length=len(CONTENT), ETag='"v1"')
        else:
            request.send(206, CONTENT[1000:], Content_Range=f"bytes 1000-{len(CONTENT) - 1}/{len(CONTENT)}")

    server.answer = answer
    assert get(server, tmp_path / "archive") == CONTENT
    assert server.requests[1].headers["Range"] == "bytes=1000-"
    assert server.requests[1].headers["If-Range"] == '"v1"'


def test_interrupted_download_starts_again_where_the_server_has_no_ranges(server: Server, tmp_path: Path) -> None:
    def answer(request: Handler, number: int) -> None:
        request.send(content=CONTENT[: 1000 * number] if number < 3 else CONTENT, length=len(CONTENT))

    server.answer = answer
    assert get(server, tmp_path / "archive") == CONTENT
    assert len(server.requests) == 3


@pytest.mark.parametrize(
    ("status", "content_range"), [(206, "bytes 5-9/10"), (206, "nonsense"), (206, ""), (416, "bytes */10")]
)
def test_rest_that_does_not_fit_starts_again(server: Server, tmp_path: Path, status: int, content_range: str) -> None:
    def answer(request: Handler, number: int) -> None:
        if number == 1:
            request.send(content=CONTENT[:1000], length=len(CONTENT))
        elif "Range" in request.headers:
            request.send(status, CONTENT[5:10], Content_Range=content_range)
        else:
            request.send()

    server.answer = answer
    assert get(server, tmp_path / "archive") == CONTENT


def test_pieces_of_two_versions_start_again(server: Server, tmp_path: Path) -> None:
    def answer(request: Handler, number: int) -> None:
        if number == 1:
            request.send(content=b"x" * 1000, length=len(CONTENT))
        elif "Range" in request.headers:
            request.send(206, CONTENT[1000:], Content_Range=f"bytes 1000-{len(CONTENT) - 1}/{len(CONTENT)}")
        else:
            request.send()

    server.answer = answer
    assert get(server, tmp_path / "archive") == CONTENT


def test_server_that_is_busy_is_asked_again_with_growing_pauses(server: Server, tmp_path: Path) -> None:
    server.answer = lambda request, number: request.send(503 if number < 8 else 200)
    clock = Clock()
    assert get(server, tmp_path / "archive", clock, timeout_seconds=1000.0) == CONTENT
    assert clock.pauses == [1, 2, 4, 8, 16, 30, 30]


def test_time_that_is_over_is_told(server: Server, tmp_path: Path) -> None:
    server.answer = lambda request, _number: request.send(503)
    with pytest.raises(UnreachableError, match="was not downloaded in 100 s: it answers 503"):
        get(server, tmp_path / "archive")


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_answer_that_another_try_does_not_heal_ends_it(server: Server, tmp_path: Path, status: int) -> None:
    server.answer = lambda request, _number: request.send(status)
    with pytest.raises(DownloadError, match=f"answers {status}"):
        get(server, tmp_path / "archive")
    assert len(server.requests) == 1


def test_silent_server_is_asked_again(server: Server, tmp_path: Path) -> None:
    heard = threading.Event()

    def answer(request: Handler, number: int) -> None:
        if number == 1:
            heard.wait(10)
        else:
            heard.set()
            request.send()

    server.answer = answer
    assert get(server, tmp_path / "archive", silence_seconds=0.2) == CONTENT


def test_slow_server_does_not_outlast_the_time(server: Server, tmp_path: Path) -> None:
    clock = Clock()

    def answer(request: Handler, _number: int) -> None:
        clock.now += 60
        request.send()

    server.answer = answer
    with pytest.raises(UnreachableError, match="it is slow"):
        get(server, tmp_path / "archive", clock, timeout_seconds=50.0)


@pytest.mark.parametrize("is_said", [True, False])
def test_archive_larger_than_the_limit_is_refused(server: Server, tmp_path: Path, *, is_said: bool) -> None:
    def answer(request: Handler, _number: int) -> None:
        if is_said:
            request.send()
            return
        request.send_response(200)
        request.end_headers()
        with contextlib.suppress(OSError):
            request.wfile.write(CONTENT)

    server.answer = answer
    with pytest.raises(RefusedError, match=r"the.sizeLimit leaves is 1000 bytes: raise it"):
        get(server, tmp_path / "archive", limit_bytes=1000)
    assert (tmp_path / "archive").stat().st_size <= 1000


def test_redirect_is_followed(server: Server, tmp_path: Path) -> None:
    server.answer = lambda request, number: request.send(302, b"", Location="/other") if number == 1 else request.send()
    assert get(server, tmp_path / "archive") == CONTENT
    assert server.requests[1].path == "/other"


@pytest.mark.parametrize(
    "target", ["http://example.com/m.zip?token=hunter2", "file:///etc/passwd", "ftp://example.com/"]
)
def test_redirect_to_anything_but_https_is_refused(server: Server, tmp_path: Path, target: str) -> None:
    server.answer = lambda request, _number: request.send(302, b"", Location=target)
    with pytest.raises(FetchError) as refused:
        get(server, tmp_path / "archive")
    assert "hunter2" not in str(refused.value)
    assert len(server.requests) == 1


def test_redirect_from_https_to_http_is_refused(tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.crt"))
    with secure(authority) as server:
        server.answer = lambda request, _number: request.send(302, b"", Location="http://127.0.0.1:1/m.zip")
        with pytest.raises(DownloadError, match="only https is followed"):
            get(server, tmp_path / "archive", ca_bundle=tmp_path / "ca.crt")


@contextlib.contextmanager
def secure(authority: trustme.CA) -> Iterator[Server]:
    """Run a server that speaks https."""
    server = Server()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.scheme = "https"
    server.handle_error = lambda *_: None  # type: ignore[method-assign]
    with running(server):
        yield server


def test_authority_of_the_bundle_is_trusted(tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.crt"))
    with secure(authority) as server:
        assert get(server, tmp_path / "archive", ca_bundle=tmp_path / "ca.crt") == CONTENT


def test_authority_of_ssl_cert_file_is_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.crt"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.crt"))
    with secure(authority) as server:
        assert get(server, tmp_path / "archive") == CONTENT


def test_unknown_authority_is_told_at_once(tmp_path: Path) -> None:
    with secure(trustme.CA()) as server, pytest.raises(DownloadError, match=r"is not trusted .*--ca-bundle"):
        get(server, tmp_path / "archive")


@pytest.mark.parametrize("content", [None, "not a certificate"])
def test_bundle_that_cannot_be_read_is_named(server: Server, tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "ca.crt").write_text(content)
    with pytest.raises(DownloadError, match=r"ca.crt\) cannot be read as PEM"):
        get(server, tmp_path / "archive", ca_bundle=tmp_path / "ca.crt")


def test_user_and_password_are_sent_to_that_host_only_and_never_told(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def answer(request: Handler, number: int) -> None:
        if number == 1:
            request.send(503)
        elif number == 2:
            request.send(302, b"", Location="/elsewhere")
        else:
            request.send(404)

    server.answer = answer
    uri = server.url("/m.zip?token=hunter2").replace("http://", "http://me:hunter%322@")
    with pytest.raises(DownloadError) as refused:
        get(server, tmp_path / "archive", uri=uri)
    assert [request.headers["Authorization"] for request in server.requests] == [
        "Basic bWU6aHVudGVyMjI=",
        "Basic bWU6aHVudGVyMjI=",
        None,
    ]
    assert "hunter" not in capsys.readouterr().out + str(refused.value)


def test_host_that_is_not_there_is_asked_until_the_time_is_over(tmp_path: Path) -> None:
    clock = Clock()
    server = Server()
    server.server_close()
    with pytest.raises(UnreachableError, match="it cannot be reached"):
        get(server, tmp_path / "archive", clock, timeout_seconds=10.0)
    assert clock.pauses == [1, 2, 4]


def test_volume_that_is_full_is_told(server: Server) -> None:
    with pytest.raises(
        VolumeError, match=r"the archive cannot be written \(No space left on device\): see the.sizeLimit"
    ):
        get(server, pathlib.Path("/dev/full"))
