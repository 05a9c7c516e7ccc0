"""What every store can do: find a version, fetch an exact copy of it, tell what is there, publish a new one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from model_store.manifest import Manifest


PlaceType = TypeVar("PlaceType")


@dataclass(frozen=True)
class Wanted:
    """The version to serve: of a key or, with "", of any; a version number or, with None, the newest.

    With `below` it is the newest of those that are older: what there is beside a version that is no good.
    """

    name: str
    key: str = ""
    version: int | None = None
    below: int | None = None

    def takes(self, version: int) -> bool:
        """Tell whether a version number is wanted."""
        return self.version in {None, version} and (self.below is None or version < self.below)

    def __str__(self) -> str:
        """Return it as a path in the store."""
        version = "<newest version>" if self.version is None else self.version
        return f"{self.name}/{self.key or '<any key>'}/{version}"


def newest(
    candidates: Iterable[Mapping[int, PlaceType]], wanted: Wanted, is_complete: Callable[[PlaceType], bool]
) -> tuple[int, PlaceType] | None:
    """Return the complete version that is wanted and its place, the highest of several; the first of equals."""
    best: tuple[int, PlaceType] | None = None
    for candidate in candidates:
        for number in sorted(candidate, reverse=True):
            is_better = best is None or number > best[0]
            if wanted.takes(number) and is_better and is_complete(candidate[number]):
                best = number, candidate[number]
                break
    return best


@dataclass(frozen=True)
class Found:
    """A version that is there: `place` is for messages, `manifest` is None where there is none that can be read."""

    version: int
    place: str
    manifest: Manifest | None
    # Where the store that found it finds it again; nobody else's business.
    handle: object = field(repr=False, compare=False, default=None)
    # What changes whenever its files do, where the store knows; "" where its folder has to be looked through.
    state: str = ""


@dataclass(frozen=True)
class Fetched:
    """A copy of a version; `is_verified` tells whether every byte of it was held to a manifest."""

    version: int
    folder: Path
    manifest: Manifest | None
    is_verified: bool
    file_count: int
    size_bytes: int


class Store(Protocol):
    """A place models are found in."""

    def find(self, wanted: Wanted) -> Found | None:
        """Return a complete version, or None while there is none; raise StoreError when the store cannot be read."""

    def fetch(self, found: Found, target: Path, *, verify: bool, limit_bytes: int | None = None) -> Fetched:
        """Copy a version into a folder that is empty or not there yet; what is copied is what was hashed.

        Files get mode 0644, folders 0755. With `verify` each file is held to the manifest beside the model, where
        there is one. After any failure the folder is empty.

        Raise VerificationError that names what is missing, changed, unlisted or neither a file nor a folder,
        TooLargeError as soon as more than `limit_bytes` would be written, StoreError when reading or writing fails.
        """

    def look(self, wanted: Wanted) -> str:
        """Return one sentence of what is looked for and what is there instead, for people who wait; raise nothing."""


@dataclass(frozen=True)
class Keep:
    """What stays when the rest goes: so many versions of the own key and so many keys of the model, None for all."""

    versions: int | None = None
    keys: int | None = None
    pinned: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Removed:
    """What went: older versions of the own key, damaged ones of it, and other keys with all that was in them."""

    versions: tuple[int, ...] = ()
    damaged: tuple[int, ...] = ()
    keys: tuple[str, ...] = ()


class Publisher(Protocol):
    """Where one model's versions of one key are published; all of it raises StoreError when storage fails."""

    def published_version(self, revision: str = "") -> int | None:
        """Return the newest whole version published under the key, or the one of a revision, if any."""

    def has_any(self) -> bool:
        """Tell whether any version of any key of the model is published."""

    def remove_abandoned(self) -> None:
        """Remove what publishers left behind that died; what a live one works on is left alone."""

    def prepare(self) -> None:
        """Make room for a publication and see that it can be written; remove what is abandoned."""

    def publish(self, folder: Path, *, created: str, packages: Mapping[str, str], revision: str = "") -> int:
        """Make a copy of a folder visible as a version, all of it at once; return the version of the key.

        Its number is one nobody else has. The first one wins, of the key or of the revision: where another publisher
        was faster, its version is returned. Where this fails or is killed, no version is there.
        """

    def retain(self, keep: Keep) -> Removed:
        """Remove what is not to be kept, each version at once for whoever reads; numbers are not used again."""
