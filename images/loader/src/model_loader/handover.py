"""The target: the folder the server reads, and what of it is right.

```
<target>/<name>/<version>/       handed over: complete, verified, never written to again
<target>/<name>/.<version>.json  what it was made from and the digest of each of its files
<target>/<name>/.partial-*       not there yet; the server sees numbers only
```
The target outlives a restart of the containers: the record tells what of it is still right.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from model_download.quantity import shown
from model_loader.errors import LoaderError, RefusedError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PARTIAL = ".partial-"
REMOVED = ".removed-"
_VERSION = re.compile("0|[1-9][0-9]{0,18}")


@dataclass(frozen=True)
class Target:
    """The folder of one model below the target directory, and how many bytes the directory may hold."""

    root: Path
    name: str
    limit_bytes: int | None = None

    @property
    def home(self) -> Path:
        """Return the model's folder, which the server looks for versions in."""
        return self.root / self.name

    def folder(self, version: int) -> Path:
        """Return where a version is, or would be."""
        return self.home / str(version)

    def versions(self) -> list[int]:
        """Return the versions that are handed over, in order."""
        return sorted(int(path.name) for path in _inside(self.home) if _VERSION.fullmatch(path.name) and path.is_dir())

    def source(self, version: int) -> str:
        """Return what a version was made from, "" where there is no record of it."""
        return str(self._record(version).get("source", ""))

    def tidy(self) -> None:
        """Remove what a run that was stopped left behind."""
        with _told(self.root):
            self.home.mkdir(parents=True, exist_ok=True)
            for path in _inside(self.home):
                is_left = path.name.startswith((PARTIAL, REMOVED))
                is_alone = path.suffix == ".json" and not (self.home / path.stem.removeprefix(".")).is_dir()
                if is_left or (path.name.startswith(".") and is_alone):
                    _delete(path)

    def partial(self, what: str) -> Path:
        """Return a path for something that is not handed over yet; nothing is there."""
        path = self.home / f"{PARTIAL}{what}"
        with _told(self.root):
            self.home.mkdir(parents=True, exist_ok=True)
            _delete(path)
        return path

    def discard(self, path: Path) -> None:
        """Remove a partial, as far as that can be."""
        with contextlib.suppress(OSError):
            _delete(path)

    def hand_over(self, partial: Path, version: int, source: str) -> Path:
        """Have a complete folder appear as a version, in the place of what is there; return its path.

        `source` tells what it was made from, for `is_right`.
        """
        folder = self.folder(version)
        with _told(self.root):
            record = {"source": source, "files": _digests(partial)}
            if folder.exists() or folder.is_symlink():
                self.remove(version)
            written = self.partial("record")
            written.write_text(json.dumps(record), encoding="utf-8")
            # Before the version: one without a record is not trusted, a record without a version is removed.
            written.replace(self._record_path(version))
            partial.rename(folder)
        return folder

    def is_right(self, version: int, source: str) -> bool:
        """Tell whether a version is there, made from `source`, and all of its bytes are what they were."""
        record = self._record(version)
        folder = self.folder(version)
        if not source or record.get("source") != source or folder.is_symlink() or not folder.is_dir():
            return False
        try:
            return _digests(folder) == record.get("files")
        except OSError:
            return False

    def remove(self, version: int) -> None:
        """Take a version from the server's sight in one step, then remove it."""
        removed = self.home / f"{REMOVED}{version}"
        with _told(self.root):
            _delete(removed)
            with contextlib.suppress(FileNotFoundError):
                self.folder(version).rename(removed)
            self._record_path(version).unlink(missing_ok=True)
            _delete(removed)

    def used_bytes(self) -> int:
        """Return how many bytes are in the target directory."""
        with _told(self.root):
            return sum(path.lstat().st_size for path in self.root.rglob("*") if not path.is_dir() or path.is_symlink())

    def left_bytes(self) -> int | None:
        """Return how many more bytes may be written, None where there is no limit."""
        return None if self.limit_bytes is None else max(0, self.limit_bytes - self.used_bytes())

    def check_room(self, size_bytes: int, what: str) -> None:
        """Raise RefusedError when `size_bytes` more do not fit: Kubernetes would evict the pod."""
        used_bytes = 0 if self.limit_bytes is None else self.used_bytes()
        if self.limit_bytes is not None and used_bytes + size_bytes > self.limit_bytes:
            beside = f" beside the {shown(used_bytes)} that are handed over" if used_bytes else ""
            raise RefusedError(
                f"{what} takes {shown(size_bytes)}{beside}, loader.sizeLimit is {shown(self.limit_bytes)}: raise it"
            )

    def writing(self) -> contextlib.AbstractContextManager[None]:
        """Turn an OSError inside into a LoaderError that names the target."""
        return _told(self.root)

    def _record_path(self, version: int) -> Path:
        return self.home / f".{version}.json"

    def _record(self, version: int) -> dict[str, Any]:
        try:
            record = json.loads(self._record_path(version).read_bytes())
        except (OSError, ValueError):
            return {}
        return record if isinstance(record, dict) else {}


def _digests(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of each file in a folder by its path; a link is no file, and no equal of one."""
    digests = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            digests[name] = "link"
        elif path.is_file():
            with path.open("rb") as file:
                digests[name] = hashlib.file_digest(file, "sha256").hexdigest()
    return digests


def _inside(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except FileNotFoundError:
        return []


def _delete(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


@contextlib.contextmanager
def _told(root: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise LoaderError(
            f"{root} cannot be written to ({error.strerror or error}): see the volume that is mounted there, "
            "its size and who may write to it"
        ) from error
