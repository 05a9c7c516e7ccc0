"""Where a bucket is and how it is spoken to; credentials are none of it.

They are found as every AWS SDK finds them: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a web identity's token
(AWS_WEB_IDENTITY_TOKEN_FILE, AWS_ROLE_ARN), a container's (AWS_CONTAINER_CREDENTIALS_FULL_URI), the instance's.
"""

from __future__ import annotations

import urllib.parse
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store

from model_bucket import failures
from model_bucket.settings import SCHEME, split
from model_store.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from obstore.store import ClientConfig, RetryConfig, S3Config

    from model_bucket.settings import Settings

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
    """An endpoint as the settings have it."""

    settings: Settings

    @property
    def shown(self) -> str:
        """Return the endpoint for messages."""
        return self.settings.endpoint or "AWS S3"

    def open(self, bucket: str) -> S3Store:
        """Return a client of a bucket; nothing is asked yet. Raise StoreError that names what is wrong."""
        settings = self.settings
        options: ClientConfig = {
            "allow_http": settings.endpoint.startswith("http://"),
            "connect_timeout": CONNECT_TIMEOUT,
            "read_timeout": SILENCE_TIMEOUT,
            "timeout": REQUEST_TIMEOUT,
        }
        if settings.ca_bundle is not None:
            options["root_certificate"] = _authorities(settings.ca_bundle)
        is_path_style = bool(settings.endpoint) if settings.path_style is None else settings.path_style
        config: S3Config = {"virtual_hosted_style_request": not is_path_style}
        if settings.region:
            config["region"] = settings.region
        if settings.endpoint:
            config["endpoint"] = settings.endpoint if is_path_style else _with_host(settings.endpoint, bucket)
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


def addresses(settings: Settings, uri: str) -> Callable[[], str]:
    """Return a function that makes an address of the object at a URI like s3://bucket/key, which is a secret."""
    bucket, key = split(uri)
    return lambda: Connection(settings).address(bucket, key)


def _with_host(endpoint: str, bucket: str) -> str:
    parts = urllib.parse.urlsplit(endpoint)
    return urllib.parse.urlunsplit(parts._replace(netloc=f"{bucket}.{parts.netloc}"))


def _authorities(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise StoreError(f"the authorities in {path} cannot be read: {error.strerror}") from error
