"""SSLConfig of TensorFlow Serving (config/ssl_config.proto): a text file that holds PEM text itself, not paths."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from model_loader.errors import LoaderError

if TYPE_CHECKING:
    from pathlib import Path

# Field of SSLConfig: key of a Secret as cert-manager and `kubectl create secret tls` write it.
FIELDS = {"server_key": "tls.key", "server_cert": "tls.crt", "custom_ca": "ca.crt"}


def write(folder: Path, path: Path, *, client_verify: bool) -> None:
    """Write the SSLConfig of a Secret mounted at `folder`; raise LoaderError that names what is missing."""
    lines = [f"{field}: {_quoted(_read(folder / key))}" for field, key in FIELDS.items()]
    lines.append(f"client_verify: {str(client_verify).lower()}")
    partial = path.with_name(f".{path.name}.partial")
    partial.touch(mode=0o640)
    partial.write_text("\n".join(lines) + "\n", encoding="ascii")
    partial.replace(path)


def _read(path: Path) -> str:
    try:
        text = path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise LoaderError(
            f"cannot read {path.name} of the Secret in server.tls.secretName ({error}): it needs "
            f"{', '.join(FIELDS.values())}"
        ) from error
    if "-----BEGIN " not in text:
        raise LoaderError(f"{path.name} of the Secret in server.tls.secretName is not PEM")
    return text


def _quoted(text: str) -> str:
    # ASCII in JSON is ASCII in protobuf's text format.
    return json.dumps(text)
