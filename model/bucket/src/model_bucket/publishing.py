"""Publishing into a bucket: a version appears complete, with its manifest, or not at all, and goes the same way.

A bucket knows no rename and no lock, but it can refuse to write where something is. So the steps are:

1. reserve a number: make `<name>/.versions/<number>`, which is nobody else's then;
2. upload the files to `<name>/<key>/<number>/`: without a manifest nobody takes them for a version;
3. claim the key, or a run of it: make `<name>/<key>/.published/<run>`, with the manifest in it. The first one wins;
4. make the manifest. Whoever finds a claim without one makes it, for all its files are there.
"""

from __future__ import annotations

import contextlib
import io
import os
import time
import urllib.parse
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from model_bucket import listing
from model_bucket.objects import unconditional
from model_store import retention, tree
from model_store.errors import StoreError, UnsuitableError, VerificationError
from model_store.manifest import FILE_NAME, MAXIMUM_BYTES, Manifest
from model_store.names import MAXIMUM_VERSION

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from model_bucket.listing import Model, Stored
    from model_bucket.objects import Bucket
    from model_store.store import Keep, Removed

# What was not written to for so long and has no manifest is nobody's. Nothing else tells it from an upload on its way,
# so uploads take no longer than a part of it. Clocks agree: signatures are refused when they are 15 minutes apart.
ABANDONED_AFTER = timedelta(hours=24)
LONGEST_UPLOAD_SECONDS = 12 * 3600.0
PROBE_PREFIX = ".probe-"
_FIRST = "first"


