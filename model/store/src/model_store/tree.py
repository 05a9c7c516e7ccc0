"""The files of one version: walked and read without following a link or waiting for anything, and copied.

Whoever can write the store can put anything there, and change it while it is read. So every step goes from an open
folder to a name in it, never through a path again, and a file is what it was when it was opened.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import stat
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from model_store.errors import StoreError, TooLargeError, VerificationError
from model_store.names import shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from io import BufferedReader
    from pathlib import Path

    from model_store.manifest import File

CHUNK_BYTES = 1 << 20
# SavedModels have two levels of folders, with assets of their own a few more.
MAXIMUM_DEPTH = 32
FILE_MODE = 0o644
FOLDER_MODE = 0o755
_OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# Without waiting: opening a FIFO that took a file's place would hang.
_OPEN_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_KINDS = {
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


@dataclass(frozen=True)
class Entry:
    """A folder, or a file that is open until the next entry is asked for; `path` has `/` between its parts."""

    path: str
    size_bytes: int
    file: BufferedReader | None


@dataclass(frozen=True)
class Copied:
    """How much was copied."""

    file_count: int
    size_bytes: int


def walk(folder: Path, left_out: frozenset[str] = frozenset()) -> Iterator[Entry]:
    """Yield every folder and file below a folder, by name, without what is `left_out` at its top.

    Raise VerificationError that names what is neither, StoreError when something cannot be read.
    """
    with telling(f"{shown(folder)} cannot be read"):
        descriptor = os.open(folder, _OPEN_FOLDER)
    try:
        yield from _below(descriptor, shown(folder), "", left_out)
    finally:
        os.close(descriptor)


def read(folder: Path, name: str, maximum_bytes: int) -> bytes | None:
    """Return the content of a file of a folder, None where there is none of the name; raise as `walk` does."""
    place = f"{shown(folder)}/{name}"
    with telling(f"{place} cannot be read"):
        try:
            _check_kind(os.lstat(folder / name), place)
            with _open(folder / name, None, place) as file:
                content = file.read(maximum_bytes + 1)
        except FileNotFoundError:
            return None
    if len(content) > maximum_bytes:
        raise VerificationError(f"{place} has more than {maximum_bytes} bytes: it is none")
    return content


def is_file(path: Path) -> bool:
    """Tell whether a path is a regular file, not a link to one; raise StoreError when that cannot be found out."""
    with telling(f"{shown(path)} cannot be read"), contextlib.suppress(FileNotFoundError, NotADirectoryError):
        return stat.S_ISREG(os.lstat(path).st_mode)
    return False


def folders(folder: Path) -> list[str]:
    """Return the names of the folders in a folder, sorted, without links to any; none where it is none."""
    try:
        with os.scandir(folder) as entries:
            return sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise StoreError(f"{shown(folder)} cannot be read: {error.strerror}") from error


def copy(
    folder: Path,
    target: Path,
    *,
    listed: Mapping[str, File] | None,
    limit_bytes: int | None = None,
    left_out: frozenset[str] = frozenset(),
) -> Copied:
    """Copy a folder into one that is empty or not there yet; hold each file to what is `listed` of it, if anything.

    Raise VerificationError that names the first file that is missing, changed or not listed, TooLargeError when more
    than `limit_bytes` would be written, StoreError when reading or writing fails. The target is empty then.
    """
    return write(walk(folder, left_out), shown(folder), target, listed=listed, limit_bytes=limit_bytes)


def write(
    entries: Iterable[Entry],
    place: str,
    target: Path,
    *,
    listed: Mapping[str, File] | None,
    limit_bytes: int | None = None,
) -> Copied:
    """Write what comes from anywhere, each folder before what is in it, as `copy` does; `place` is for messages."""
    _make_empty(target)
    copying = _Copying(place, target, listed, limit_bytes)
    try:
        for entry in entries:
            copying.take(entry)
        return copying.end()
    except BaseException:
        _empty(target)
        raise


class _Copying:
    """One copy on its way."""

    def __init__(self, place: str, target: Path, listed: Mapping[str, File] | None, limit_bytes: int | None) -> None:
        self._place = place
        self._target = target
        self._listed = listed
        self._limit_bytes = limit_bytes
        self._paths: set[str] = set()
        self._size_bytes = 0

    def take(self, entry: Entry) -> None:
        destination = self._target / entry.path
        if entry.file is None:
            with self._writing(destination):
                destination.mkdir()
                destination.chmod(FOLDER_MODE)
            return
        place = f"{self._place}/{shown(entry.path)}"
        expected = None if self._listed is None else self._listed.get(entry.path)
        if self._listed is not None and expected is None:
            raise VerificationError(f"{place} is not in the manifest")
        if expected is not None and entry.size_bytes != expected.size_bytes:
            raise VerificationError(f"{place} has {entry.size_bytes} bytes, the manifest says {expected.size_bytes}")
        sha256 = self._copy_file(entry.file, destination, place, None if expected is None else expected.size_bytes)
        if expected is not None and sha256 != expected.sha256:
            raise VerificationError(f"{place} has SHA-256 {sha256}, the manifest says {shown(expected.sha256)}")
        self._paths.add(entry.path)

    def end(self) -> Copied:
        for path in sorted(set(self._listed or {}) - self._paths):
            raise VerificationError(f"{self._place}/{shown(path)} is missing, the manifest lists it")
        return Copied(len(self._paths), self._size_bytes)

    def _copy_file(self, file: BufferedReader, destination: Path, place: str, expected_bytes: int | None) -> str:
        """Copy one file and return the SHA-256 of what was written."""
        digest = hashlib.sha256()
        buffer = bytearray(CHUNK_BYTES)
        view = memoryview(buffer)
        count = 0
        with self._writing(destination):
            written = destination.open("xb", buffering=0)
        with written:
            while True:
                with telling(f"{place} cannot be read"):
                    size = file.readinto(buffer)
                if not size:
                    break
                count += size
                if expected_bytes is not None and count > expected_bytes:
                    raise VerificationError(f"{place} grows, the manifest says {expected_bytes} bytes")
                self._make_room(size)
                digest.update(view[:size])
                with self._writing(destination):
                    _write(written, view[:size])
            with self._writing(destination):
                os.fchmod(written.fileno(), FILE_MODE)
        return digest.hexdigest()

    def _make_room(self, size_bytes: int) -> None:
        self._size_bytes += size_bytes
        if self._limit_bytes is not None and self._size_bytes > self._limit_bytes:
            raise TooLargeError(f"{self._place} is larger than the {self._limit_bytes} bytes there is room for")

    def _writing(self, destination: Path) -> contextlib.AbstractContextManager[None]:
        return telling(f"{shown(destination)} cannot be written")


@contextlib.contextmanager
def telling(what: str) -> Iterator[None]:
    """Turn an error of storage into a StoreError that says what could not be done."""
    try:
        yield
    except OSError as error:
        raise StoreError(f"{what}: {error.strerror or error}") from error


def _below(descriptor: int, place: str, prefix: str, left_out: frozenset[str]) -> Iterator[Entry]:
    if prefix.count("/") > MAXIMUM_DEPTH:
        raise VerificationError(f"{place} is more than {MAXIMUM_DEPTH} folders deep: no model is")
    with telling(f"{place} cannot be read"):
        names = sorted(set(os.listdir(descriptor)) - left_out)
    for name in names:
        inside = f"{place}/{shown(name)}"
        with telling(f"{inside} cannot be read"):
            found = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
        _check_kind(found, inside)
        if stat.S_ISDIR(found.st_mode):
            yield Entry(prefix + name, 0, None)
            with telling(f"{inside} cannot be read"):
                further = os.open(name, _OPEN_FOLDER, dir_fd=descriptor)
            try:
                yield from _below(further, inside, f"{prefix}{name}/", frozenset())
            finally:
                os.close(further)
        else:
            with telling(f"{inside} cannot be read"):
                file = _open(name, descriptor, inside)
            with file:
                yield Entry(prefix + name, os.fstat(file.fileno()).st_size, file)


def _open(name: str | Path, folder: int | None, place: str) -> BufferedReader:
    descriptor = os.open(name, _OPEN_FILE, dir_fd=folder)
    try:
        # It may be another one than the one looked at.
        _check_kind(os.fstat(descriptor), place)
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def _check_kind(found: os.stat_result, place: str) -> None:
    if not (stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode)):
        kind = _KINDS.get(stat.S_IFMT(found.st_mode), "of an unknown kind")
        raise VerificationError(f"{place} is {kind}: a model holds nothing but regular files and folders")


def _write(file: IO[bytes], content: memoryview) -> None:
    # Unbuffered: a write may take less than it is given.
    while content:
        content = content[file.write(content) :]


def _make_empty(target: Path) -> None:
    with telling(f"{shown(target)} cannot be written"):
        target.mkdir(parents=True, exist_ok=True)
        if any(target.iterdir()):
            raise StoreError(f"{shown(target)} is not empty: a version is copied into a folder of its own")
        target.chmod(FOLDER_MODE)


def _empty(target: Path) -> None:
    with contextlib.suppress(OSError):
        for path in target.iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
