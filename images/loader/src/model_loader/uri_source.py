"""A model from an archive: downloaded, unpacked, checked, handed over; not again where it is handed over already."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from model_bucket.settings import is_s3
from model_download import archive, download
from model_download.errors import FetchError, UnreachableError
from model_download.errors import RefusedError as NotMeantError
from model_download.keys import Keys
from model_download.quantity import shown
from model_loader import search
from model_loader.errors import LoaderError, NotThereError, RefusedError
from model_store.errors import StoreError
from model_store.store import Fetched
from model_store.telling import tell

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from model_loader.config import Config
    from model_loader.loading import Loading
    from model_store.store import Found, Store, Wanted

KEYS = Keys(
    what="archive",
    uri="model.source.uri",
    sha256="model.source.sha256",
    size_limit="loader.sizeLimit",
    timeout="loader.timeoutSeconds",
    ca_bundle="--ca-bundle",
)


def load(loading: Loading, wanted: Sequence[Wanted]) -> None:
    """Hand over the wanted versions of the archive the flags name; raise LoaderError when that cannot be."""
    config, target = loading.config, loading.target
    state = f"sha256:{config.source_sha256}"
    right = {version for version in target.versions() if target.is_right(version, state)}
    if right and all(version.version in right for version in wanted if version.version is not None):
        tell(f"{download.without_secrets(config.source_uri)} is handed over already")
        return
    for version in target.versions():
        target.remove(version)
    with _unpacked(loading) as (folder, place):
        found = search.unpacked(config, list(archive.top_folders(folder)))
        for version_wanted in wanted:
            candidate = next(found.candidates(version_wanted), None)
            if candidate is None:
                there = found.look(version_wanted).replace(str(folder), "the archive")
                raise RefusedError(f"{place} has no model: {there}: {found.no_model}")
            moving = _Moving(candidate.store)
            loading.admit(
                replace(
                    candidate, store=moving, found=replace(candidate.found, place=place), source=state, room_bytes=0
                )
            )


@contextlib.contextmanager
def _unpacked(loading: Loading) -> Iterator[tuple[Path, str]]:
    """Yield the folder the archive is unpacked in, which goes afterwards, and where the archive is from."""
    config, target = loading.config, loading.target
    packed, folder = target.partial("archive"), target.partial("unpacked")
    source = download.Source(
        config.source_uri,
        config.source_sha256,
        KEYS,
        tell,
        address=_address(config),
        ca_bundle=config.ca_bundle or config.s3.ca_bundle,
        limit_bytes=target.left_bytes(),
        timeout_seconds=config.timeout_seconds,
        clock=loading.clock,
        pause=loading.pause,
    )
    try:
        loading.tell_waiting(f"downloading {source.shown}")
        start = loading.clock()
        with target.writing(), _told():
            download.download(source, packed)
            size_bytes = packed.stat().st_size
            tell(f"{source.shown} is here: {shown(size_bytes)} in {loading.clock() - start:.2f} s, of its SHA-256")
            unpacked_bytes = archive.unpack(packed, folder, archive.Limits(KEYS.size_limit, target.left_bytes()))
        target.discard(packed)
        tell(f"{source.shown} is unpacked: {shown(unpacked_bytes)}")
        yield folder, source.shown
    finally:
        target.discard(packed)
        target.discard(folder)


def _address(config: Config) -> Callable[[], str] | None:
    """Return how an address of an object in a bucket is made, None for a URI that is one."""
    if not is_s3(config.source_uri):
        return None
    # Only here: who has no bucket needs no client.
    from model_bucket.connection import addresses  # noqa: PLC0415

    return addresses(config.s3, config.source_uri)


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """Have what is wrong with a download be what is wrong with the loader's run."""
    try:
        yield
    except UnreachableError as error:
        raise NotThereError(str(error)) from error
    except NotMeantError as error:
        raise RefusedError(str(error)) from error
    except FetchError as error:
        raise LoaderError(str(error)) from error


@dataclass(frozen=True)
class _Moving:
    """The store of an unpacked archive: what is fetched is moved, since nobody else has it.

    It counts as verified: its bytes are those of the archive, whose digest was asked for.
    """

    store: Store

    def find(self, wanted: Wanted) -> Found | None:
        """Return what the archive has."""
        return self.store.find(wanted)

    def look(self, wanted: Wanted) -> str:
        """Return what is looked for in the archive and what it has."""
        return self.store.look(wanted)

    def fetch(self, found: Found, target: Path, *, verify: bool, limit_bytes: int | None = None) -> Fetched:
        """Move a version's folder."""
        if not isinstance(found.handle, Path):
            return self.store.fetch(found, target, verify=verify, limit_bytes=limit_bytes)
        try:
            found.handle.rename(target)
        except OSError as error:
            raise StoreError(f"{found.place} cannot be moved: {error.strerror}") from error
        sizes = [path.stat().st_size for path in target.rglob("*") if path.is_file()]
        return Fetched(found.version, target, found.manifest, True, len(sizes), sum(sizes))  # noqa: FBT003 - a field
