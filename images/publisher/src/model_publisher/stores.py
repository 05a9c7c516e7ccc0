"""Where models are published: on a volume, or in a bucket."""

from __future__ import annotations

from typing import TYPE_CHECKING

from model_bucket.settings import is_s3
from model_store import DirectoryStore
from model_store.telling import tell

if TYPE_CHECKING:
    from collections.abc import Callable

    from model_publisher.config import Check, Publish
    from model_store import Publisher


def publisher(options: Check | Publish) -> Publisher:
    """Return where versions of the model's key are published; raise StoreError for what cannot be one."""
    if not options.s3.bucket:
        return DirectoryStore(options.model_store).publisher(options.model_name, options.model_key)
    # Only here: who has a volume needs no client.
    from model_bucket.objects import Bucket, Patience  # noqa: PLC0415
    from model_bucket.store import BucketStore  # noqa: PLC0415

    bucket = Bucket(options.s3, Patience(options.store_patience_seconds, tell))
    return BucketStore(bucket).publisher(options.model_name, options.model_key)


def address(options: Check) -> Callable[[], str] | None:
    """Return how an address of the data is made where it is in a bucket, None where its URI is one."""
    if not is_s3(options.data_uri):
        return None
    from model_bucket.connection import addresses  # noqa: PLC0415 - ditto

    return addresses(options.s3, options.data_uri)
