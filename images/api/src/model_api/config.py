"""The gateway's configuration: flags, or environment variables of the same names."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


@dataclass(frozen=True)
class Config:
    """Where to listen, which model to ask, and the limits of a request."""

    host: str
    port: int
    server: str
    server_ca: Path | None
    server_name: str
    server_client_certificate: Path | None
    server_client_key: Path | None
    model_name: str
    model_version: int | None
    signature_name: str
    manifest: Path | None
    max_body_bytes: int
    max_images_per_request: int
    batch_size: int
    queue_size: int
    request_timeout_seconds: float
    resolve_seconds: float
    drain_seconds: float


def parse(arguments: Sequence[str], environment: Mapping[str, str]) -> Config:
    """Return the configuration; exit with code 2 and a sentence that names the flag when a value is bad."""
    parser = argparse.ArgumentParser(
        prog="model-api",
        description=__doc__,
        allow_abbrev=False,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )

    def flag(name: str, default: str, kind: Callable[[str], object], summary: str) -> None:
        variable = name.removeprefix("--").replace("-", "_").upper()
        given = environment.get(variable, default)
        parser.add_argument(name, default=given, type=kind, help=f"{summary} [{variable}]")

    flag("--host", "0.0.0.0", str, "address to listen on")  # noqa: S104 - a pod's Service needs it
    flag("--port", "8080", _whole(0, 65_535), "port to listen on")
    flag(
        "--server",
        "localhost:8500",
        _host_and_port,
        "host:port of TensorFlow Serving's gRPC; every address is used",
    )
    flag("--server-ca", "", _path, "PEM file of the authority of the server's certificate; empty: no TLS")
    flag("--server-name", "", str, "name in the server's certificate; empty: the host of --server")
    flag("--server-client-certificate", "", _path, "PEM file of a certificate to show to the server")
    flag("--server-client-key", "", _path, "PEM file of that certificate's key")
    flag("--model-name", "mnist", str, "name of the model")
    flag("--model-version", "", _version, "version of the model; empty: the server's newest")
    flag("--signature-name", "serving_default", str, "signature to call")
    flag("--manifest", "", _path, "manifest of the model, for labels, key and metrics")
    flag("--max-body-bytes", "4194304", _whole(1, 2**31 - 1), "largest request body")
    flag("--max-images-per-request", "256", _whole(1, 65_536), "most images in a request")
    flag("--batch-size", "64", _whole(1, 65_536), "most images joined into one call")
    flag("--queue-size", "2048", _whole(1, 1_000_000), "images that may wait for the server")
    flag("--request-timeout-seconds", "10", _seconds, "time after which a request is answered 504")
    flag("--resolve-seconds", "2", _seconds, "how often the server's addresses are looked up")
    flag("--drain-seconds", "0", _seconds, "time to go on serving, not ready, after SIGTERM")
    return Config(**vars(parser.parse_args(arguments)))


def _whole(low: int, high: int) -> Callable[[str], int]:
    def convert(text: str) -> int:
        if text.isdecimal() and low <= int(text) <= high:
            return int(text)
        raise argparse.ArgumentTypeError(f"expected a whole number from {low} to {high}, got {text[:80]!r}")

    return convert


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if 0 <= value < float("inf"):
        return value
    raise argparse.ArgumentTypeError(f"expected a number of seconds, 0 or more, got {text[:80]!r}")


def _version(text: str) -> int | None:
    return _whole(1, 2**63 - 1)(text) if text else None


def _path(text: str) -> Path | None:
    return Path(text) if text else None


def _host_and_port(text: str) -> str:
    host, _, port = text.rpartition(":")
    if host and port.isdecimal():
        return text
    raise argparse.ArgumentTypeError(f"expected host:port, got {text[:80]!r}")