@dataclass(frozen=True)
class BucketPublisher:
    """Where versions of one key are published: `<name>/<key>/<version>/`."""

    bucket: Bucket
    name: str
    key: str
    clock: Callable[[], float] = field(default=time.monotonic, repr=False)
    now: Callable[[], datetime] = field(default=lambda: datetime.now(UTC), repr=False)

    @property
    def home(self) -> str:
        """Return the path of this key's versions."""
        return f"{self.name}/{self.key}"

    def published_version(self, revision: str = "") -> int | None:
        """Return the newest whole version of the key, if any; with a revision, the one of that revision."""
        versions = self._model(self.home).keys.get(self.key, {})
        claimed = self._claimed(revision)
        if claimed is not None and claimed.version in versions and versions[claimed.version].has(claimed):
            # It may be that its publisher died one step before the end.
            self._show(claimed)
            if revision:
                return claimed.version
            versions = self._model(self.home).keys.get(self.key, {})
        for number in sorted(versions, reverse=True):
            manifest = self._manifest(versions[number])
            if manifest is not None and versions[number].has(manifest) and revision in {"", manifest.revision}:
                return number
        return None

    def has_any(self) -> bool:
        """Tell whether any version of any key of the model is published."""
        return any(stored.is_complete for _, _, stored in _all(self._model()))

    def remove_abandoned(self) -> None:
        """Remove uploads of the model that never became a version, once they are old enough to be nobody's."""
        for key, number, stored in _all(self._model()):
            if stored.is_complete or stored.modified > self.now() - ABANDONED_AFTER:
                continue
            if number not in self._claimed_numbers(key):
                self.bucket.remove([found.path for found in stored.objects])

    def prepare(self) -> None:
        """See that the bucket can be written to and heeds the condition; remove what is abandoned.

        Raise UnsuitableError where it does not.
        """
        path = f"{self.name}/{PROBE_PREFIX}{os.urandom(8).hex()}"
        try:
            # A little first: an endpoint that refuses much of a body may close the connection before it says why.
            self.bucket.create(path, b"one")
            if self.bucket.create(path, b"another"):
                raise UnsuitableError(unconditional(self.bucket))
            # More than a full disk has left.
            self.bucket.write(path, io.BytesIO(bytes(tree.CHUNK_BYTES)))
        finally:
            with contextlib.suppress(StoreError):
                self.bucket.remove([path])
        self.remove_abandoned()

    def publish(self, folder: Path, *, created: str, packages: Mapping[str, str], revision: str = "") -> int:
        """Upload a folder and make it visible as a version, as Publisher.publish promises."""
        start = self.clock()
        existing = self.published_version(revision)
        if existing is not None:
            return existing
        number = self._reserve()
        path = f"{self.home}/{number}"
        manifest = Manifest.of_folder(
            folder,
            model=self.name,
            key=self.key,
            version=number,
            created=created,
            packages=packages,
            revision=revision,
        )
        with self._uploaded(path, manifest):
            for entry in tree.walk(folder):
                if entry.file is not None and entry.path != FILE_NAME:
                    self.bucket.write(f"{path}/{entry.path}", entry.file)
            if self.clock() - start > LONGEST_UPLOAD_SECONDS:
                raise StoreError(f"the upload of {self.bucket.place(path)} took longer than anybody waits for one")
        winner = self._claim(manifest)
        self._show(winner)
        if winner.version != number:
            self._discard(path, manifest)
        return winner.version

    def retain(self, keep: Keep) -> Removed:
        """Remove the versions and keys that are too many, and the damaged ones of this key."""
        model = self._model()
        versions = [
            retention.Version(key, number, (number, stored), is_whole=key != self.key or self._is_whole(stored))
            for key, number, stored in _all(model)
            if stored.is_complete
        ]
        choice = retention.choose(versions, self.key, keep)
        for number, stored in choice.places:
            self._remove(model, number, stored)
        return choice.removed

    def _model(self, path: str = "") -> Model:
        return listing.read(self.name, self.bucket.objects(path or self.name))

    def _manifest(self, stored: Stored) -> Manifest | None:
        return self._parsed(stored.manifest_path) if stored.is_complete else None

    def _parsed(self, path: str) -> Manifest | None:
        """Return the manifest at a path, None where there is none that can be read."""
        try:
            content = self.bucket.read(path, MAXIMUM_BYTES)
            return None if content is None else Manifest.parse(content, self.bucket.place(path))
        except VerificationError:
            return None

    def _is_whole(self, stored: Stored) -> bool:
        manifest = self._manifest(stored)
        return manifest is not None and stored.has(manifest)

    def _reserve(self) -> int:
        """Take a number above every version of the model; making its object is what no other publisher can."""
        model = self._model()
        number = max(model.numbers, default=0) + 1
        mark = os.urandom(16).hex().encode("ascii")
        while number <= MAXIMUM_VERSION and not self.bucket.create(self._reservation(number), mark):
            number += 1
        if number > MAXIMUM_VERSION:
            raise StoreError(f"{self.bucket.place(self.name)} has version {MAXIMUM_VERSION}, the last there is")
        # The highest is all that counts, but one that is young may be about to be counted on.
        old = self.now() - ABANDONED_AFTER
        self.bucket.remove([found.path for found in model.reservations.values() if found.modified < old])
        return number

    def _reservation(self, number: int) -> str:
        return f"{self.name}/{listing.RESERVATIONS}/{number}"

    def _claim_path(self, revision: str, key: str = "") -> str:
        run = f"run-{urllib.parse.quote(revision, safe='')}" if revision else _FIRST
        return f"{self.name}/{key or self.key}/{listing.CLAIMS}/{run}"

    def _claimed(self, revision: str) -> Manifest | None:
        return self._parsed(self._claim_path(revision))

    def _claimed_numbers(self, key: str) -> set[int]:
        paths = [found.path for found in self.bucket.objects(f"{self.name}/{key}/{listing.CLAIMS}")]
        return {manifest.version for manifest in map(self._parsed, paths) if manifest is not None}

    def _claim(self, manifest: Manifest) -> Manifest:
        """Claim the key or the run for a version whose files are there; return whose it is."""
        path, content = self._claim_path(manifest.revision), manifest.render().encode()
        while not self.bucket.create(path, content):
            there = self.bucket.read_tagged(path, MAXIMUM_BYTES)
            if there is None:
                continue
            winner = self._parsed(path)
            stored = None if winner is None else self._model(self.home).keys.get(self.key, {}).get(winner.version)
            if winner is not None and stored is not None and stored.has(winner):
                return winner
            # What was claimed has been removed or damaged since.
            if self.bucket.replace(path, content, there[1]):
                break
        return manifest

    def _show(self, manifest: Manifest) -> None:
        """Make the manifest of a version whose files are there, unless somebody has."""
        self.bucket.create(f"{self.home}/{manifest.version}/{FILE_NAME}", manifest.render().encode())

    @contextlib.contextmanager
    def _uploaded(self, path: str, manifest: Manifest) -> Iterator[None]:
        try:
            yield
        except BaseException:
            with contextlib.suppress(StoreError):
                self._discard(path, manifest)
            raise

    def _discard(self, path: str, manifest: Manifest) -> None:
        self.bucket.remove([f"{path}/{file.path}" for file in manifest.files])

    def _remove(self, model: Model, number: int, stored: Stored) -> None:
        # Its number stays taken, whoever made it.
        if number > max(model.reservations, default=0):
            self.bucket.create(self._reservation(number), b"removed")
        manifest = self._manifest(stored)
        claim = self._claim_path(manifest.revision if manifest else "", stored.key)
        claimed = self._parsed(claim)
        # First of all: nobody is to complete it again.
        if claimed is not None and claimed.version == number:
            self.bucket.remove([claim])
        # Then out of its readers' sight, in one step.
        self.bucket.remove([stored.manifest_path])
        self.bucket.remove([found.path for found in stored.objects if found.path != stored.manifest_path])


def _all(model: Model) -> list[tuple[str, int, Stored]]:
    """Return every version with its key and number."""
    return [(key, number, stored) for key, versions in model.keys.items() for number, stored in versions.items()]
