"""Publishing into a directory: a version appears complete, by one rename, or not at all, and goes the same way."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

from model_store import fetching, folders, locks, retention, tree
from model_store.errors import StoreError
from model_store.manifest import FILE_NAME, Manifest
from model_store.names import MAXIMUM_VERSION, is_ours, shown, version_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from model_store.store import Keep, Removed

# Beside the keys, hidden and not a number, so that nobody takes an unfinished directory for a version, and that a key's
# directory can go at any time.
TEMPORARY_PREFIX = ".publishing-"
REMOVED_PREFIX = ".removed-"
LOCK_SUFFIX = ".lock"
# Held while the versions of a model become other ones. It stays: one that is removed while somebody waits for it is
# held twice.
MODEL_LOCK = ".versions.lock"
RESERVATIONS = ".versions"


@dataclass(frozen=True)
class Publication:
    """A directory to write a model into, and the version it will have."""

    folder: Path
    version: int


@dataclass(frozen=True)
class DirectoryPublisher:
    """Where versions of one key are published: `<root>/<name>/<key>/<version>/`."""

    root: Path
    name: str
    key: str

    @property
    def model(self) -> Path:
        """Return the directory of all keys of the model."""
        return self.root / self.name

    @property
    def home(self) -> Path:
        """Return the directory of this key's versions."""
        return self.model / self.key

    def published_version(self, revision: str = "") -> int | None:
        """Return the newest whole version of the key, if any; with a revision, the one of that revision."""
        return max((number for number, manifest in self._whole() if revision in {"", manifest.revision}), default=None)

    def has_any(self) -> bool:
        """Tell whether any version of any key of the model is published."""
        return bool(self._published())

    def remove_abandoned(self) -> None:
        """Remove what publishers of the model left behind that died; what a live one works on is left alone.

        That is unfinished directories, those that were being removed, and folders of the key without a manifest, which
        nobody can use.
        """
        for name in tree.folders(self.model):
            if name.startswith(REMOVED_PREFIX):
                shutil.rmtree(self.model / name, ignore_errors=True)
            elif name.startswith(TEMPORARY_PREFIX):
                self._remove_temporary(self.model / name)
        for lock in sorted(self.model.glob(f"{TEMPORARY_PREFIX}*{LOCK_SUFFIX}")):
            self._remove_temporary(lock.with_name(lock.name.removesuffix(LOCK_SUFFIX)))
        for folder in folders.versions(self.home).values():
            if not tree.is_file(folder / FILE_NAME):
                with contextlib.suppress(OSError):
                    self._remove(folder)

    def prepare(self) -> None:
        """Make the model's directory and see that it can be written to; remove what is abandoned."""
        with self._writing():
            self.model.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.model) as probe:
                # More than an inode holds: a full volume takes an empty file.
                probe.write(b"\0" * tree.CHUNK_BYTES)
                probe.flush()
                os.fsync(probe.fileno())
        self.remove_abandoned()

    def publish(self, folder: Path, *, created: str, packages: Mapping[str, str], revision: str = "") -> int:
        """Publish a copy of a folder as Publisher.publish promises."""
        with self.publication() as publication:
            # With modes that everybody who serves it can read, whatever the umask is.
            tree.copy(folder, publication.folder, listed=None)
            return self.commit(publication, created=created, packages=packages, revision=revision)

    @contextlib.contextmanager
    def publication(self) -> Iterator[Publication]:
        """Yield a temporary directory and a number; on commit it becomes the version, on any failure it is removed."""
        with self._writing(), self._temporary() as folder:
            yield Publication(folder, self._reserve())

    def commit(self, publication: Publication, *, created: str, packages: Mapping[str, str], revision: str = "") -> int:
        """Write the manifest and make a complete directory visible as its version.

        Without a revision the key's first version wins, with one the first of that revision: where there is one
        already, its number is returned.
        """
        manifest = Manifest.of_folder(
            publication.folder,
            model=self.name,
            key=self.key,
            version=publication.version,
            created=created,
            packages=packages,
            revision=revision,
        )
        with self._writing():
            (publication.folder / FILE_NAME).write_text(manifest.render(), encoding="utf-8")
            # Before the rename: a node that loses power must not show a version whose files are empty.
            _sync_tree(publication.folder)
            # Hashing and syncing took their time without the lock: another may have published meanwhile.
            with self._lock():
                existing = self.published_version(revision)
                if existing is not None:
                    return existing
                self.home.mkdir(exist_ok=True)
                publication.folder.rename(self.home / str(publication.version))
                _sync(self.home)
                _sync(self.model)
        return publication.version

    def retain(self, keep: Keep) -> Removed:
        """Remove the versions and keys that are too many, and the damaged ones of this key."""
        with self._writing():
            if not self.model.is_dir():
                return retention.NOTHING
            with self._lock():
                choice = retention.choose(self._published(), self.key, keep)
                hidden = [self._hide(path) for path in choice.places]
                for key in choice.removed.keys:
                    # What is not ours stays, and its folder with it.
                    with contextlib.suppress(OSError):
                        (self.model / key).rmdir()
            # Without the lock: removing a large model takes a network volume minutes, and nobody finds these any more.
            for folder in hidden:
                shutil.rmtree(folder, ignore_errors=True)
        return choice.removed

    def _published(self) -> list[retention.Version[Path]]:
        """Return every version of every key of the model that has a manifest."""
        return [
            retention.Version(key, number, folder, is_whole=key != self.key or fetching.whole(folder) is not None)
            for key in tree.folders(self.model)
            if is_ours(key)
            for number, folder in folders.versions(self.model / key).items()
            if tree.is_file(folder / FILE_NAME)
        ]

    def _whole(self) -> Iterator[tuple[int, Manifest]]:
        for number, folder in folders.versions(self.home).items():
            manifest = fetching.whole(folder)
            if manifest is not None:
                yield number, manifest

    def _reserve(self) -> int:
        """Take a number above every version of the model; making its directory is what no other publisher can."""
        reservations = self.model / RESERVATIONS
        with self._lock():
            reservations.mkdir(exist_ok=True)
            # Of all keys, and of what was removed: a server knows versions by their numbers alone.
            taken = [number for home in self.model.iterdir() if home.is_dir() for number in folders.versions(home)]
            version = max(taken, default=0) + 1
            if version > MAXIMUM_VERSION:
                raise StoreError(
                    f"{shown(self.model)} has version {MAXIMUM_VERSION}, the last there is: remove its folder"
                )
            (reservations / str(version)).mkdir()
            # The highest is all that counts.
            for number, folder in folders.versions(reservations).items():
                if number < version:
                    with contextlib.suppress(OSError):
                        folder.rmdir()
            return version

    @contextlib.contextmanager
    def _temporary(self) -> Iterator[Path]:
        with contextlib.ExitStack() as held:
            # The lock is there before the directory, so that a publisher that dies leaves none without one; it is held
            # until the process ends, however it ends: what is not locked is abandoned.
            lock = self._new_lock(held)
            folder = lock.with_name(lock.name.removesuffix(LOCK_SUFFIX))
            try:
                folder.mkdir()
                folder.chmod(0o755)
                yield folder
            finally:
                _remove_with_lock(folder, lock)

    def _new_lock(self, held: contextlib.ExitStack) -> Path:
        while True:
            descriptor, name = tempfile.mkstemp(prefix=TEMPORARY_PREFIX, suffix=LOCK_SUFFIX, dir=self.model)
            os.close(descriptor)
            # One that is not held yet may be taken for abandoned.
            with contextlib.suppress(locks.GoneError, FileNotFoundError):
                lock = self.model / os.path.basename(name)  # noqa: PTH119 - mkstemp's path may be another spelling
                held.enter_context(locks.held(lock))
                return lock

    def _remove_temporary(self, folder: Path) -> None:
        """Remove an unfinished directory that nobody holds the lock of; one without a lock is nobody's."""
        lock = folder.with_name(folder.name + LOCK_SUFFIX)
        # Held by a live publisher, or gone meanwhile.
        with contextlib.suppress(OSError), locks.held(lock, is_made=True, waits=False):
            _remove_with_lock(folder, lock)

    def _remove(self, folder: Path) -> None:
        with self._lock():
            # Another publisher may have been here.
            hidden = None if tree.is_file(folder / FILE_NAME) else self._hide(folder)
        if hidden is not None:
            shutil.rmtree(hidden, ignore_errors=True)

    def _hide(self, folder: Path) -> Path:
        """Take a version from the sight of its readers in one step; return where it waits for its removal."""
        version = version_of(folder.name) or 0
        reservations = self.model / RESERVATIONS
        # Its number stays taken, whoever made it.
        if version > max(folders.versions(reservations), default=0):
            (reservations / str(version)).mkdir(parents=True, exist_ok=True)
        hidden = self.model / f"{REMOVED_PREFIX}{folder.parent.name}-{folder.name}-{os.urandom(4).hex()}"
        folder.rename(hidden)
        _sync(folder.parent)
        return hidden

    def _lock(self) -> contextlib.AbstractContextManager[None]:
        """Hold the lock of all changes of the model's versions."""
        return locks.held(self.model / MODEL_LOCK, is_made=True, is_kept=True)

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        with tree.telling(f"the model store {shown(self.root)} cannot be written to"):
            yield


def _remove_with_lock(folder: Path, lock: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    # The lock is what the next publisher finds a rest by.
    if not folder.exists():
        lock.unlink(missing_ok=True)


def _sync_tree(folder: Path) -> None:
    for path in folder.rglob("*"):
        _sync(path)
    _sync(folder)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
