"""Which versions go: what is too old of a key, which keys are too many, and what is damaged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from model_store.store import Removed

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from model_store.store import Keep

NOTHING = Removed()


@dataclass(frozen=True)
class Version:
    """A version with a manifest; one that is not `is_whole` lacks files that its manifest lists."""

    key: str
    number: int
    folder: Path
    is_whole: bool = True


def choose(versions: Iterable[Version], own_key: str, keep: Keep) -> Removed:
    """Return what goes of a model's versions: of the own key the older ones, of the others the oldest keys.

    A pinned version never goes, nor the newest whole one of the own key, nor a key that has a pinned one. A key is as
    old as its newest version.
    """
    by_key: dict[str, list[Version]] = {}
    for version in sorted(versions, key=lambda version: -version.number):
        by_key.setdefault(version.key, []).append(version)
    own = by_key.pop(own_key, [])
    whole = [version for version in own if version.is_whole]
    too_old = [] if keep.versions is None else whole[max(1, keep.versions) :]
    damaged = [version for version in own if not version.is_whole and version.number not in keep.pinned]
    too_old = [version for version in too_old if version.number not in keep.pinned]
    keys = [] if keep.keys is None else list(by_key)[max(0, keep.keys - 1) :]
    keys = [key for key in keys if keep.pinned.isdisjoint(version.number for version in by_key[key])]
    return Removed(
        versions=tuple(version.number for version in too_old),
        damaged=tuple(version.number for version in damaged),
        keys=tuple(keys),
        paths=tuple(version.folder for version in (*too_old, *damaged, *(v for key in keys for v in by_key[key]))),
    )
