"""The publisher's configuration: flags, or environment variables of the same names."""

from __future__ import annotations

import functools
import math
import re
import urllib.parse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from model_bucket.settings import FLAGS, Settings, is_s3, split
from model_download.download import LOOPBACK
from model_publisher.errors import PublisherError
from model_store.names import version_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
# A key is hexadecimal; a run is called like its Job.
KEY = re.compile(r"[0-9a-f]{8,64}")
RUN = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
TERMINATION_LOG = Path("/dev/termination-log")
PATIENCE = "how long a bucket that does not answer is asked again"


@dataclass(frozen=True)
class Check:
    """Which model and run, where the store and the workspace are, and what data is fetched for the run."""

    model_name: str
    model_key: str
    model_store: Path
    s3: Settings
    store_patience_seconds: float
    marker: Path
    workspace: Path
    run: str
    revision: str
    candidate: Path
    data_uri: str
    data_sha256: str
    ca_bundle: Path | None
    data_timeout_seconds: float
    termination_log: Path


@dataclass(frozen=True)
class Publish:
    """Which model and run, what training left, what it is held to, who blesses it, what stays in the store."""

    model_name: str
    model_key: str
    model_store: Path
    s3: Settings
    store_patience_seconds: float
    marker: Path
    workspace: Path
    run: str
    revision: str
    training_config: Path | None
    model_dir: Path
    result_file: Path
    candidate: Path
    signature_name: str
    gates: str | None
    served_rest: str
    blessing: bool
    server_grpc: str
    blessing_timeout_seconds: float
    absolute_tolerance: float | None
    relative_tolerance: float | None
    keep_versions: int | None
    keep_keys: int | None
    pinned_versions: frozenset[int]
    termination_log: Path


class _Kind(click.ParamType[Any]):
    """A type of value: `convert` raises ValueError with what was expected."""

    def __init__(self, name: str, convert: Callable[[str], Any]) -> None:
        self.name = name
        self._convert = convert

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value
        try:
            return self._convert(value)
        except ValueError as error:
            self.fail(f"expected {error}, got {value[:80]!r}", param, ctx)


def _matching(pattern: re.Pattern[str], wanted: str) -> Callable[[str], str]:
    def convert(text: str) -> str:
        if pattern.fullmatch(text):
            return text
        raise ValueError(wanted)

    return convert


def _path(text: str) -> Path:
    if not text or "\0" in text:
        raise ValueError("a path")
    return Path(text)


def _path_or_none(text: str) -> Path | None:
    return _path(text) if text else None


def _boolean(text: str) -> bool:
    if text not in {"true", "false"}:
        raise ValueError("true or false")
    return text == "true"


def _seconds(text: str) -> float:
    seconds = _number(text)
    if not 0 < seconds < math.inf:
        raise ValueError("a number of seconds above 0")
    return seconds


def _tolerance(text: str) -> float | None:
    if not text:
        return None
    value = _number(text)
    if not 0 <= value < math.inf:
        raise ValueError("a number, 0 or more")
    return value


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _count(text: str) -> int | None:
    if not text:
        return None
    if not re.fullmatch("[0-9]{1,9}", text) or int(text) < 1:
        raise ValueError("a whole number, 1 or more")
    return int(text)


def _versions(text: str) -> frozenset[int]:
    versions = [version_of(part.strip()) for part in text.split(",")] if text else []
    if None in versions:
        raise ValueError("version numbers with commas between")
    return frozenset(version for version in versions if version is not None)


def _sha256(text: str) -> str:
    if text and not re.fullmatch("[0-9a-fA-F]{64}", text):
        raise ValueError("a SHA-256, 64 hexadecimal digits")
    return text.lower()


def _uri(text: str) -> str:
    if is_s3(text):
        split(text)
        return text
    # The value may carry a password, which is never repeated: the message is click's without it.
    try:
        parts = urllib.parse.urlsplit(text)
        host = parts.hostname
    except ValueError:
        host, parts = None, urllib.parse.urlsplit("")
    is_taken = host and (parts.scheme == "https" or (parts.scheme == "http" and host in LOOPBACK))
    if text and not (is_taken and text.isascii() and not re.search(r"[\0- \x7f]", text)):
        raise click.BadParameter("expected a URI like https://host/data.tar.gz or s3://bucket/data.tar.gz")
    return text


def _unrepeated(convert: Callable[[str], Any]) -> Callable[[str], Any]:
    """Return a reader whose refusals do not repeat a value that may carry a password."""

    @functools.wraps(convert)
    def read(text: str) -> Any:
        try:
            return convert(text)
        except ValueError as error:
            raise click.BadParameter(f"expected {error}") from None

    return read


def _rest(text: str) -> str:
    parts = urllib.parse.urlsplit(text)
    if text and (parts.scheme != "http" or not parts.hostname):
        raise ValueError("a URL like http://server:8501")
    return text.rstrip("/")


def _text(text: str) -> str:
    return text


