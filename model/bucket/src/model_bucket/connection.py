"""Where a bucket is and how it is spoken to; credentials are none of it.

They are found as every AWS SDK finds them: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a web identity's token
(AWS_WEB_IDENTITY_TOKEN_FILE, AWS_ROLE_ARN), a container's (AWS_CONTAINER_CREDENTIALS_FULL_URI), the instance's.
"""

from __future__ import annotations

import re
import urllib.parse
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store

from model_bucket import failures
from model_store.errors import StoreError

if TYPE_CHECKING:
    from pathlib import Path

    from obstore.store import ClientConfig, RetryConfig, S3Config

SCHEME = "s3"
DEFAULT_REGION = "us-east-1"
# Names of buckets, older ones and other vendors' included.
BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]")
CONNECT_TIMEOUT = timedelta(seconds=5)
# Between two pieces of a reply. The whole of one may take as long as a large model does.
SILENCE_TIMEOUT = timedelta(seconds=30)
REQUEST_TIMEOUT = timedelta(days=1)
# Short blips, of one part of many as well; longer ones are waited for by Patience, which can be interrupted.
RETRIES: RetryConfig = {
    "max_retries": 3,
    "retry_timeout": timedelta(seconds=10),
    "backoff": {"init_backoff": timedelta(milliseconds=200), "max_backoff": timedelta(seconds=2), "base": 2},
}
# Longer than a download goes on by one address; it is asked for anew with each try.
ADDRESS_SECONDS = 3600


@dataclass(frozen=True)
class Connection:
    """An endpoint, "" for AWS' own, and what it wants to be told.

    `path_style` puts the bucket into the path and not into the host's name; None does where there is an endpoint.
    """

    endpoint: str = ""
    region: str = DEFAULT_REGION
    path_style: bool | None = None
    ca_bundle: Path | None = None

    @property
    def shown(self) -> str:
        """Return the endpoint for messages."""
        return self.endpoint or f"AWS S3 in {self.region}"

    def open(self, bucket: str) -> S3Store:
        """Return a client of a bucket; nothing is asked yet. Raise StoreError that names what is wrong."""
        options: ClientConfig = {
            "allow_http": self.endpoint.startswith("http://"),
            "connect_timeout": CONNECT_TIMEOUT,
            "read_timeout": SILENCE_TIMEOUT,
            "timeout": REQUEST_TIMEOUT,
        }
        if self.ca_bundle is not None:
            options["root_certificate"] = self._authorities(self.ca_bundle)
        is_path_style = bool(self.endpoint) if self.path_style is None else self.path_style
        config: S3Config = {"region": self.region, "virtual_hosted_style_request": not is_path_style}
        if self.endpoint:
            config["endpoint"] = self._address(bucket, is_path_style=is_path_style)
        try:
            return S3Store(bucket, config=config, client_options=options, retry_config=RETRIES)
        except (BaseError, ValueError) as error:
            raise StoreError(f"the bucket {bucket} cannot be spoken to: {failures.of(error).reason}") from error

    def address(self, bucket: str, key: str) -> str:
        """Return an address an object can be read at for ADDRESS_SECONDS without credentials; it is a secret.

        Raise StoreError when there are no credentials to make it with.
        """
        try:
            return obstore.sign(self.open(bucket), "GET", key, timedelta(seconds=ADDRESS_SECONDS))
        except (BaseError, ValueError, OSError) as error:
            raise StoreError(f"{SCHEME}://{bucket}/{key} cannot be read: {failures.of(error).reason}") from error

    def _address(self, bucket: str, *, is_path_style: bool) -> str:
        if is_path_style:
            return self.endpoint
        parts = urllib.parse.urlsplit(self.endpoint)
        return urllib.parse.urlunsplit(parts._replace(netloc=f"{bucket}.{parts.netloc}"))

    @staticmethod
    def _authorities(path: Path) -> bytes:
        try:
            return path.read_bytes()
        except OSError as error:
            raise StoreError(f"the authorities in {path} cannot be read: {error.strerror}") from error


def split(uri: str) -> tuple[str, str]:
    """Return bucket and key of a URI like s3://bucket/key; raise ValueError otherwise.

    >>> split("s3://data/2026/rows.npz")
    ('data', '2026/rows.npz')
    """
    parts = urllib.parse.urlsplit(uri, allow_fragments=False)
    key = parts.path.removeprefix("/") + (f"?{parts.query}" if parts.query else "")
    is_plain = all(part not in {"", ".", ".."} for part in key.split("/"))
    if parts.scheme != SCHEME or not BUCKET.fullmatch(parts.netloc) or not is_plain:
        raise ValueError("a URI like s3://bucket/key")
    return parts.netloc, key
