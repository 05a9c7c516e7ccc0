"""`nox -s bench -- load`: what a user is told, and what it ends with."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, ClassVar

import pytest
from click.testing import CliRunner

from ci.bench.load import main
from tests import http_server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from click.testing import Result

EXAMPLE = {"request": {"input": [1, 2]}, "response": {}}


class Release(http_server.Handler):
    """An api of a few lines."""

    protocol_version = "HTTP/1.1"
    model: ClassVar[dict[str, object]] = {"example": EXAMPLE}
    asked: ClassVar[list[bytes]] = []
    status: ClassVar[int] = 200

    def get(self) -> None:
        """Tell of the model."""
        self.reply(200 if self.path == "/v1/model" else 404, json.dumps(self.model).encode())

    def post(self) -> None:
        """Answer a prediction."""
        self.asked.append(self.body())
        self.reply(self.status, b'{"error": "why"}')


@pytest.fixture
def release(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Return the URL of a release that answers 200."""
    monkeypatch.setattr(Release, "asked", [])
    with http_server.serving(Release) as url:
        yield url


def load(*arguments: str) -> Result:
    """Run the command for a moment."""
    return CliRunner().invoke(main, ["--seconds", "0.3", *arguments])


def test_the_models_own_example_is_asked(release: str) -> None:
    result = load("--url", release, "--connections", "2", "--max-p99-ms", "5000", "--max-error-share", "0")
    assert result.exit_code == 0, result.output
    assert set(Release.asked) == {b'{"input":[1,2]}'}
    assert "error share  0.0000%" in result.output


def test_a_file_is_asked_at_a_rate_at_another_path(release: str, tmp_path: Path) -> None:
    (body := tmp_path / "body.json").write_text("[]")
    result = load("--url", release, "--path", "/other", "--body", str(body), "--rate", "50")
    assert result.exit_code == 0, result.output
    # Once to see that it works.
    assert Release.asked == [b"[]"] * 16


def test_a_bound_that_is_not_kept_ends_with_1(release: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Release, "status", 503)
    result = load("--url", release, "--max-p99-ms", "0.001", "--max-error-share", "0.5")
    assert result.exit_code == 1
    assert "above --max-p99-ms 0.001" in result.output
    assert "100.0000% of the requests failed, above --max-error-share 0.5" in result.output


def test_without_bounds_failures_are_told_and_no_failure(release: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Release, "status", 503)
    result = load("--url", release)
    assert result.exit_code == 0
    assert "x 503" in result.output


def test_a_refused_request_is_not_repeated(release: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Release, "status", 400)
    result = load("--url", release)
    assert result.exit_code == 1
    assert 'answers 400 to the request: {"error": "why"}' in result.output
    assert len(Release.asked) == 1


def test_a_model_without_an_example_says_what_to_do(release: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Release, "model", {"example": None})
    result = load("--url", release)
    assert result.exit_code == 1
    assert "no example of its own" in result.output
    assert "--body FILE" in result.output


def test_nobody_there_says_how_to_forward_a_port() -> None:
    result = load("--url", "http://127.0.0.1:1")
    assert result.exit_code == 1
    assert "does not answer" in result.output
    assert "kubectl port-forward" in result.output


@pytest.mark.parametrize("url", ["ftp://host", "http://", "http://host:port"])
def test_what_is_no_url_is_a_mistake_in_use(url: str) -> None:
    result = load("--url", url)
    assert result.exit_code == 2
    assert "expected http://host:port" in result.output
