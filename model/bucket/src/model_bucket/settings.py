"""How a bucket is configured: flags that every program which speaks to one has, and URIs of objects.

Credentials are no settings: they are neither flags nor in files, but where AWS' SDKs look for them.
"""

from __future__ import annotations

import re
import urllib.parse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

SCHEME = "s3"
# Names of buckets, older ones and other vendors' included.
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]")


@dataclass(frozen=True)
class Settings:
    """Where the bucket is: an endpoint, "" for AWS' own, and what it wants to be told.

    `region` is "" where the environment says it (AWS_REGION). `path_style` puts the bucket into the path and not into
    the host's name; None does where there is an endpoint. Without a `bucket` the store is somewhere else, and the rest
    is for objects that are named by a URI.
    """

    endpoint: str = ""
    bucket: str = ""
    prefix: str = ""
    region: str = ""
    path_style: bool | None = None
    ca_bundle: Path | None = None

    @classmethod
    def take(cls, values: dict[str, Any]) -> Settings:
        """Return the settings among the values of flags, which loses them."""
        return cls(**{name.removeprefix("s3_"): values.pop(name) for name in list(values) if name.startswith("s3_")})


def split(uri: str) -> tuple[str, str]:
    """Return bucket and key of a URI like s3://bucket/key; raise ValueError otherwise.

    >>> split("s3://data/2026/rows.npz")
    ('data', '2026/rows.npz')
    """
    parts = urllib.parse.urlsplit(uri, allow_fragments=False)
    key = parts.path.removeprefix("/") + (f"?{parts.query}" if parts.query else "")
    if parts.scheme != SCHEME or not _BUCKET.fullmatch(parts.netloc) or not _is_plain(key):
        raise ValueError("a URI like s3://bucket/key")
    return parts.netloc, key


def is_s3(uri: str) -> bool:
    """Tell whether a URI names an object in a bucket."""
    return uri.startswith(f"{SCHEME}://")


def _endpoint(text: str) -> str:
    parts = urllib.parse.urlsplit(text)
    is_plain = not (parts.username or parts.password or parts.query or parts.fragment)
    if text and not (parts.scheme in {"http", "https"} and parts.hostname and is_plain):
        raise ValueError("an address like https://s3.example.com, without credentials")
    return text.rstrip("/")


def _bucket(text: str) -> str:
    if text and not _BUCKET.fullmatch(text):
        raise ValueError("the name of a bucket")
    return text


def _prefix(text: str) -> str:
    prefix = text.strip("/")
    if prefix and not _is_plain(prefix):
        raise ValueError("a path like team/models")
    return prefix


def _region(text: str) -> str:
    if not re.fullmatch("[A-Za-z0-9-]{0,64}", text):
        raise ValueError("a region like eu-central-1")
    return text


def _path_style(text: str) -> bool | None:
    if text not in {"", "true", "false"}:
        raise ValueError("true, false, or nothing")
    return text == "true" if text else None


def _ca_bundle(text: str) -> Path | None:
    return Path(text) if text else None


def _is_plain(path: str) -> bool:
    is_text = path.isprintable() and "\\" not in path
    return is_text and all(part not in {"", ".", ".."} for part in path.split("/"))


# Flag, what reads it (it raises ValueError with what is expected), and what it is.
FLAGS: tuple[tuple[str, Callable[[str], Any], str], ...] = (
    ("--s3-endpoint", _endpoint, "where buckets are, like https://s3.example.com; empty: AWS"),
    ("--s3-bucket", _bucket, "bucket models are published in; empty: they are in the directory"),
    ("--s3-prefix", _prefix, "path in the bucket that the models are below"),
    ("--s3-region", _region, "region of the bucket; empty: as AWS_REGION says"),
    ("--s3-path-style", _path_style, "true: the bucket is in the path, false: in the host's name; empty: by endpoint"),
    ("--s3-ca-bundle", _ca_bundle, "PEM file of authorities to trust besides the system's"),
)
