"""Load your own release's `/predict`, or any path: at full speed by kept connections, or at a constant rate.

Prints a line each second and the whole at the end; exits with 1 above a given bound.
"""

from __future__ import annotations

import http.client
import json
import ssl
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import click

from ci.bench.load_generator import Load, post, run

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ci.bench.load_report import Report

TIMEOUT_SECONDS = 10.0
# At a constant rate as many connections as are needed are used, up to this.
RATE_CONNECTIONS = 1024
CLOSED_CONNECTIONS = 32
_BAD = 400


class UnreachableError(click.ClickException):
    """A sentence with its way out, shown without a traceback."""


@dataclass(frozen=True)
class Target:
    """Where a release answers, and how to speak with it."""

    host: str
    port: int
    # What comes before the path, of a release behind a prefix.
    prefix: str
    tls: ssl.SSLContext | None
    headers: dict[str, str]

    @property
    def url(self) -> str:
        """The address as a person writes it."""
        return f"http{'s' if self.tls else ''}://{self.host}:{self.port}{self.prefix}"

    def ask(self, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        """Return status and body of one request; raise UnreachableError."""
        connection = (
            http.client.HTTPSConnection(self.host, self.port, timeout=TIMEOUT_SECONDS, context=self.tls)
            if self.tls
            else http.client.HTTPConnection(self.host, self.port, timeout=TIMEOUT_SECONDS)
        )
        try:
            connection.request(method, self.prefix + path, body, {"Content-Type": "application/json", **self.headers})
            answer = connection.getresponse()
            return answer.status, answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise UnreachableError(
                f"{self.url} does not answer: {error or type(error).__name__}. Is the port forwarded? "
                "kubectl port-forward service/RELEASE-tensorflow-model-api 8080:8080, then --url http://localhost:8080"
            ) from error
        finally:
            connection.close()


class _Headers(click.ParamType[tuple[str, str]]):
    name = "name: value"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        if isinstance(value, tuple):
            return value
        name, colon, text = str(value).partition(":")
        if not colon or not name.strip() or not str(value).isprintable():
            self.fail(f"expected NAME: VALUE, got {str(value)[:80]!r}", param, ctx)
        return name.strip(), text.strip()


_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command(help=__doc__, context_settings={"show_default": True})
@click.option("--url", required=True, help="http://host:port of the release's api")
@click.option("--path", default="/predict", help="path to POST to")
@click.option("--body", type=_FILE, help="file with the JSON of a request; else the model's own example")
@click.option(
    "--connections",
    type=click.IntRange(1, 60_000),
    help=f"connections, {CLOSED_CONNECTIONS} by default; with --rate the most there may be, {RATE_CONNECTIONS}",
)
@click.option(
    "--rate",
    type=click.FloatRange(0, min_open=True),
    help="requests a second, whatever the server does; latency counts from when each was due",
)
@click.option("--seconds", default=10.0, type=click.FloatRange(0, min_open=True), help="how long")
@click.option("--timeout", default=10.0, type=click.FloatRange(0, min_open=True), help="seconds a request may take")
@click.option("--max-p99-ms", type=click.FloatRange(0), help="exit with 1 when the 99th percentile is above")
@click.option("--max-error-share", type=click.FloatRange(0, 1), help="exit with 1 when more of the requests fail")
@click.option("--header", "headers", type=_Headers(), multiple=True, help="a header to send, NAME: VALUE; repeatable")
@click.option("--ca", type=_FILE, help="PEM file of the authority of the api's certificate")
def main(  # noqa: D103 - its help is the module's
    *,
    url: str,
    path: str,
    body: Path | None,
    connections: int | None,
    rate: float | None,
    seconds: float,
    timeout: float,
    max_p99_ms: float | None,
    max_error_share: float | None,
    headers: Sequence[tuple[str, str]],
    ca: Path | None,
) -> None:
    target = target_of(url, dict(headers), ca)
    content = body.read_bytes() if body is not None else example_of(target)
    must_work(target, path, content)
    host = target.host if target.port in {80, 443} else f"{target.host}:{target.port}"
    load = Load(
        target.host,
        target.port,
        post(target.prefix + path, content, host, target.headers),
        connections or (RATE_CONNECTIONS if rate else CLOSED_CONNECTIONS),
        rate,
        seconds,
        timeout,
        target.tls,
    )
    how = f"{rate:g} requests/s" if rate else f"{load.connections} connections"
    click.echo(f"{target.url}{path}: {len(content):,} bytes a request, {how}, {seconds:g} s")
    elapsed = 0.0

    def tell(second: Report) -> None:
        nonlocal elapsed
        elapsed += second.seconds
        click.echo(f"{elapsed:5.0f} s  {second.line()}")

    report = run(load, tell)
    click.echo(f"\n{report.table()}")
    found = list(broken(report, max_p99_ms, max_error_share))
    for sentence in found:
        click.echo(f"✘ {sentence}", err=True)
    if found:
        sys.exit(1)


def target_of(url: str, headers: dict[str, str], ca: Path | None) -> Target:
    """Return where a URL points; raise UsageError."""
    parts = urlsplit(url if "://" in url else f"http://{url}")
    try:
        port = parts.port
    except ValueError:
        port = 0
    if parts.scheme not in {"http", "https"} or not parts.hostname or port == 0:
        raise click.UsageError(f"--url: expected http://host:port, got {url[:200]!r}")
    tls = None
    if parts.scheme == "https":
        tls = ssl.create_default_context(cafile=ca)
    return Target(parts.hostname, port or (443 if tls else 80), parts.path.rstrip("/"), tls, headers)


def example_of(target: Target) -> bytes:
    """Return the request of the model's own example; raise UnreachableError."""
    status, content = target.ask("GET", "/v1/model")
    if status != http.client.OK:
        raise UnreachableError(
            f"{target.url}/v1/model answers {status}: {_short(content)}. Give a request: --body FILE"
        )
    try:
        example = json.loads(content)["example"]
    except (ValueError, KeyError, TypeError):
        raise UnreachableError(
            f"{target.url}/v1/model is not this project's api: give a request by --body FILE"
        ) from None
    if not example:
        raise UnreachableError(
            "the model has no example of its own. Write a request to a file, "
            '{"input": ...} with one input of the shape that /v1/model tells, and give it by --body FILE'
        )
    return json.dumps(example["request"], separators=(",", ":")).encode()


def must_work(target: Target, path: str, content: bytes) -> None:
    """Ask once; raise UnreachableError where the request itself is refused, which is not the load's doing."""
    status, answer = target.ask("POST", path, content)
    # Busy is what a load may find; anything else is the same for each request.
    if status >= _BAD and status not in {http.client.TOO_MANY_REQUESTS, http.client.SERVICE_UNAVAILABLE}:
        raise UnreachableError(f"{target.url}{path} answers {status} to the request: {_short(answer)}")


def broken(report: Report, max_p99_ms: float | None, max_error_share: float | None) -> Iterator[str]:
    """Yield a sentence for each bound that was not kept; without answers none is."""
    p99 = report.milliseconds(0.99)
    # Written so that NaN fails.
    if max_p99_ms is not None and not p99 <= max_p99_ms:
        yield f"p99 is {p99:.2f} ms, above --max-p99-ms {max_p99_ms:g}"
    if max_error_share is not None and report.error_share > max_error_share:
        yield f"{report.error_share:.4%} of the requests failed, above --max-error-share {max_error_share:g}"
    if not report.answers:
        yield "nothing was answered"


def _short(content: bytes) -> str:
    return content[:200].decode(errors="replace")


if __name__ == "__main__":
    main()
