"""The workspace: a folder for each run's checkpoints and logs, and the data that was fetched, by digest."""

from __future__ import annotations

import contextlib
import shutil
import time
from typing import TYPE_CHECKING

from model_download import archive, download
from model_download.errors import ArchiveError, DownloadError, FetchError, RefusedError
from model_download.keys import Keys
from model_download.quantity import shown
from model_publisher.errors import PassingError, PublisherError
from model_store.telling import tell

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

KEYS = Keys(
    what="data",
    uri="training.data.uri",
    sha256="training.data.sha256",
    size_limit="training.workspace.size",
    timeout="--data-timeout-seconds",
    ca_bundle="training.data.caBundle",
)
# Written by whoever runs as this pod's user, or its group.
FOLDER_MODE = 0o2775
# More than any data set of small files that anybody packs.
MAXIMUM_MEMBERS = 10_000_000
_ARCHIVES = (".tar.gz", ".tgz", ".tar", ".zip")


def run_folder(workspace: Path, key: str, run: str) -> Path:
    """Return the folder of a run, which is all of the workspace that training sees."""
    return workspace / "runs" / key / run


def make(workspace: Path, key: str, run: str) -> None:
    """Make a run's folder; raise PassingError when the workspace cannot be written to."""
    with _writing(workspace):
        _make(run_folder(workspace, key, run))


def forget_checkpoints(workspace: Path, key: str, run: str) -> None:
    """Remove the checkpoints of a run that is published; its logs stay. What cannot be removed is told, no more."""
    folder = run_folder(workspace, key, run) / "checkpoints"
    try:
        shutil.rmtree(folder)
    except FileNotFoundError:
        return
    except OSError as error:
        tell(f"checkpoints stay in {folder}: {error.strerror}")


def fetch(
    workspace: Path,
    uri: str,
    sha256: str,
    *,
    address: Callable[[], str] | None = None,
    ca_bundle: Path | None = None,
    timeout_seconds: float = 3600.0,
) -> Path:
    """Return the folder of data by its digest, fetched and unpacked where it is not there yet.

    A file that is no archive is in the folder by its own name. The folder counts with the mark beside it: without one
    it may be a mount point that somebody made, or what an interrupted run left. Raise PublisherError for what another
    try does not heal, PassingError for the rest.
    """
    folder = workspace / "data" / sha256
    complete = folder.with_name(f"{sha256}.complete")
    if complete.exists():
        tell(f"data: {sha256[:12]} is in the workspace")
        return folder
    with _writing(workspace):
        _make(folder.parent)
        _empty(folder)
        packed = folder.with_name(f"{sha256}.partial")
        source = download.Source(
            uri, sha256, KEYS, tell, address=address, ca_bundle=ca_bundle, timeout_seconds=timeout_seconds
        )
        start = time.monotonic()
        try:
            with _told():
                download.download(source, packed)
                size_bytes = packed.stat().st_size
                _place(packed, folder, source.shown)
        finally:
            packed.unlink(missing_ok=True)
        complete.touch()
    tell(f"data: {source.shown}, {shown(size_bytes)} in {time.monotonic() - start:.1f} s, of its SHA-256")
    return folder


def _place(packed: Path, folder: Path, uri: str) -> None:
    name = uri.rpartition("/")[2]
    unpacked = folder.with_name(f"{folder.name}.unpacking")
    _remove(unpacked)
    if _is_archive(packed, name):
        archive.unpack(packed, unpacked, archive.Limits(KEYS.size_limit, members=MAXIMUM_MEMBERS))
    else:
        unpacked.mkdir()
        shutil.move(packed, unpacked / (name or "data"))
    # Into the folder, not in its place: it may be mounted already.
    for entry in unpacked.iterdir():
        entry.rename(folder / entry.name)
    unpacked.rmdir()


def _is_archive(path: Path, name: str) -> bool:
    """Tell whether a file is unpacked: by its name, and by its first bytes where the name has no ending.

    A .npz is a zip, and a .csv.gz starts as a .tar.gz does: what reads them reads them as they are.
    """
    if name.endswith(_ARCHIVES):
        return True
    if "." in name:
        return False
    with path.open("rb") as file:
        start = file.read(262)
    return start.startswith((b"\x1f\x8b", b"PK\x03\x04", b"PK\x05\x06")) or start[257:262] == b"ustar"


def _make(folder: Path) -> None:
    for part in (*reversed(folder.parents), folder):
        with contextlib.suppress(FileExistsError):
            part.mkdir()
            part.chmod(FOLDER_MODE)


def _empty(folder: Path) -> None:
    _make(folder)
    for entry in folder.iterdir():
        _remove(entry)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


@contextlib.contextmanager
def _writing(workspace: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise PassingError(
            f"the workspace {workspace} cannot be written to ({error.strerror}): see training.workspace"
        ) from error


@contextlib.contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except (RefusedError, ArchiveError, DownloadError) as error:
        raise PublisherError(str(error)) from error
    except FetchError as error:
        raise PassingError(str(error)) from error
