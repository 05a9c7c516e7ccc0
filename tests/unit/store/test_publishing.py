"""Publishing: all or nothing, whoever else is at it."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from model_store import Keep, StoreError, VerificationError, Wanted
from model_store.publishing import DirectoryPublisher
from tests.unit.store.conftest import KEY, publish, write_model

if TYPE_CHECKING:
    from pathlib import Path

    from model_store import DirectoryStore
    from model_store.publishing import Publication


@pytest.fixture
def publisher(store: DirectoryStore) -> DirectoryPublisher:
    """Return where the model is published, ready for it."""
    publisher = DirectoryPublisher(store.root, "mnist", KEY)
    publisher.prepare()
    return publisher


def commit(publisher: DirectoryPublisher, publication: Publication) -> int:
    """Publish a small model."""
    write_model(publication.folder)
    return publisher.commit(publication, created="2026-01-02T03:04:05Z", packages={})


def left(publisher: DirectoryPublisher) -> list[str]:
    """Return what is in the model's directory besides keys, reservations and the lock that stays."""
    names = (path.name for path in publisher.model.iterdir() if path.name.startswith("."))
    return sorted(name for name in names if name not in {".versions", ".versions.lock"})


def test_failure_leaves_nothing_behind(publisher: DirectoryPublisher) -> None:
    with pytest.raises(RuntimeError), publisher.publication() as publication:
        write_model(publication.folder)
        raise RuntimeError
    assert left(publisher) == []
    assert not publisher.home.exists()
    assert publisher.published_version() is None


def test_first_version_of_a_key_wins(publisher: DirectoryPublisher, store: DirectoryStore) -> None:
    with publisher.publication() as slow:
        publish(store)
        assert commit(publisher, slow) == 2
    assert [path.name for path in publisher.home.glob("[0-9]*")] == ["2"]
    assert left(publisher) == []


def test_of_many_publishers_at_once_one_wins(publisher: DirectoryPublisher) -> None:
    versions: list[int] = []
    barrier = threading.Barrier(6)

    def run() -> None:
        with publisher.publication() as publication:
            barrier.wait(30)
            versions.append(commit(publisher, publication))
            publisher.remove_abandoned()

    threads = [threading.Thread(target=run) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(versions) == 6
    assert {str(version) for version in versions} == {path.name for path in publisher.home.glob("[0-9]*")}
    assert len(set(versions)) == 1
    assert left(publisher) == []


def test_two_publications_never_share_a_number(publisher: DirectoryPublisher) -> None:
    other = DirectoryPublisher(publisher.root, "mnist", "ffffffffffff")
    other.prepare()
    with publisher.publication() as one, other.publication() as two:
        assert one.version != two.version


def test_number_of_a_version_that_is_gone_is_not_used_again(store: DirectoryStore) -> None:
    for path in sorted(publish(store).rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    assert publish(store, key="ffffffffffff").name == "2"


def test_number_is_above_every_folder_that_looks_like_a_version(publisher: DirectoryPublisher) -> None:
    (publisher.home / "7").mkdir(parents=True)
    assert publisher.published_version() is None
    with publisher.publication() as publication:
        assert commit(publisher, publication) == 8


def test_store_without_a_further_number_says_so(publisher: DirectoryPublisher) -> None:
    (publisher.home / str(2**63 - 1)).mkdir(parents=True)
    with pytest.raises(StoreError, match="the last there is"), publisher.publication():
        pass


def test_killed_publisher_is_cleaned_up_and_a_live_one_is_not(publisher: DirectoryPublisher) -> None:
    code = (
        "import sys, pathlib, time; from model_store import DirectoryStore\n"
        f"publisher = DirectoryStore(pathlib.Path(sys.argv[1])).publisher('mnist', {KEY!r})\n"
        "with publisher.publication(): print('ready', flush=True); time.sleep(60)\n"
    )
    environment = {**os.environ, "PYTHONPATH": ":".join(sys.path)}
    with subprocess.Popen(
        [sys.executable, "-c", code, str(publisher.root)], stdout=subprocess.PIPE, env=environment
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        publisher.remove_abandoned()
        assert len(left(publisher)) == 2
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert len(left(publisher)) == 2
    publisher.remove_abandoned()
    assert left(publisher) == []


def test_lock_is_held_while_publishing(publisher: DirectoryPublisher) -> None:
    with publisher.publication() as publication:
        lock = publication.folder.with_name(publication.folder.name + ".lock")
        with lock.open("ab") as file, pytest.raises(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_lock_of_the_model_is_never_removed(publisher: DirectoryPublisher, store: DirectoryStore) -> None:
    publish(store)
    before = (publisher.model / ".versions.lock").stat().st_ino
    publisher.remove_abandoned()
    publisher.retain(Keep(versions=1, keys=1))
    publisher.prepare()
    assert (publisher.model / ".versions.lock").stat().st_ino == before


def test_abandoned_is_removed_where_there_is_nothing(store: DirectoryStore) -> None:
    store.publisher("mnist", KEY).remove_abandoned()
    assert list(store.root.iterdir()) == []


def test_version_without_a_manifest_goes_at_once_and_its_number_stays_taken(
    publisher: DirectoryPublisher, store: DirectoryStore
) -> None:
    publish(store)
    half = publisher.home / "7"
    half.mkdir()
    (half / "saved_model.pb").write_bytes(b"half")
    publisher.remove_abandoned()
    assert sorted(path.name for path in publisher.home.iterdir()) == ["1"]
    assert [path.name for path in publisher.model.iterdir() if path.name.startswith(".removed-")] == []
    with publisher.publication() as publication:
        (publication.folder / "saved_model.pb").write_bytes(b"whole")
        assert publisher.commit(publication, created="", packages={}, revision="next") == 8


def test_link_is_not_published(publisher: DirectoryPublisher, store: DirectoryStore) -> None:
    with (
        pytest.raises(VerificationError, match="variables/link is a symbolic link"),
        publisher.publication() as publication,
    ):
        write_model(publication.folder)
        (publication.folder / "variables" / "link").symlink_to("/etc/passwd")
        publisher.commit(publication, created="", packages={})
    assert store.find(Wanted("mnist")) is None


def test_store_that_cannot_be_written_is_told(store: DirectoryStore) -> None:
    (store.root / "mnist").write_text("a file where the model's directory belongs")
    with pytest.raises(StoreError, match=f"the model store {store.root} cannot be written to"):
        store.publisher("mnist", KEY).prepare()


def test_reader_never_sees_half_a_version(publisher: DirectoryPublisher, store: DirectoryStore, tmp_path: Path) -> None:
    with publisher.publication() as publication:
        write_model(publication.folder)
        (publication.folder / "manifest.json").write_text("{}")
        assert store.find(Wanted("mnist")) is None
        commit(publisher, publication)
        found = store.find(Wanted("mnist"))
    assert found is not None
    assert store.fetch(found, tmp_path / "copy", verify=True).is_verified
