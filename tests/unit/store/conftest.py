"""A small model, a store with it, and what else may be in a volume."""

from __future__ import annotations

import signal
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import pytest

from model_store import DirectoryStore

if TYPE_CHECKING:
    from collections.abc import Iterator

KEY = "0123456789ab"
FILES = {
    "saved_model.pb": b"graph",
    "variables/variables.index": b"index",
    "variables/variables.data-00000-of-00001": bytes(range(256)),
    "assets.extra/empty": b"",
}


def write_model(folder: Path) -> Path:
    """Write the files of a model into a folder and return it."""
    for path, content in FILES.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    return folder


def publish(store: DirectoryStore, name: str = "mnist", key: str = KEY) -> Path:
    """Publish a model and return the folder of its version."""
    publisher = store.publisher(name, key)
    publisher.prepare()
    with tempfile.TemporaryDirectory() as folder:
        model = write_model(Path(folder))
        version = publisher.publish(model, created="2026-01-02T03:04:05Z", packages={"python": "3.11"})
    return store.root / name / key / str(version)


def contents(folder: Path) -> dict[str, bytes]:
    """Return every file below a folder by its path."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    """Return an empty store."""
    (tmp_path / "store").mkdir()
    return DirectoryStore(tmp_path / "store")


@pytest.fixture
def deadline() -> Iterator[None]:
    """Fail a test that waits for something: opening a FIFO would for ever."""

    def fail(number: int, frame: object) -> NoReturn:
        del number, frame
        raise TimeoutError("expected an answer within 20 seconds")

    before = signal.signal(signal.SIGALRM, fail)
    signal.alarm(20)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)
