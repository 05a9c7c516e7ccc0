"""Publishing into a directory: a version appears complete, by one rename, or not at all."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from model_store import folders, tree
from model_store.errors import StoreError
from model_store.manifest import FILE_NAME, Manifest
from model_store.names import MAXIMUM_VERSION, shown
from model_store.store import Publication

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# Hidden and not a number, so that no server takes an unfinished directory for a version.
TEMPORARY_PREFIX = ".publishing-"
LOCK_SUFFIX = ".lock"
# Stays: a lock that is removed while somebody waits for it is held twice.
COMMIT_LOCK = ".commit.lock"
RESERVATIONS = ".versions"


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

    def published_version(self) -> int | None:
        """Return the newest version published under the key, if any."""
        complete = (
            number for number, folder in folders.versions(self.home).items() if tree.is_file(folder / FILE_NAME)
        )
        return max(complete, default=None)

    def remove_abandoned(self) -> None:
        """Remove the directories of publishers that died; one that a live publisher still holds is left alone."""
        for lock in self.home.glob(f"{TEMPORARY_PREFIX}*{LOCK_SUFFIX}"):
            folder = lock.with_name(lock.name.removesuffix(LOCK_SUFFIX))
            with contextlib.suppress(OSError), _locked(lock, os.O_RDWR, fcntl.LOCK_EX | fcntl.LOCK_NB):
                shutil.rmtree(folder, ignore_errors=True)
                lock.unlink(missing_ok=True)

    def prepare(self) -> None:
        """Make the key's directory and see that it can be written to; remove what is abandoned."""
        with self._writing():
            self.home.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.home) as probe:
                probe.write(b"\0")
                probe.flush()
                os.fsync(probe.fileno())
        self.remove_abandoned()

    @contextlib.contextmanager
    def publication(self) -> Iterator[Publication]:
        """Yield a temporary directory and a number; on commit it becomes the version, on any failure it is removed."""
        with self._writing(), self._temporary() as folder:
            yield Publication(folder, self._reserve())

    def commit(self, publication: Publication, *, created: str, packages: Mapping[str, str]) -> int:
        """Write the manifest and make a complete directory visible as its version; the key's first version wins."""
        manifest = Manifest.of_folder(
            publication.folder,
            model=self.name,
            key=self.key,
            version=publication.version,
            created=created,
            packages=packages,
        )
        with self._writing():
            (publication.folder / FILE_NAME).write_text(manifest.render(), encoding="utf-8")
            _sync_tree(publication.folder)
            with _locked(self.home / COMMIT_LOCK, os.O_RDWR | os.O_CREAT, fcntl.LOCK_EX):
                existing = self.published_version()
                if existing is not None:
                    return existing
                publication.folder.rename(self.home / str(publication.version))
                _sync(self.home)
        return publication.version

    def _reserve(self) -> int:
        """Take a number above every version of the model; making its directory is what no other publisher can."""
        reservations = self.model / RESERVATIONS
        reservations.mkdir(exist_ok=True)
        taken = [number for home in self.model.iterdir() if home.is_dir() for number in folders.versions(home)]
        for version in range(max(taken, default=0) + 1, MAXIMUM_VERSION + 1):
            with contextlib.suppress(FileExistsError):
                (reservations / str(version)).mkdir()
                return version
        raise StoreError(f"{shown(self.model)} has version {MAXIMUM_VERSION}, the last there is: remove its folder")

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
                shutil.rmtree(folder, ignore_errors=True)
                lock.unlink(missing_ok=True)

    def _new_lock(self, held: contextlib.ExitStack) -> Path:
        while True:
            descriptor, name = tempfile.mkstemp(prefix=TEMPORARY_PREFIX, suffix=LOCK_SUFFIX, dir=self.home)
            os.close(descriptor)
            # One that is not held yet may be taken for abandoned.
            with contextlib.suppress(_GoneError, FileNotFoundError):
                held.enter_context(_locked(Path(name), os.O_RDWR, fcntl.LOCK_EX))
                return Path(name)

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        with tree.telling(f"the model store {shown(self.root)} cannot be written to"):
            yield


class _GoneError(OSError):
    """A lock that was removed before it was held."""


@contextlib.contextmanager
def _locked(path: Path, flags: int, operation: int) -> Iterator[None]:
    descriptor = os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
    try:
        fcntl.flock(descriptor, operation)
        _check_there(path, descriptor)
        yield
    finally:
        os.close(descriptor)


def _check_there(path: Path, descriptor: int) -> None:
    """Raise _GoneError when a lock that is held is not the file of its name any more."""
    try:
        is_same = os.path.samestat(path.lstat(), os.fstat(descriptor))
    except FileNotFoundError:
        is_same = False
    if not is_same:
        raise _GoneError(f"{path} was removed")


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
