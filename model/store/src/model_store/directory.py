"""The published layout in a directory: `<root>/<name>/<key>/<version>/`, complete where there is a manifest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from model_store import fetching, folders, tree
from model_store.errors import StoreError
from model_store.manifest import FILE_NAME
from model_store.names import check_part, is_ours, listed, sentence, shown, versions_told
from model_store.publishing import DirectoryPublisher

if TYPE_CHECKING:
    from pathlib import Path

    from model_store.store import Fetched, Found, Publisher, Wanted


@dataclass(frozen=True)
class DirectoryStore:
    """A directory of published models, on a volume."""

    root: Path

    def find(self, wanted: Wanted) -> Found | None:
        """Return a complete version, or None while there is none; raise StoreError when the store cannot be read.

        A pinned version is looked for under every key, the wanted one first: its number is unique for the model.
        """
        model = self.root / check_part("the model's name", wanted.name)
        keys = [check_part("the model's key", wanted.key)] if wanted.key else []
        if wanted.version is not None or not wanted.key:
            keys += [key for key in tree.folders(model) if is_ours(key) and key != wanted.key]
        return folders.pick((folders.versions(model / key) for key in keys), wanted, _is_complete)

    def fetch(self, found: Found, target: Path, *, verify: bool, limit_bytes: int | None = None) -> Fetched:
        """Copy a version as Store.fetch promises; one without a manifest cannot be verified."""
        return fetching.fetch(
            folders.folder_of(found),
            found.version,
            target,
            verify=verify,
            needs_manifest=True,
            limit_bytes=limit_bytes,
        )

    def look(self, wanted: Wanted) -> str:
        """Return one sentence of what is looked for and what is there instead."""
        told = f"looked for {shown(wanted)} with its {FILE_NAME} in {shown(self.root)}; "
        try:
            return sentence(told + self._there(wanted))
        except (OSError, StoreError) as error:
            return sentence(told + str(error))

    def publisher(self, name: str, key: str) -> Publisher:
        """Return where versions of a model's key are published."""
        return DirectoryPublisher(self.root, check_part("the model's name", name), check_part("the model's key", key))

    def _there(self, wanted: Wanted) -> str:
        model = self.root / check_part("the model's name", wanted.name)
        if not model.is_dir():
            return f"there is no model {shown(wanted.name)}: {folders.contents(self.root)}{_misplaced(self.root)}"
        keys = {key: folders.versions(model / key) for key in tree.folders(model) if is_ours(key)}
        published = {key: found for key, found in keys.items() if found}
        if not published:
            return f"nothing is published of the model: {folders.contents(model)}{_misplaced(model)}"
        told = [f"key {shown(key)} has {_versions(found)}" for key, found in list(published.items())[:4]]
        if wanted.key and wanted.key not in published:
            told.insert(0, f"there is no key {shown(wanted.key)}, but {listed(published)}")
        return "; ".join(told) + _misplaced(model)


def _is_complete(folder: Path) -> bool:
    return tree.is_file(folder / FILE_NAME)


def _versions(found: dict[int, Path]) -> str:
    complete = [number for number, folder in found.items() if _is_complete(folder)]
    return versions_told(complete, found.keys() - complete, FILE_NAME)


def _misplaced(folder: Path) -> str:
    """Return where there are models that nobody published."""
    models = [path for path in folders.models_below(folder) if not _is_complete(folder / path)]
    where = listed("the folder itself" if path == "." else path for path in models)
    return f"; models that were not published here are in {where}" if models else ""
