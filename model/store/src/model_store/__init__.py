"""The model store: layout, manifest, digest, publish, find, verify; the standard library is all it needs."""

from model_store.directory import DirectoryStore
from model_store.errors import StoreError, TooLargeError, VerificationError
from model_store.manifest import Manifest
from model_store.serving import ServingLayout, SingleModel
from model_store.store import Fetched, Found, Keep, Publication, Publisher, Removed, Store, Wanted

__all__ = [
    "DirectoryStore",
    "Fetched",
    "Found",
    "Keep",
    "Manifest",
    "Publication",
    "Publisher",
    "Removed",
    "ServingLayout",
    "SingleModel",
    "Store",
    "StoreError",
    "TooLargeError",
    "VerificationError",
    "Wanted",
]
