"""The model store: layout, manifest, digest, publish, find, verify; the standard library is all it needs."""

from model_store.directory import DirectoryStore
from model_store.errors import StoreError, TooLargeError, UnsuitableError, VerificationError
from model_store.manifest import Manifest
from model_store.serving import ServingLayout, SingleModel
from model_store.store import Fetched, Found, Keep, Publisher, Removed, Store, Wanted

__all__ = [
    "DirectoryStore",
    "Fetched",
    "Found",
    "Keep",
    "Manifest",
    "Publisher",
    "Removed",
    "ServingLayout",
    "SingleModel",
    "Store",
    "StoreError",
    "TooLargeError",
    "UnsuitableError",
    "VerificationError",
    "Wanted",
]
