"""Models that nobody published here: TensorFlow Serving's own layout, and a folder that is one model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from model_store import fetching, folders
from model_store.names import listed, sentence, shown

if TYPE_CHECKING:
    from pathlib import Path

    from model_store.store import Fetched, Found, Wanted

# A disk's own folder, where a whole volume is one model.
_VOLUMES_OWN = frozenset({"lost+found"})


@dataclass(frozen=True)
class ServingLayout:
    """`<folder>/<version>/saved_model.pb`, with or without a manifest beside it; names and keys play no part."""

    folder: Path

    def find(self, wanted: Wanted) -> Found | None:
        """Return a version with a model in it, or None while there is none; raise StoreError as Store.find does."""
        return folders.pick([folders.versions(self.folder)], wanted, folders.has_model)

    def fetch(self, found: Found, target: Path, *, verify: bool, limit_bytes: int | None = None) -> Fetched:
        """Copy a version as Store.fetch promises; one without a manifest is copied and not verified."""
        return fetching.fetch(
            folders.folder_of(found),
            found.version,
            target,
            verify=verify,
            needs_manifest=False,
            limit_bytes=limit_bytes,
        )

    def look(self, wanted: Wanted) -> str:
        """Return one sentence of what is looked for and what is there instead."""
        return _look(_expected(self.folder, wanted), self.folder)


@dataclass(frozen=True)
class SingleModel:
    """A folder that is itself a model, which is `version` then, or that holds folders of versions."""

    folder: Path
    version: int

    def find(self, wanted: Wanted) -> Found | None:
        """Return the model, or a version in its folder, or None while there is neither; raise StoreError."""
        if not folders.has_model(self.folder):
            return ServingLayout(self.folder).find(wanted)
        if not wanted.takes(self.version):
            return None
        # The folder itself may be a link, as mounts are made: only what is in it may not.
        return folders.found_in(self.folder.resolve(), self.version)

    def fetch(self, found: Found, target: Path, *, verify: bool, limit_bytes: int | None = None) -> Fetched:
        """Copy the model as Store.fetch promises; one without a manifest is copied and not verified."""
        folder = folders.folder_of(found)
        return fetching.fetch(
            folder,
            found.version,
            target,
            verify=verify,
            needs_manifest=False,
            limit_bytes=limit_bytes,
            left_out=_VOLUMES_OWN if folder == self.folder.resolve() else frozenset(),
        )

    def look(self, wanted: Wanted) -> str:
        """Return one sentence of what is looked for and what is there instead."""
        expected = f"{shown(self.folder)}/{folders.MODEL_FILES[0]} or {_expected(self.folder, wanted)}"
        return _look(expected, self.folder)


def _expected(folder: Path, wanted: Wanted) -> str:
    version = "<version>" if wanted.version is None else wanted.version
    return f"{shown(folder)}/{version}/{folders.MODEL_FILES[0]}"


def _look(expected: str, folder: Path) -> str:
    told = f"looked for {expected}; {folders.contents(folder)}"
    models = folders.models_below(folder)
    if models:
        told += f"; there are models in {listed('the folder itself' if path == '.' else path for path in models)}"
    return sentence(told)
