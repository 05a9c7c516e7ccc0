"""The loader's configuration: flags, or environment variables of the same names."""

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
from model_description.description import TASKS
from model_download import quantity
from model_download.download import LOOPBACK
from model_loader.errors import LoaderError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

INT64_MAXIMUM = 2**63 - 1
_TRUE = frozenset({"true", "on", "yes", "y", "1"})
_FALSE = frozenset({"false", "off", "no", "n", "0"})


@dataclass(frozen=True)
class Config:
    """What to look for and where, where to put it, for how long, and what is asked of it."""

    model_store: Path
    s3: Settings
    model_name: str
    model_key: str
    model_version: int | None
    further_versions: tuple[int, ...]
    signature_name: str
    model_task: str
    source_path: str
    source_uri: str
    source_sha256: str
    source_image: Path | None
    ca_bundle: Path | None
    target: Path
    size_limit: int | None
    timeout_seconds: float
    verify: bool
    follow: bool
    server_rest: str
    load_timeout_seconds: float
    poll_seconds: float
    tls_dir: Path | None
    ssl_config: Path
    client_verify: bool
    termination_log: Path


class _Kind(click.ParamType[Any]):
    """A type of value: `convert` raises ValueError with what was expected and what arrived."""

    def __init__(self, name: str, convert: Callable[[str], Any]) -> None:
        self.name = name
        self._convert = convert

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            return self._convert(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


def _boolean(text: str) -> bool:
    # Strict: what was meant as "on" must not switch a check off.
    word = text.lower()
    if word not in _TRUE | _FALSE:
        raise ValueError(f"expected true or false (or on, off, yes, no, y, n, 1, 0), got {text[:80]!r}")
    return word in _TRUE


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    # Written so that NaN fails.
    if not 0 <= seconds < math.inf:
        raise ValueError(f"expected a number of seconds, 0 or more, got {text[:80]!r}")
    return seconds


def _version(text: str) -> int | None:
    if not text:
        return None
    # int() also takes other scripts' digits, signs, blanks and underscores.
    if not re.fullmatch("[0-9]{1,19}", text) or not 0 < int(text) <= INT64_MAXIMUM:
        raise ValueError(f"expected a whole number from 1 to {INT64_MAXIMUM}, got {text[:80]!r}")
    return int(text)


def _versions(text: str) -> tuple[int, ...]:
    versions = [_version(part.strip()) for part in text.split(",")] if text else []
    if None in versions:
        raise ValueError(f"expected whole numbers with commas between, got {text[:80]!r}")
    return tuple(version for version in versions if version is not None)


def _text(text: str) -> str:
    if "\0" in text:
        raise ValueError(f"expected text without NUL, got {text[:80]!r}")
    return text


def _name(text: str) -> str:
    if not text or text in {".", ".."} or "/" in text or "\0" in text:
        raise ValueError(f"expected a name without '/', got {text[:80]!r}")
    return text


def _key(text: str) -> str:
    return _name(text) if text else ""


def _path(text: str) -> Path:
    return Path(_text(text))


def _path_or_none(text: str) -> Path | None:
    return _path(text) if text else None


def _size(text: str) -> int | None:
    size_bytes = quantity.parse(text) if text else None
    if size_bytes == 0:
        raise ValueError("expected more than 0 bytes, or nothing for no limit")
    return size_bytes


def _sha256(text: str) -> str:
    digest = text.lower().removeprefix("sha256:")
    if text and not re.fullmatch("[0-9a-f]{64}", digest):
        raise ValueError(f"expected a SHA-256, 64 hexadecimal digits, got {text[:80]!r}")
    return digest


def _uri(text: str) -> str:
    if is_s3(text):
        split(text)
        return text
    # The value may carry a password: it is never repeated.
    try:
        parts = urllib.parse.urlsplit(_text(text))
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise ValueError("expected a URI like https://host/model.tar.gz, got one that cannot be read") from None
    if text and not (host and (parts.scheme == "https" or (parts.scheme == "http" and host in LOOPBACK))):
        raise ValueError(
            f"expected a URI like https://host/model.tar.gz, got one with the scheme {parts.scheme[:20]!r}"
        )
    if not text.isascii() or any(character <= " " or character == "\x7f" for character in text):
        raise ValueError("expected a URI in ASCII without blanks: write other characters as %XX")
    return text


def _rest(text: str) -> str:
    parts = urllib.parse.urlsplit(_text(text))
    if parts.scheme != "http" or not parts.hostname:
        raise ValueError(f"expected a URL like http://127.0.0.1:8501, got {text[:80]!r}")
    return text.rstrip("/")


BOOLEAN = _Kind("boolean", _boolean)
SECONDS = _Kind("seconds", _seconds)
TEXT = _Kind("text", _text)
PATH = _Kind("path", _path)
PATH_OR_NONE = _Kind("path", _path_or_none)


def _flag(name: str, default: str, kind: click.ParamType[Any], summary: str) -> Callable[[Any], Any]:
    return click.option(
        name,
        default=default,
        type=kind,
        help=summary,
        show_default=True,
        envvar=name.removeprefix("--").replace("-", "_").upper(),
        show_envvar=True,
    )


def _s3_flags(command: Any) -> Any:
    for name, convert, summary in reversed(FLAGS):
        command = _flag(name, "", _Kind("s3", functools.partial(_told, convert)), summary)(command)
    return command


def _told(convert: Callable[[str], Any], text: str) -> Any:
    try:
        return convert(text)
    except ValueError as error:
        raise ValueError(f"expected {error}") from None


@click.command(help="Wait for a model, verify it, and hand it to the server; with --follow, also what comes after it.")
@_flag("--model-store", "/model-store", PATH, "directory models are published in")
@_s3_flags
@_flag("--model-name", "mnist", _Kind("name", _name), "name of the model")
@_flag("--model-key", "", _Kind("key", _key), "digest of the training inputs; empty: any")
@_flag("--model-version", "", _Kind("version", _version), "version to serve; empty: the newest")
@_flag("--further-versions", "", _Kind("versions", _versions), "versions to serve beside it, with commas between")
@_flag("--signature-name", "serving_default", TEXT, "signature that is going to be called")
@_flag("--model-task", "", click.Choice(["", *TASKS]), "task the model must fit; empty: as it says itself")
@_flag("--source-path", "", TEXT, "folder <version>/saved_model.pb is in; below --model-store, unless absolute")
@_flag("--source-uri", "", _Kind("uri", _uri), "https://... or s3://... of a .tar.gz, .tar or .zip with the model")
@_flag("--source-sha256", "", _Kind("sha256", _sha256), "SHA-256 of that archive; it needs one")
@_flag("--source-image", "", PATH_OR_NONE, "folder an OCI image is mounted at; --source-path is then inside it")
@_flag("--ca-bundle", "", PATH_OR_NONE, "PEM file of authorities to trust besides the system's")
@_flag("--target", "/models", PATH, "directory that <name>/<version> appears in")
@_flag("--size-limit", "", _Kind("quantity", _size), "what --target may hold, like 4Gi; empty: no limit")
@_flag("--timeout-seconds", "3600", SECONDS, "how long to wait for the model")
@_flag("--verify", "true", BOOLEAN, "check every file against the manifest beside the model")
@_flag("--follow", "false", BOOLEAN, "stay, and hand over each newer version")
@_flag("--server-rest", "http://127.0.0.1:8501", _Kind("url", _rest), "the server's REST, asked whether it loads")
@_flag("--load-timeout-seconds", "600", SECONDS, "how long the server may take to load a version")
@_flag("--poll-seconds", "2", SECONDS, "time between two looks")
@_flag("--tls-dir", "", PATH_OR_NONE, "mounted Secret to write the server's SSLConfig from; empty: none")
@_flag("--ssl-config", "/ssl-config/ssl_config.txt", PATH, "file to write the SSLConfig to")
@_flag("--client-verify", "false", BOOLEAN, "have clients show a certificate")
@_flag("--termination-log", "/dev/termination-log", PATH, "file Kubernetes reads the reason of a failure from")
def _command(**values: Any) -> Config:
    return Config(s3=Settings.take(values), **values)


def parse(arguments: Sequence[str]) -> Config:
    """Return the configuration of flags and environment.

    Exit with 0 after printing --help; raise LoaderError that names the flag, what was expected and what arrived.
    """
    try:
        result = _command.main(list(arguments), prog_name="model-loader", standalone_mode=False)
    except click.ClickException as error:
        raise LoaderError(error.format_message()) from None
    if not isinstance(result, Config):
        raise SystemExit(result)
    _check(result)
    return result


def _check(config: Config) -> None:
    """Raise LoaderError for flags that contradict each other."""
    if config.source_uri and (config.source_path or config.source_image):
        raise LoaderError("--source-uri is one kind of source, --source-path and --source-image are others: give one")
    if bool(config.source_uri) != bool(config.source_sha256):
        missing, given = ("sha256", "uri") if config.source_uri else ("uri", "sha256")
        raise LoaderError(f"--source-{given} is given without --source-{missing}: what is downloaded needs both")
    if config.model_key and (config.source_uri or config.source_path or config.source_image):
        raise LoaderError("--model-key names a training's model, --source-* another's: give one of them")
    if config.follow and (config.model_version is not None or config.source_uri):
        pin = "--source-uri" if config.source_uri else "--model-version"
        raise LoaderError(f"--follow looks for newer versions, {pin} allows none: give one of them")
