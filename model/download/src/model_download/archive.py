"""Archives, unpacked: nothing lands outside, nothing grows past its limit, nothing but files and folders.

The members are written by us, byte by byte, and not by the libraries' own extraction: what a member says of owners,
modes, links and devices has no effect, and sizes are counted, not believed.
"""

from __future__ import annotations

import gzip
import io
import stat
import tarfile
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import IO, TYPE_CHECKING

from model_download.errors import ArchiveError
from model_download.quantity import shown

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MAXIMUM_MEMBERS = 10_000
MAXIMUM_DEPTH = 16
# Longest name of a file, and of a path, that Linux takes (NAME_MAX, and well below PATH_MAX).
MAXIMUM_NAME_BYTES = 255
MAXIMUM_PATH_BYTES = 2048
CHUNK_BYTES = 1 << 20
# The libraries read a tar's extended header, and a zip's directory, in one piece, as long as the archive says.
LONGEST_READ_BYTES = 16 << 20
# What macOS adds to archives.
_BYPRODUCTS = ("__MACOSX", ".DS_Store")
_METHODS = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})
_ENCRYPTED = 0x1
_KINDS = {
    tarfile.SYMTYPE: "a symbolic link",
    tarfile.LNKTYPE: "a hard link",
    tarfile.CHRTYPE: "a device",
    tarfile.BLKTYPE: "a device",
    tarfile.FIFOTYPE: "a FIFO",
}
_BROKEN = (
    gzip.BadGzipFile,
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    ValueError,
    RecursionError,
    # zipfile's word for a compression it does not know.
    NotImplementedError,
)


@dataclass(frozen=True)
class Limits:
    """What an archive may unpack to; `size_key` is the setting that bounds the bytes, None of which is no bound."""

    size_key: str
    size_bytes: int | None = None
    members: int = MAXIMUM_MEMBERS


def unpack(path: Path, folder: Path, limits: Limits) -> int:
    """Unpack a .tar.gz, .tar or .zip, told apart by its first bytes, into a new folder; return the bytes written.

    Raise ArchiveError that names what is refused: a member that is no file and no folder, that would land outside or
    on another one, more members or, in the end, more bytes than the limits. Raise OSError when it cannot be written.
    """
    folder.mkdir(parents=True)
    unpacking = _Unpacking(folder, limits)
    try:
        with path.open("rb") as file:
            _members(file, unpacking)
    except _BROKEN as error:
        raise ArchiveError(f"the archive is broken: {error}: make it again") from error
    return unpacking.written_bytes


def _members(file: IO[bytes], unpacking: _Unpacking) -> None:
    start = file.read(262)
    file.seek(0)
    if start.startswith(b"\x1f\x8b"):
        with gzip.GzipFile(fileobj=file) as inflated:
            _untar(inflated, unpacking)
    elif start.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        _unzip(file, unpacking)
    elif start[257:262] == b"ustar":
        _untar(file, unpacking)
    else:
        raise ArchiveError(f"the archive starts with {start[:8]!r}: expected a .tar.gz, a .tar or a .zip")


def _untar(file: IO[bytes] | gzip.GzipFile, unpacking: _Unpacking) -> None:
    with tarfile.open(fileobj=_Careful(file), mode="r:") as tar:
        while (member := tar.next()) is not None:
            # It keeps all of them, and there may be a million.
            tar.members.clear()  # type: ignore[attr-defined]
            if member.isdir():
                unpacking.folder(member.name)
            elif not member.isreg() or member.issparse():
                raise ArchiveError(
                    f"{member.name!a} in the archive is {_kind(member)}: only files and folders are taken"
                )
            else:
                check_name(member.name)
                _filter(member, unpacking)
                content = tar.extractfile(member)
                if content is not None:
                    unpacking.file(member.name, content, member.size)


def _filter(member: tarfile.TarInfo, unpacking: _Unpacking) -> None:
    """Have Python's own filter look at the member as well (PEP 706), where this Python has it."""
    data_filter = getattr(tarfile, "data_filter", None)
    if data_filter is not None:
        data_filter(member, str(unpacking.root))


def _kind(member: tarfile.TarInfo) -> str:
    return _KINDS.get(member.type, "a sparse file" if member.issparse() else "of an unknown kind")


def _unzip(file: IO[bytes], unpacking: _Unpacking) -> None:
    with zipfile.ZipFile(_Careful(file)) as archive:
        for member in archive.infolist():
            # `filename` ends before a NUL; `orig_filename` is what the archive says.
            name = member.orig_filename
            kind = stat.S_IFMT(member.external_attr >> 16)
            if kind not in {0, stat.S_IFREG, stat.S_IFDIR}:
                what = "a symbolic link" if kind == stat.S_IFLNK else "of another kind"
                raise ArchiveError(f"{name!a} in the archive is {what}: only files and folders are taken")
            if member.flag_bits & _ENCRYPTED:
                raise ArchiveError(f"{name!a} in the archive is encrypted: make it without a password")
            if member.compress_type not in _METHODS:
                raise ArchiveError(
                    f"{name!a} in the archive is compressed by method {member.compress_type}: use deflate"
                )
            # is_dir() looks at the last character of a name that may have none.
            if name.endswith("/"):
                unpacking.folder(name)
            else:
                with archive.open(member) as content:
                    unpacking.file(name, content, member.file_size)


