"""The gateway's configuration: flags, or environment variables of the same names."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from model_description.description import TASKS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

INT64_MAXIMUM = 2**63 - 1


@dataclass(frozen=True)
class Config:
    """Where to listen, which model to ask, what is known of it beforehand, and the limits of a request."""

    host: str
    port: int
    workers: int
    server: tuple[str, ...]
    server_ca: Path | None
    server_name: str
    server_client_certificate: Path | None
    server_client_key: Path | None
    model_name: str
    model_version: int | None
    signature_name: str
    model_task: str
    model_labels: tuple[str, ...]
    require_description: bool
    max_header_bytes: int
    max_headers: int
    max_body_bytes: int
    max_held_body_bytes: int
    max_held_answer_bytes: int
    max_connections: int
    max_requests: int
    header_timeout_seconds: float
    body_timeout_seconds: float
    idle_timeout_seconds: float
    write_timeout_seconds: float
    max_inputs_per_request: int
    batch_size: int
    queue_size: int
    queue_bytes: int
    request_timeout_seconds: float
    resolve_seconds: float
    drain_seconds: float


class _Optional(click.ParamType[Any]):
    """Another type, or nothing at all for empty text."""

    def __init__(self, kind: click.ParamType[Any]) -> None:
        self.name = kind.name
        self._kind = kind

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return None if value == "" else self._kind.convert(value, param, ctx)


class _Seconds(click.ParamType[float]):
    name = "seconds"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            seconds = float(value)
        except ValueError:
            seconds = math.nan
        # Written so that NaN fails.
        if not 0 <= seconds < math.inf:
            self.fail(f"expected a number of seconds, 0 or more, got {str(value)[:80]!r}", param, ctx)
        return seconds


def _is_name(host: str) -> bool:
    """Tell whether a host's name can be looked up and compared with a certificate's (RFC 3490)."""
    try:
        host.encode("idna")
    except UnicodeError:
        return False
    return not host.startswith(".")


class _Name(click.ParamType[str]):
    name = "host name"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        text = str(value)
        if not _is_name(text):
            self.fail(f"expected a host's name, got {text[:80]!r}", param, ctx)
        return text


class _Targets(click.ParamType[tuple[str, ...]]):
    name = "host:port[,host:port...]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        targets = value if isinstance(value, tuple) else tuple(str(value).split(","))
        for target in targets:
            host, _, port = target.rpartition(":")
            if not host or not _is_name(host) or not (port.isascii() and port.isdecimal()):
                self.fail(f"expected host:port, several with commas between, got {target[:80]!r}", param, ctx)
        return targets


class _Labels(click.ParamType[tuple[str, ...]]):
    name = "JSON list"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        if isinstance(value, tuple):
            return value
        try:
            labels = json.loads(value) if value else []
        except ValueError:
            labels = None
        if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
            self.fail(f"expected a JSON list of texts, got {str(value)[:80]!r}", param, ctx)
        if len(set(labels)) != len(labels):
            self.fail("expected each label once", param, ctx)
        return tuple(labels)


def _flag(name: str, default: Any, kind: click.ParamType[Any] | type, summary: str) -> Callable[[Any], Any]:
    return click.option(
        name,
        default=default,
        type=kind,
        help=summary,
        show_default=True,
        envvar=name.removeprefix("--").replace("-", "_").upper(),
        show_envvar=True,
    )


_FILE = _Optional(click.Path(dir_okay=False, path_type=Path))


@click.command(
    help="Answer HTTP for one TensorFlow model and ask its server by gRPC.", context_settings={"show_default": True}
)
@_flag("--host", "", str, "address to listen on; empty: every address, of IPv4 and of IPv6")
@_flag("--port", 8080, click.IntRange(0, 65_535), "port to listen on")
@_flag("--workers", 1, click.IntRange(1, 64), "processes that share the port; each asks the servers by itself")
@_flag("--server", "localhost:8500", _Targets(), "host:port of TensorFlow Serving's gRPC; every address is used")
@_flag("--server-ca", "", _FILE, "PEM file of the authority of the server's certificate; empty: no TLS")
@_flag("--server-name", "", _Name(), "name in the server's certificate; empty: the host of --server")
@_flag("--server-client-certificate", "", _FILE, "PEM file of a certificate to show to the server")
@_flag("--server-client-key", "", _FILE, "PEM file of that certificate's key")
@_flag("--model-name", "mnist", str, "name of the model")
@_flag("--model-version", "", _Optional(click.IntRange(1, INT64_MAXIMUM)), "version to ask; empty: the newest")
@_flag("--signature-name", "serving_default", str, "signature to call")
@_flag("--model-task", "", click.Choice(["", *TASKS]), "how /predict answers; empty: as the model says, else raw")
@_flag("--model-labels", "", _Labels(), "names of the classes; empty: as the model says, else numbers")
@_flag("--require-description", "false", bool, "be ready only for a model that describes itself")
@_flag("--max-header-bytes", 64 << 10, click.IntRange(1024, 2**24), "most bytes of a request line and its headers")
@_flag("--max-headers", 100, click.IntRange(1, 10_000), "most headers of a request")
@_flag("--max-body-bytes", 4 << 20, click.IntRange(1, 2**31 - 1), "largest request body, compressed or not")
@_flag("--max-held-body-bytes", 64 << 20, click.IntRange(1, 2**40), "most bytes of bodies in memory, of all requests")
@_flag("--max-held-answer-bytes", 32 << 20, click.IntRange(1, 2**40), "most bytes of the model's answers in memory")
@_flag("--max-connections", 16_384, click.IntRange(1, 1_000_000), "most connections")
@_flag("--max-requests", 1024, click.IntRange(1, 1_000_000), "most requests under way; more are answered 503")
@_flag("--header-timeout-seconds", 15.0, _Seconds(), "time for a request's headers to come")
@_flag("--body-timeout-seconds", 60.0, _Seconds(), "time for a request's body to come")
@_flag("--idle-timeout-seconds", 75.0, _Seconds(), "time after which an idle connection is closed")
@_flag("--write-timeout-seconds", 60.0, _Seconds(), "time a client may read nothing of an answer")
@_flag("--max-inputs-per-request", 256, click.IntRange(1, 65_536), "most inputs in a request")
@_flag("--batch-size", 64, click.IntRange(1, 65_536), "most rows joined into one call")
@_flag("--queue-size", 2048, click.IntRange(1, 1_000_000), "rows that may wait for the server")
@_flag("--queue-bytes", 64 << 20, click.IntRange(1, 2**40), "bytes of rows that may wait for the server")
@_flag("--request-timeout-seconds", 10.0, _Seconds(), "time after which a request is answered 504")
@_flag("--resolve-seconds", 2.0, _Seconds(), "how often the server's addresses are looked up")
@_flag("--drain-seconds", 5.0, _Seconds(), "time to go on serving, not ready, after SIGTERM")
def _command(**values: Any) -> Config:
    return Config(**values)


def parse(arguments: Sequence[str]) -> Config:
    """Return the configuration of flags and environment.

    Exit with 0 after printing --help, and with 2 and a sentence that names the flag when a value is bad.
    """
    try:
        result = _command.main(list(arguments), prog_name="model-api", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        raise SystemExit(error.exit_code) from None
    if not isinstance(result, Config):
        raise SystemExit(result)
    return result
