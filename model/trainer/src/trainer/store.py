"""The model store: a version directory appears complete, by one rename, or not at all."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from trainer import manifest
from trainer.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator

# Not a number, so no server takes an unfinished directory for a version.
TEMPORARY_PREFIX = ".publishing-"
LOCK_SUFFIX = ".lock"
RESERVATIONS = ".versions"


@dataclass(frozen=True)
class Publication:
    """A directory to write a model into, and the version it will have."""

    folder: Path
    version: int


@dataclass(frozen=True)
class ModelStore:
    """The directory `<root>/<name>/<key>/<version>/` of published models."""

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
        return max(_versions(self.home), default=None)

    def prepare(self) -> None:
        """Make the key's directory and see that it can be written to; raise StoreError otherwise.

        Directories of trainers that died are removed; one that a live trainer still holds is left alone.
        """
        try:
            self.home.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.home) as probe:
                probe.write(b"\0")
                probe.flush()
                os.fsync(probe.fileno())
        except OSError as error:
            raise StoreError(f"the model store {self.root} cannot be written to: {error.strerror}") from error
        self._remove_abandoned()

    @contextlib.contextmanager
    def publication(self) -> Iterator[Publication]:
        """Yield a temporary directory; on success it becomes the version, on any failure it is removed.

        Raise StoreError when the store cannot be written to.
        """
        try:
            with self._temporary() as folder:
                yield Publication(folder, self._reserve())
        except OSError as error:
            raise StoreError(f"the model store {self.root} cannot be written to: {error.strerror or error}") from error

    def commit(self, publication: Publication) -> int:
        """Make a complete directory visible as its version and return it; the key's first version wins."""
        _sync_tree(publication.folder)
        with _locked(self.home / f"{TEMPORARY_PREFIX}commit{LOCK_SUFFIX}"):
            existing = self.published_version()
            if existing is not None:
                return existing
            publication.folder.rename(self.home / str(publication.version))
            _sync(self.home)
        return publication.version

    def _reserve(self) -> int:
        """Take a number above every version of the model; making its directory is what no other trainer can."""
        reservations = self.model / RESERVATIONS
        reservations.mkdir(exist_ok=True)
        taken = [int(path.name) for path in reservations.iterdir() if path.name.isdigit()]
        taken += [version for home in self.model.iterdir() if home.is_dir() for version in _versions(home)]
        version = max(taken, default=0) + 1
        while True:
            try:
                (reservations / str(version)).mkdir()
            except FileExistsError:
                version += 1
            else:
                return version

    @contextlib.contextmanager
    def _temporary(self) -> Iterator[Path]:
        folder = Path(tempfile.mkdtemp(prefix=TEMPORARY_PREFIX, dir=self.home))
        folder.chmod(0o755)
        lock = folder.with_name(folder.name + LOCK_SUFFIX)
        try:
            # Held until the process ends, however it ends: what is not locked is abandoned.
            with _locked(lock):
                yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            lock.unlink(missing_ok=True)

    def _remove_abandoned(self) -> None:
        for lock in self.home.glob(f"{TEMPORARY_PREFIX}*{LOCK_SUFFIX}"):
            folder = lock.with_name(lock.name.removesuffix(LOCK_SUFFIX))
            with contextlib.suppress(OSError), lock.open("ab") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
                lock.unlink(missing_ok=True)


def _versions(home: Path) -> list[int]:
    """Return the numbers of the complete versions in a key's directory."""
    if not home.is_dir():
        return []
    return [int(path.name) for path in home.iterdir() if path.name.isdigit() and (path / manifest.FILE_NAME).is_file()]


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[IO[bytes]]:
    with path.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file


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