class _Careful(io.RawIOBase):
    """A file that refuses reads of a size only a malicious archive asks for."""

    def __init__(self, file: IO[bytes] | gzip.GzipFile) -> None:
        super().__init__()
        self._file = file

    def read(self, size: int = -1) -> bytes:
        if size > LONGEST_READ_BYTES:
            raise ArchiveError(f"the archive has a header of {shown(size)}: no archive needs one")
        return self._file.read(size if size >= 0 else LONGEST_READ_BYTES)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        if whence == io.SEEK_SET and offset < 0:
            raise ArchiveError("the archive is broken: it points outside itself: make it again")
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True


class _Unpacking:
    """The folder members land in, and what landed there."""

    def __init__(self, root: Path, limits: Limits) -> None:
        self.root = root
        self.written_bytes = 0
        self._limits = limits
        self._members = 0

    def folder(self, name: str) -> None:
        """Make a folder; twice is once."""
        place = self._place(name)
        if place is not None:
            self._make(place, name)

    def file(self, name: str, content: IO[bytes], size_bytes: int) -> None:
        """Write a file of the size its header says."""
        place = self._place(name)
        if place is None:
            return
        if not place.parts:
            raise ArchiveError(f"{name!a} in the archive names no file: make it again")
        self._room(size_bytes)
        self._make(place.parent, name)
        try:
            # New, or an error: what is there already is the only list of it, however many members there are.
            file = (self.root / place).open("xb")
        except (FileExistsError, IsADirectoryError) as error:
            raise ArchiveError(f"{name!a} is in the archive twice: make it with each file once") from error
        left = size_bytes
        with file:
            while chunk := content.read(CHUNK_BYTES):
                self._room(len(chunk))
                file.write(chunk)
                self.written_bytes += len(chunk)
                left -= len(chunk)
        if left:
            raise ArchiveError(f"{name!a} in the archive has {size_bytes - left} bytes, its header says {size_bytes}")

    def _make(self, place: PurePosixPath, name: str) -> None:
        try:
            (self.root / place).mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError) as error:
            raise ArchiveError(f"{name!a} in the archive is below a file: make it again") from error

    def _room(self, size_bytes: int) -> None:
        limit_bytes = self._limits.size_bytes
        if limit_bytes is not None and self.written_bytes + size_bytes > limit_bytes:
            raise ArchiveError(
                f"the archive unpacks to more than the {shown(limit_bytes)} that {self._limits.size_key} leaves "
                "for it: raise it (the archive and what it unpacks to are there at the same time)"
            )

    def _place(self, name: str) -> PurePosixPath | None:
        """Return where a member goes, None for what is left out; raise ArchiveError for one that may go nowhere."""
        self._members += 1
        if self._members > self._limits.members:
            raise ArchiveError(f"the archive has more than {self._limits.members} members: it is not unpacked")
        check_name(name)
        path = PurePosixPath(name)
        is_byproduct = path.parts[:1] == _BYPRODUCTS[:1] or path.name == _BYPRODUCTS[1] or path.name.startswith("._")
        return None if is_byproduct else path


def check_name(name: str) -> None:
    """Raise ArchiveError for a member's name that may lead elsewhere."""
    problem = _problem(name)
    if problem:
        raise ArchiveError(f"{name[:200]!a} in the archive {problem}: make it from inside the folder it is of")


def _problem(name: str) -> str:
    path = PurePosixPath(name)
    if path.is_absolute():
        return "has an absolute path"
    if ".." in path.parts:
        return "leaves its folder"
    if any(character in "\\\0" or ord(character) < ord(" ") for character in name):
        return "has a character that is not taken"
    if len(path.parts) > MAXIMUM_DEPTH:
        return f"is more than {MAXIMUM_DEPTH} folders deep"
    encoded = [part.encode("utf-8", "surrogateescape") for part in path.parts]
    if any(len(part) > MAXIMUM_NAME_BYTES for part in encoded) or sum(map(len, encoded)) > MAXIMUM_PATH_BYTES:
        return "has too long a name"
    return ""


def top_folders(folder: Path) -> Iterator[Path]:
    """Yield the folders what is meant may be in: the unpacked one, then the only folder in it."""
    yield folder
    inside = sorted(folder.iterdir())
    if len(inside) == 1 and inside[0].is_dir():
        yield inside[0]
