"""The model store in a bucket that speaks S3, in the layout it has on a volume."""

from model_bucket.connection import Connection
from model_bucket.objects import Bucket, Patience
from model_bucket.store import BucketStore

__all__ = ["Bucket", "BucketStore", "Connection", "Patience"]
