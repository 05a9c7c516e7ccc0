"""Model stores: where published versions are found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pathlib import Path

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Wanted:
    """The version to serve: of a key or, with "", of any; a version number or, with None, the newest."""

    name: str
    key: str = ""
    version: int | None = None

    def __str__(self) -> str:
        """Return it as a path in the store."""
        return f"{self.name}/{self.key or '<any key>'}/{self.version or '<newest version>'}"


class Store(Protocol):
    """A place published models are found in."""

    def find(self, wanted: Wanted) -> Path | None:
        """Return the local directory of a published version, or None while there is none."""


@dataclass(frozen=True)
class DirectoryStore:
    """A mounted directory `<root>/<name>/<key>/<version>/`; a version with a manifest is published."""

    root: Path

    def find(self, wanted: Wanted) -> Path | None:
        """Return the directory of a published version, or None while there is none.

        A pinned version is looked for under every key: its number is unique for the model.
        """
        any_key = wanted.version is not None or not wanted.key
        homes = (self.root / wanted.name).glob("[0-9a-f]*") if any_key else [self.root / wanted.name / wanted.key]
        published = [
            path
            for home in homes
            for path in home.glob("[0-9]*")
            if path.name.isdigit() and (path / MANIFEST).is_file()
        ]
        if wanted.version is not None:
            published = [path for path in published if int(path.name) == wanted.version]
        return max(published, key=lambda path: int(path.name), default=None)
