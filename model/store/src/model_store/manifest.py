"""The manifest beside a model: what was published, when, with what, and the digest of every file."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeGuard

from model_store import tree
from model_store.errors import VerificationError
from model_store.names import MAXIMUM_VERSION, shown

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

FILE_NAME = "manifest.json"
# What is written. Format 1 also held what now is in the model's own description: labels, metrics, parameters, dataset
# and input; its digest is that of the list of files, format 2's that of everything else in the manifest.
FORMAT = 2
FORMATS = (1, FORMAT)
# The list of files of the largest models has some thousand entries.
MAXIMUM_BYTES = 16 << 20
_FIELDS = frozenset({"format", "model", "key", "version", "created", "packages", "revision", "files", "digest"})
_SHA256_CHARACTERS = 64


@dataclass(frozen=True)
class File:
    """One file of a model: its path below the version's folder with `/` between, its size and digest."""

    path: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """What a publisher says of a version; `facts` are the fields of format 1 that describe the model.

    `revision` names the run that published a further version of a key, "" for the key's first.
    """

    model: str
    key: str
    version: int
    created: str
    packages: Mapping[str, str]
    files: tuple[File, ...]
    facts: Mapping[str, Any] = field(default_factory=dict)
    format: int = FORMAT
    revision: str = ""

    @property
    def size_bytes(self) -> int:
        """Return the size of all files together."""
        return sum(file.size_bytes for file in self.files)

    @property
    def digest(self) -> str:
        """Return the SHA-256 that stands for the whole version."""
        return _digest(self._content(), self.format)

    def render(self) -> str:
        """Return it as JSON; equal manifests are equal text."""
        return json.dumps({**self._content(), "digest": self.digest}, indent=2) + "\n"

    def _content(self) -> dict[str, Any]:
        return {
            "format": self.format,
            "model": self.model,
            "key": self.key,
            "version": self.version,
            "created": self.created,
            "packages": dict(self.packages),
            # Left out where there is none, as from publishers that knew of none.
            **({"revision": self.revision} if self.revision else {}),
            **self.facts,
            "files": [asdict(file) for file in self.files],
        }

    @property
    def sizes(self) -> dict[str, int]:
        """Return the size of each file by its path."""
        return {file.path: file.size_bytes for file in self.files}

    @classmethod
    def of_folder(
        cls,
        folder: Path,
        *,
        model: str,
        key: str,
        version: int,
        created: str,
        packages: Mapping[str, str],
        revision: str = "",
    ) -> Manifest:
        """Return the manifest of the files in a folder; raise VerificationError for what is no file and no folder."""
        files = tuple(
            File(entry.path, entry.size_bytes, hashlib.file_digest(entry.file, "sha256").hexdigest())
            for entry in tree.walk(folder)
            if entry.file is not None and entry.path != FILE_NAME
        )
        return cls(model, key, version, created, MappingProxyType(dict(packages)), files, revision=revision)

    @classmethod
    def parse(cls, content: bytes, place: str = FILE_NAME) -> Manifest:
        """Return the manifest in JSON; raise VerificationError that names the field, and `place`, otherwise."""
        try:
            given = json.loads(content)
        except (ValueError, RecursionError) as error:
            raise VerificationError(f"{shown(place)} cannot be read: {shown(error)}") from error
        return _Reading(place).manifest(given)


class _Reading:
    """Reads one manifest; every refusal names it."""

    def __init__(self, place: str) -> None:
        self._place = shown(place)

    def manifest(self, given: object) -> Manifest:
        content = self._object("", given)
        number = content.get("format")
        if not _is_whole(number) or number not in FORMATS:
            newer = f"; a newer publisher wrote it, and formats 1 to {FORMAT} are known here"
            raise self._error("format", f"{FORMATS[0]} or {FORMATS[1]}", number, newer if _is_newer(number) else "")
        manifest = Manifest(
            model=self._text("model", content.get("model", "")),
            key=self._text("key", content.get("key", "")),
            version=self._version(content.get("version")),
            created=self._text("created", content.get("created", "")),
            packages=MappingProxyType(self._packages(content.get("packages", {}))),
            files=self._files(content.get("files")),
            facts=MappingProxyType({name: value for name, value in content.items() if name not in _FIELDS}),
            format=number,
            revision=self._text("revision", content.get("revision", "")),
        )
        # Over what was read, not over what was understood.
        if content.get("digest") != _digest(content, number):
            raise VerificationError(f"{self._place} is damaged: its digest is not that of what it lists")
        return manifest

    def _error(self, name: str, expected: str, found: object, more: str = "") -> VerificationError:
        told = shown(json.dumps(found, default=str))[:80]
        of = f"{name} of " if name else ""
        return VerificationError(f"{of}{self._place}: expected {expected}, found {told}{more}")

    def _object(self, name: str, value: object) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise self._error(name, "an object", value)
        return value

    def _text(self, name: str, value: object) -> str:
        if not isinstance(value, str):
            raise self._error(name, "text", value)
        return value

    def _version(self, value: object) -> int:
        if not _is_whole(value) or not 0 <= value <= MAXIMUM_VERSION:
            raise self._error("version", "a whole number of 64 bits", value)
        return value

    def _packages(self, value: object) -> dict[str, str]:
        return {
            name: self._text(f"packages.{name}", version) for name, version in self._object("packages", value).items()
        }

    def _files(self, value: object) -> tuple[File, ...]:
        if not isinstance(value, list) or not value:
            raise self._error("files", "a list of files", value)
        files = tuple(self._file(f"files[{index}]", entry) for index, entry in enumerate(value))
        seen: set[str] = set()
        for file in files:
            if file.path in seen:
                raise VerificationError(f"{self._place} names {shown(file.path)} twice")
            seen.add(file.path)
        return files

    def _file(self, name: str, value: object) -> File:
        entry = self._object(name, value)
        path, size_bytes, sha256 = entry.get("path"), entry.get("size_bytes"), entry.get("sha256")
        if not isinstance(path, str) or not is_below(path):
            raise self._error(f"{name}.path", "a path below the version's folder", path)
        if not _is_whole(size_bytes) or size_bytes < 0:
            raise self._error(f"{name}.size_bytes", "a whole number, 0 or more", size_bytes)
        if not isinstance(sha256, str) or len(sha256) != _SHA256_CHARACTERS:
            raise self._error(f"{name}.sha256", f"{_SHA256_CHARACTERS} hexadecimal digits", sha256)
        return File(path, size_bytes, sha256)


def is_below(path: str) -> bool:
    """Tell whether a path stays in its folder on every system and is no other spelling of another path."""
    is_plain = "\\" not in path and "\0" not in path and path != FILE_NAME
    return is_plain and all(part not in {"", ".", ".."} for part in path.split("/"))


def _is_newer(number: object) -> bool:
    return _is_whole(number) and number > FORMAT


def _is_whole(value: Any) -> TypeGuard[int]:
    # A boolean is an int in Python and none in JSON.
    return isinstance(value, int) and not isinstance(value, bool)


def _digest(content: Mapping[str, Any], number: int) -> str:
    covered: Sequence[Any] | dict[str, Any]
    covered = content["files"] if number == 1 else {name: content[name] for name in content if name != "digest"}
    return hashlib.sha256(json.dumps(covered, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
