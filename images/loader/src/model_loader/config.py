"""The loader's configuration: flags, or environment variables of the same names."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from model_loader.errors import LoaderError
from model_loader.store import Wanted

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


@dataclass(frozen=True)
class Config:
    """What to wait for, where to put it, for how long, and whether to check it."""

    model_store: Path
    wanted: Wanted
    further: tuple[Wanted, ...]
    target: Path
    tls_dir: Path | None
    ssl_config: Path
    client_verify: bool
    timeout_seconds: float
    verify: bool
    manifest_only: bool
    termination_log: Path


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise LoaderError(message)


def parse(arguments: Sequence[str], environment: Mapping[str, str]) -> Config:
    """Return the configuration; raise LoaderError that names the flag, what was expected and what was given."""
    parser = _Parser(
        prog="model-loader",
        description=__doc__,
        allow_abbrev=False,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )

    def flag(name: str, default: str, kind: Callable[[str], object], summary: str) -> None:
        variable = name.removeprefix("--").replace("-", "_").upper()
        given = environment.get(variable, default)
        parser.add_argument(name, default=given, type=kind, help=f"{summary} [{variable}]")

    flag("--model-store", "/model-store", Path, "directory models are published in")
    flag("--model-name", "mnist", str, "name of the model")
    flag("--model-key", "", str, "digest of the training inputs; empty: any")
    flag("--model-version", "", _version, "version to serve; empty: the newest")
    flag("--further-versions", "", _versions, "versions to serve beside it, with commas between")
    flag("--tls-dir", "", _path, "mounted Secret to write the server's SSLConfig from; empty: none")
    flag("--ssl-config", "/ssl-config/ssl_config.txt", Path, "file to write the SSLConfig to")
    flag("--client-verify", "false", _boolean, "have clients show a certificate")
    flag("--target", "/models", Path, "directory the verified version appears in")
    flag("--timeout-seconds", "3600", _seconds, "how long to wait for the model")
    flag(
        "--termination-log",
        "/dev/termination-log",
        Path,
        "file Kubernetes reads the reason of a failure from",
    )
    verified = environment.get("VERIFY", "true").lower() in {"true", "1", "yes"}
    parser.add_argument(
        "--verify", action=argparse.BooleanOptionalAction, default=verified, help="check every file [VERIFY]"
    )
    parser.add_argument("--manifest-only", action="store_true", help="hand over the manifest alone")
    options = parser.parse_args(arguments)
    return Config(
        model_store=options.model_store,
        wanted=Wanted(options.model_name, options.model_key, options.model_version),
        further=tuple(Wanted(options.model_name, "", version) for version in options.further_versions),
        target=options.target,
        tls_dir=options.tls_dir,
        ssl_config=options.ssl_config,
        client_verify=options.client_verify,
        timeout_seconds=options.timeout_seconds,
        verify=options.verify,
        manifest_only=options.manifest_only,
        termination_log=options.termination_log,
    )


def _version(text: str) -> int | None:
    if not text:
        return None
    if text.isdecimal() and int(text) > 0:
        return int(text)
    raise argparse.ArgumentTypeError(f"expected a positive whole number or nothing, got {text[:80]!r}")


def _versions(text: str) -> tuple[int, ...]:
    found = [_version(part) for part in text.split(",")] if text else []
    if None in found:
        raise argparse.ArgumentTypeError(f"expected whole numbers with commas between, got {text[:80]!r}")
    return tuple(number for number in found if number is not None)


def _path(text: str) -> Path | None:
    return Path(text) if text else None


def _boolean(text: str) -> bool:
    if text.lower() in {"true", "false"}:
        return text.lower() == "true"
    raise argparse.ArgumentTypeError(f"expected true or false, got {text[:80]!r}")


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"expected a number of seconds, got {text[:80]!r}") from error
    if not 0 <= seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"expected a finite number of seconds, 0 or more, got {text[:80]!r}")
    return seconds
