"""The layout in a bucket, `<name>/<key>/<version>/`: which objects are whose."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from model_store import names
from model_store.manifest import FILE_NAME

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from model_bucket.objects import Object
    from model_store.manifest import Manifest

# Beside the keys and versions, hidden and not a number, as on a volume.
RESERVATIONS = ".versions"
CLAIMS = ".published"


@dataclass(frozen=True)
class Stored:
    """A version's objects; `path` is its folder's."""

    key: str
    path: str
    objects: tuple[Object, ...]

    @property
    def is_complete(self) -> bool:
        """Tell whether it is published: its manifest is there, which is written last."""
        return any(found.path == self.manifest_path for found in self.objects)

    @property
    def manifest_path(self) -> str:
        """Return where its manifest is, or would be."""
        return f"{self.path}/{FILE_NAME}"

    @property
    def modified(self) -> datetime:
        """Return when it was last written to."""
        return max(found.modified for found in self.objects)

    @property
    def state(self) -> str:
        """Return what changes whenever its objects do."""
        digest = hashlib.sha256()
        for found in self.objects:
            digest.update(f"{found.path!a} {found.size_bytes} {found.e_tag!a}\n".encode("ascii"))
        return digest.hexdigest()

    def has(self, manifest: Manifest) -> bool:
        """Tell whether every file that a manifest lists is there in its size; bytes are not read."""
        sizes = {found.path.removeprefix(f"{self.path}/"): found.size_bytes for found in self.objects}
        return all(sizes.get(path) == size_bytes for path, size_bytes in manifest.sizes.items())


@dataclass(frozen=True)
class Model:
    """What there is of a model: its versions by key and number, and the numbers that are reserved, with their age."""

    keys: dict[str, dict[int, Stored]]
    reservations: dict[int, Object]

    @property
    def numbers(self) -> set[int]:
        """Return every number that is taken."""
        return {number for versions in self.keys.values() for number in versions} | set(self.reservations)


def read(name: str, objects: Iterable[Object]) -> Model:
    """Return what a model's objects are; `name` is the model's, which their paths begin with."""
    folders: dict[str, dict[str, list[Object]]] = {}
    reservations = {}
    for found in objects:
        first, _, rest = found.path.removeprefix(f"{name}/").partition("/")
        second, slash, _ = rest.partition("/")
        number = names.version_of(second)
        if first == RESERVATIONS and number is not None:
            reservations[number] = found
        elif slash and names.is_ours(first):
            folders.setdefault(first, {}).setdefault(second, []).append(found)
    keys = {
        key: {
            number: Stored(key, f"{name}/{key}/{folder}", tuple(inside[folder]))
            for number, folder in names.versions(inside).items()
        }
        for key, inside in folders.items()
    }
    return Model(keys, reservations)
