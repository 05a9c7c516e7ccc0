"""Publishing: all or nothing, whoever else is at it."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from trainer.store import ModelStore

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    """Return an empty store that is ready for publishing."""
    store = ModelStore(tmp_path, "mnist", "0123456789ab")
    store.prepare()
    return store


def publish(store: ModelStore) -> int:
    """Publish a directory with a manifest."""
    with store.publication() as publication:
        (publication.folder / "manifest.json").write_text("{}")
        return store.commit(publication)


def test_failure_leaves_nothing_behind(store: ModelStore) -> None:
    with pytest.raises(RuntimeError), store.publication() as publication:
        (publication.folder / "manifest.json").write_text("{}")
        raise RuntimeError
    assert list(store.home.iterdir()) == []
    assert store.published_version() is None


def test_first_version_of_a_key_wins(store: ModelStore) -> None:
    with store.publication() as slow:
        (slow.folder / "manifest.json").write_text("{}")
        first = publish(store)
        assert store.commit(slow) == first
    assert [path.name for path in store.home.glob("[0-9]*")] == [str(first)]


def test_two_publications_never_share_a_number(store: ModelStore) -> None:
    other = ModelStore(store.root, store.name, "ffffffffffff")
    other.prepare()
    with store.publication() as one, other.publication() as two:
        assert one.version != two.version


def test_killed_trainer_is_cleaned_up_and_a_live_one_is_not(store: ModelStore) -> None:
    code = (
        "import sys, pathlib, time; from trainer.store import ModelStore\n"
        "store = ModelStore(pathlib.Path(sys.argv[1]), 'mnist', '0123456789ab')\n"
        "with store.publication(): print('ready', flush=True); time.sleep(60)\n"
    )
    environment = {**os.environ, "PYTHONPATH": ":".join(sys.path)}
    with subprocess.Popen(
        [sys.executable, "-c", code, str(store.root)], stdout=subprocess.PIPE, env=environment
    ) as trainer:
        assert trainer.stdout is not None
        trainer.stdout.readline()
        store.prepare()
        assert len([path for path in store.home.iterdir() if path.is_dir()]) == 1
        trainer.send_signal(signal.SIGKILL)
        trainer.wait()
    assert len([path for path in store.home.iterdir() if path.is_dir()]) == 1
    store.prepare()
    assert list(store.home.iterdir()) == []


def test_unfinished_directory_is_no_version(store: ModelStore) -> None:
    (store.home / "7").mkdir()
    assert store.published_version() is None
    assert publish(store) == 1


def test_lock_is_held_while_publishing(store: ModelStore) -> None:
    with store.publication() as publication:
        lock = publication.folder.with_name(publication.folder.name + ".lock")
        with lock.open("ab") as file, pytest.raises(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