def _flag(name: str, default: str | None, convert: Callable[[str], Any], summary: str) -> Callable[[Any], Any]:
    return click.option(
        name,
        default=default,
        type=_Kind(convert.__name__.strip("_"), convert),
        help=summary,
        show_default=bool(default),
        envvar=name.removeprefix("--").replace("-", "_").upper(),
        show_envvar=True,
    )


_TERMINATION_LOG = _flag(
    "--termination-log", str(TERMINATION_LOG), _path, "file Kubernetes reads the reason of a failure from"
)
# What both commands are told.
_RUN = (
    _flag(
        "--model-name", "mnist", _matching(NAME, "letters, digits, '_', '-' and '.', at most 128"), "name of the model"
    ),
    _flag("--model-key", "00000000", _matching(KEY, "8 to 64 hexadecimal digits"), "digest of the training inputs"),
    _flag("--model-store", "/model-store", _path, "directory models are published in"),
    *(_flag(name, "", _unrepeated(convert), summary) for name, convert, summary in FLAGS),
    _flag("--marker", "/check/published", _path, "file that is there when there is nothing to do"),
    _flag("--workspace", "/workspaces", _path, "directory of checkpoints, logs and fetched data"),
    _flag("--run", "first", _matching(RUN, "the name of a Job"), "the run's folder in the workspace"),
    _flag("--candidate", "/candidate", _path, "folder the server beside reads from"),
    _flag("--revision", "", _text, "run that publishes a further version of the key; empty: the key's first"),
)


def _with(flags: Sequence[Callable[[Any], Any]]) -> Callable[[Any], Any]:
    def decorate(command: Any) -> Any:
        for flag in reversed(flags):
            command = flag(command)
        return command

    return decorate


@click.group(help="Find out what there is to train, and publish what was trained, if it is good enough.")
def _commands() -> None:
    pass


@_commands.command(
    "check", help="Find out whether a model is published already; see that it can be; fetch what it learns from."
)
@_with(
    [
        *_RUN,
        # Nothing is lost by another try of the Job yet.
        _flag("--store-patience-seconds", "30", _seconds, PATIENCE),
        _flag(
            "--data-uri", "", _uri, "file or archive over https or in a bucket (s3://...) to fetch into the workspace"
        ),
        _flag("--data-sha256", "", _sha256, "its SHA-256"),
        _flag("--ca-bundle", "", _path_or_none, "PEM file of authorities to trust besides the system's"),
        _flag("--data-timeout-seconds", "3600", _seconds, "how long fetching it may take"),
        _TERMINATION_LOG,
    ]
)
def _check(**values: Any) -> Check:
    return Check(s3=Settings.take(values), **values)


@_commands.command("publish", help="Hold a trained model to its gates, have a server look at it, and publish it.")
@_with(
    [
        *_RUN,
        # A training would be.
        _flag("--store-patience-seconds", "300", _seconds, PATIENCE),
        _flag("--training-config", "", _path_or_none, "JSON file that training was told its parameters in"),
        _flag("--model-dir", "/output/model", _path, "folder training left its SavedModel in"),
        _flag("--result-file", "/output/result.json", _path, "file training left its metrics in"),
        _flag("--signature-name", "serving_default", _text, "signature that is going to be called"),
        _flag("--gates", None, _text, "JSON list of gates; without it those that training declares"),
        _flag("--served-rest", "", _rest, "REST of the server in service, for gates that compare with it"),
        _flag("--blessing", "true", _boolean, "have the server beside load the model and answer its example"),
        _flag("--server-grpc", "127.0.0.1:8500", _text, "gRPC of the server beside"),
        _flag("--blessing-timeout-seconds", "300", _seconds, "how long it may take to load and answer"),
        _flag("--absolute-tolerance", "", _tolerance, "how far an answer may be off; empty: by type"),
        _flag("--relative-tolerance", "", _tolerance, "share of the value it may be off besides; empty: by type"),
        _flag("--keep-versions", "", _count, "versions of the key that stay; empty: all"),
        _flag("--keep-keys", "", _count, "keys of the model that stay; empty: all"),
        _flag("--pinned-versions", "", _versions, "versions that always stay, with commas between"),
        _TERMINATION_LOG,
    ]
)
def _publish(**values: Any) -> Publish:
    return Publish(s3=Settings.take(values), **values)


def parse(arguments: Sequence[str]) -> Check | Publish:
    """Return the configuration of a command from its flags and the environment.

    Exit with 0 after printing --help; raise PublisherError that names the flag, what was expected and what arrived.
    """
    try:
        result = _commands.main(list(arguments), prog_name="model-publisher", standalone_mode=False)
    except click.ClickException as error:
        raise PublisherError(error.format_message()) from None
    if not isinstance(result, Check | Publish):
        raise SystemExit(result)
    if isinstance(result, Check) and bool(result.data_uri) != bool(result.data_sha256):
        missing, given = ("sha256", "uri") if result.data_uri else ("uri", "sha256")
        raise PublisherError(f"--data-{given} is given without --data-{missing}: what is fetched needs both")
    return result
