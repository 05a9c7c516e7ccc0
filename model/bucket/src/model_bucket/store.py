"""The published layout in a bucket: `<prefix>/<name>/<key>/<version>/`, complete where there is a manifest."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from model_bucket import listing
from model_bucket.listing import Stored
from model_bucket.publishing import BucketPublisher
from model_store import fetching, tree
from model_store.errors import StoreError, VerificationError
from model_store.manifest import FILE_NAME, MAXIMUM_BYTES, Manifest, is_below
from model_store.names import check_part, is_ours, listed, sentence, shown, versions_told
from model_store.store import Fetched, Found, newest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from model_bucket.objects import Bucket
    from model_store.store import Publisher, Wanted


@dataclass(frozen=True)
class BucketStore:
    """Published models under a prefix of a bucket."""

    bucket: Bucket

    def find(self, wanted: Wanted) -> Found | None:
        """Return a complete version, or None while there is none; raise StoreError when the store cannot be read.

        As on a volume, a pinned version is looked for under every key, the wanted one first.
        """
        name = check_part("the model's name", wanted.name)
        key = check_part("the model's key", wanted.key) if wanted.key else ""
        is_of_one_key = key and wanted.version is None
        model = listing.read(name, self.bucket.objects(f"{name}/{key}" if is_of_one_key else name))
        keys = sorted(model.keys, key=lambda other: (other != key, other))
        best = newest((model.keys[key] for key in keys), wanted, lambda stored: stored.is_complete)
        return None if best is None else self._found(*best)

    def fetch(self, found: Found, target: Path, *, verify: bool, limit_bytes: int | None = None) -> Fetched:
        """Download a version as Store.fetch promises; one without a manifest cannot be verified."""
        stored = found.handle
        if not isinstance(stored, Stored):
            raise StoreError(f"{found.place} was found by another store: fetch it from that one")
        with self._staying(stored):
            return self._fetch(found, stored, target, verify=verify, limit_bytes=limit_bytes)

    def look(self, wanted: Wanted) -> str:
        """Return one sentence of what is looked for and what is there instead."""
        told = f"looked for {shown(wanted)} with its {FILE_NAME} in {self.bucket.uri}; "
        try:
            return sentence(told + self._there(wanted))
        except StoreError as error:
            return sentence(told + str(error))

    def publisher(self, name: str, key: str) -> Publisher:
        """Return where versions of a model's key are published."""
        return BucketPublisher(self.bucket, check_part("the model's name", name), check_part("the model's key", key))

    def _found(self, number: int, stored: Stored) -> Found:
        manifest = None
        with contextlib.suppress(VerificationError):
            content = self.bucket.read(stored.manifest_path, MAXIMUM_BYTES)
            manifest = None if content is None else Manifest.parse(content, self.bucket.place(stored.manifest_path))
        return Found(number, self.bucket.place(stored.path), manifest, stored, stored.state)

    def _fetch(self, found: Found, stored: Stored, target: Path, *, verify: bool, limit_bytes: int | None) -> Fetched:
        manifest, files = found.manifest, None
        if verify:
            content = self.bucket.read(stored.manifest_path, MAXIMUM_BYTES)
            if content is None:
                raise VerificationError(f"{found.place} has no {FILE_NAME}: it cannot be verified")
            manifest = Manifest.parse(content, self.bucket.place(stored.manifest_path))
            files = fetching.listed_files(manifest, content)
        copied = tree.write(self._entries(stored), found.place, target, listed=files, limit_bytes=limit_bytes)
        return Fetched(found.version, target, manifest, verify, copied.file_count, copied.size_bytes)

    def _entries(self, stored: Stored) -> Iterator[tree.Entry]:
        """Yield what there is of a version as a walk through its folder would."""
        folders: set[str] = set()
        for found in stored.objects:
            path = found.path.removeprefix(f"{stored.path}/")
            if path != FILE_NAME and not is_below(path):
                raise VerificationError(f"{self.bucket.place(found.path)} is no path a file can have")
            parts = path.split("/")[:-1]
            for depth in range(len(parts)):
                folder = "/".join(parts[: depth + 1])
                if folder not in folders:
                    folders.add(folder)
                    yield tree.Entry(folder, 0, None)
            with self.bucket.stream(found) as body:
                yield tree.Entry(path, found.size_bytes, body)

    @contextlib.contextmanager
    def _staying(self, stored: Stored) -> Iterator[None]:
        """Have what fails because a version was removed meanwhile be a store that could not be read just now."""
        try:
            yield
        except VerificationError as error:
            if self.bucket.objects(stored.path) != list(stored.objects):
                raise StoreError(f"{self.bucket.place(stored.path)} was changed while it was copied") from error
            raise

    def _there(self, wanted: Wanted) -> str:
        name = check_part("the model's name", wanted.name)
        model = listing.read(name, self.bucket.objects(name))
        if not model.keys:
            models = [f"{folder}/" for folder in self.bucket.folders() if is_ours(folder)]
            there = f"has {listed(models)}" if models else "is empty"
            return f"there is no model {shown(name)}: {self.bucket.uri} {there}"
        told = [f"key {shown(key)} has {_versions(versions)}" for key, versions in list(model.keys.items())[:4]]
        if wanted.key and wanted.key not in model.keys:
            told.insert(0, f"there is no key {shown(wanted.key)}, but {listed(model.keys)}")
        return "; ".join(told)


def _versions(versions: dict[int, Stored]) -> str:
    complete = [number for number, stored in versions.items() if stored.is_complete]
    return versions_told(complete, versions.keys() - complete, FILE_NAME)
