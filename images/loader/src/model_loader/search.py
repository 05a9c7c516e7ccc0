"""What is looked for, and in which stores: one source, or the model store in its own layout and in TF Serving's."""

from __future__ import annotations

import hashlib
import os
import stat
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from model_store.directory import DirectoryStore
from model_store.errors import StoreError
from model_store.names import shown
from model_store.serving import ServingLayout, SingleModel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from model_loader.config import Config
    from model_store.store import Fetched, Found, Store, Wanted

# A folder somebody is copying a model into changes more often than this.
SETTLED_SECONDS = 5.0
# A version that does not say which it is.
FIRST_VERSION = 1


@dataclass(frozen=True)
class Candidate:
    """A version that is there: in which store, and the state its files are in."""

    name: str
    store: Store = field(repr=False)
    found: Found
    source: str
    # How much room a copy takes, where that is known beforehand.
    room_bytes: int | None = None

    @property
    def version(self) -> int:
        """Return its number."""
        return self.found.version

    def __str__(self) -> str:
        """Return its name and its place."""
        return f"version {self.version} of {self.name} ({shown(self.found.place)})"

    def fetch(self, folder: Path, *, verify: bool, limit_bytes: int | None) -> Fetched:
        """Copy it into a new folder; raise what its store's `fetch` raises."""
        return self.store.fetch(self.found, folder, verify=verify, limit_bytes=limit_bytes)

    def has_changed(self) -> bool:
        """Tell whether its files are others than when it was found; raise StoreError when they cannot be read."""
        return _state(self.found) != self.source

    def size_bytes(self) -> int:
        """Return how many bytes a copy takes, as far as that is known."""
        if self.room_bytes is not None:
            return self.room_bytes
        if self.found.manifest is not None:
            return self.found.manifest.size_bytes
        return sum(found.st_size for _, found in _files(self.found.handle))


@dataclass
class Search:
    """The stores versions are looked for in: what the first has that has any, counts.

    `no_model` says what to do when there is nothing.
    """

    name: str
    stores: Sequence[Store]
    no_model: str
    now: Callable[[], float] = time.time
    _seen: dict[int, str] = field(default_factory=dict)

    def candidates(self, wanted: Wanted) -> Iterator[Candidate]:
        """Yield what is there of what is wanted, the newest first; raise StoreError when a store cannot be read."""
        for store in self.stores:
            found = store.find(wanted)
            if found is None:
                continue
            while found is not None:
                yield Candidate(self.name, store, found, _state(found))
                found = None if wanted.version is not None else store.find(replace(wanted, below=found.version))
            return

    def is_settled(self, candidate: Candidate) -> bool:
        """Tell whether a version is complete: published as a whole, or not written to for a while.

        In TensorFlow Serving's layout nothing says that the last file is there. What is the same at two looks, or was
        written to last some seconds ago, is taken for complete.
        """
        before = self._seen.get(candidate.version)
        self._seen[candidate.version] = candidate.source
        is_whole = isinstance(candidate.store, DirectoryStore) or bool(candidate.found.state)
        if is_whole or before == candidate.source:
            return True
        # The time of a change, unlike that of a modification, cannot be carried along by a copying program.
        changed = max((found.st_ctime for _, found in _files(candidate.found.handle)), default=0.0)
        return changed + SETTLED_SECONDS < self.now()

    def look(self, wanted: Wanted) -> str:
        """Return what is looked for and what is there instead."""
        return "; ".join(dict.fromkeys(store.look(wanted) for store in self.stores))


def search(config: Config) -> Search:
    """Return where the flags say to look for versions; an archive is looked through where it was unpacked."""
    version = FIRST_VERSION if config.model_version is None else config.model_version
    if config.source_image is not None:
        inside = [config.source_path] if config.source_path else ["", config.model_name]
        stores: list[Store] = [SingleModel(config.source_image / path.strip("/"), version) for path in inside]
        return Search(config.model_name, stores, "see model.source.image and model.source.path")
    if config.source_path:
        # An absolute path is itself, whatever it is joined to.
        folder = config.model_store / config.source_path
        return Search(config.model_name, [SingleModel(folder, version)], "put the model there, see model.source.path")
    if config.s3.bucket:
        # Only here: who has a volume needs no client.
        from model_bucket.objects import Bucket  # noqa: PLC0415
        from model_bucket.store import BucketStore  # noqa: PLC0415

        return Search(config.model_name, [BucketStore(Bucket(config.s3))], "see why the training Job did not end")
    stores = [DirectoryStore(config.model_store)]
    if config.model_key:
        return Search(config.model_name, stores, "see why the training Job did not end")
    stores.append(ServingLayout(config.model_store / config.model_name))
    return Search(config.model_name, stores, "put the model there, or see model.name and model.source")


def unpacked(config: Config, folders: Sequence[Path]) -> Search:
    """Return the search through the folders of an unpacked archive a model may be in."""
    version = FIRST_VERSION if config.model_version is None else config.model_version
    stores = [SingleModel(folder, version) for folder in folders]
    return Search(config.model_name, stores, "see what the archive at model.source.uri holds")


def _state(found: Found) -> str:
    """Return what changes whenever a version's files do."""
    if found.state:
        return found.state
    digest = hashlib.sha256()
    for name, status in _files(found.handle):
        line = f"{name!a} {status.st_size} {status.st_mtime_ns} {status.st_mode}\n"
        digest.update(line.encode("ascii"))
    return digest.hexdigest()


def _files(folder: object) -> Iterator[tuple[str, os.stat_result]]:
    """Yield the files below a folder, sorted, with what the file system knows of them; no link is followed."""
    if not isinstance(folder, Path):
        return
    try:
        for place, folders, names in os.walk(folder, onerror=_raise):
            folders.sort()
            for name in sorted(names):
                path = Path(place, name)
                status = path.lstat()
                if not stat.S_ISDIR(status.st_mode):
                    yield path.relative_to(folder).as_posix(), status
    except OSError as error:
        raise StoreError(f"{shown(str(folder))} cannot be read: {error.strerror or error}") from error


def _raise(error: OSError) -> None:
    raise error
