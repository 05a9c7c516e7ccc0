"""Which versions go: what is too old of a key, which keys are too many, and what is damaged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from model_store.store import Removed

if TYPE_CHECKING:
    from collections.abc import Iterable

    from model_store.store import Keep

NOTHING = Removed()
PlaceType = TypeVar("PlaceType")


@dataclass(frozen=True)
class Version(Generic[PlaceType]):
    """A version with a manifest; one that is not `is_whole` lacks files that its manifest lists."""

    key: str
    number: int
    # Where its store has it.
    place: PlaceType
    is_whole: bool = True


@dataclass(frozen=True)
class Choice(Generic[PlaceType]):
    """What goes, as it is told, and where all of it is."""

    removed: Removed
    places: tuple[PlaceType, ...]


def choose(versions: Iterable[Version[PlaceType]], own_key: str, keep: Keep) -> Choice[PlaceType]:
    """Return what goes of a model's versions: of the own key the older ones, of the others the oldest keys.

    A pinned version never goes, nor the newest whole one of the own key, nor a key that has a pinned one. A key is as
    old as its newest version.
    """
    by_key: dict[str, list[Version[PlaceType]]] = {}
    for version in sorted(versions, key=lambda version: -version.number):
        by_key.setdefault(version.key, []).append(version)
    own = by_key.pop(own_key, [])
    whole = [version for version in own if version.is_whole]
    too_old = [] if keep.versions is None else whole[max(1, keep.versions) :]
    damaged = [version for version in own if not version.is_whole and version.number not in keep.pinned]
    too_old = [version for version in too_old if version.number not in keep.pinned]
    keys = [] if keep.keys is None else list(by_key)[max(0, keep.keys - 1) :]
    keys = [key for key in keys if keep.pinned.isdisjoint(version.number for version in by_key[key])]
    removed = Removed(
        versions=tuple(version.number for version in too_old),
        damaged=tuple(version.number for version in damaged),
        keys=tuple(keys),
    )
    going = (*too_old, *damaged, *(version for key in keys for version in by_key[key]))
    return Choice(removed, tuple(version.place for version in going))
