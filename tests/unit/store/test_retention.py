"""Further versions of a key, and what goes when it is too much: never what is pinned, newest, or somebody else's."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_store import DirectoryStore, Keep, Manifest, StoreError, Wanted
from model_store.publishing import DirectoryPublisher
from model_store.retention import Version, choose
from tests.unit.store.conftest import KEY, publish, write_model

if TYPE_CHECKING:
    from collections.abc import Iterator

OTHER = "ffffffffffff"


def further(store: DirectoryStore, revision: str = "", key: str = KEY) -> int:
    """Publish a version of a key under a revision and return its number."""
    publisher = DirectoryPublisher(store.root, "mnist", key)
    publisher.prepare()
    with publisher.publication() as publication:
        write_model(publication.folder)
        return publisher.commit(publication, created="2026-01-02T03:04:05Z", packages={}, revision=revision)


def numbers(store: DirectoryStore, key: str = KEY) -> list[int]:
    """Return the versions of a key."""
    home = store.root / "mnist" / key
    return sorted(int(path.name) for path in home.iterdir()) if home.is_dir() else []


def hidden(store: DirectoryStore) -> list[str]:
    """Return what is left of unfinished and removed versions."""
    names = (path.name for path in (store.root / "mnist").iterdir())
    return [name for name in names if name.startswith((".publishing-", ".removed-"))]


def test_each_revision_publishes_once_and_the_keys_first_stays_the_only_one_without(store: DirectoryStore) -> None:
    assert [further(store), further(store, "run-1"), further(store, "run-1"), further(store, "run-2")] == [1, 2, 2, 4]
    # Without a revision the key is published, whichever run did it.
    assert further(store) == 4
    publisher = store.publisher("mnist", KEY)
    assert [publisher.published_version(revision) for revision in ("", "run-1", "run-2", "run-3")] == [4, 2, 4, None]


def test_revision_is_in_the_manifest_and_left_out_where_there_is_none(store: DirectoryStore) -> None:
    further(store)
    further(store, "run-1")
    first, second = ((store.root / "mnist" / KEY / str(number) / "manifest.json").read_bytes() for number in (1, 2))
    assert (Manifest.parse(first).revision, Manifest.parse(second).revision) == ("", "run-1")
    assert b"revision" not in first


def test_older_versions_of_the_key_go_and_their_numbers_are_not_used_again(store: DirectoryStore) -> None:
    for run in range(1, 5):
        further(store, f"run-{run}")
    further(store, key=OTHER)
    removed = store.publisher("mnist", KEY).retain(Keep(versions=2, pinned=frozenset({1})))
    assert (removed.versions, removed.damaged, removed.keys) == ((2,), (), ())
    assert (numbers(store), numbers(store, OTHER), hidden(store)) == ([1, 3, 4], [5], [])
    store.publisher("mnist", OTHER).retain(Keep(keys=1))
    assert further(store, "run-6") == 6


def test_oldest_keys_go_but_for_one_with_a_pinned_version_and_what_is_not_ours(store: DirectoryStore) -> None:
    for key in ("aaaaaaaa", "bbbbbbbb", "cccccccc", KEY):
        publish(store, key=key)
    write_model(store.root / "mnist" / "bbbbbbbb" / "theirs")
    write_model(store.root / "mnist" / "7")
    removed = store.publisher("mnist", KEY).retain(Keep(keys=1, pinned=frozenset({1})))
    assert removed.keys == ("cccccccc", "bbbbbbbb")
    assert numbers(store, "aaaaaaaa") == [1]
    assert numbers(store) == [4]
    assert not (store.root / "mnist" / "cccccccc").exists()
    assert (store.root / "mnist" / "bbbbbbbb" / "theirs" / "saved_model.pb").exists()
    assert (store.root / "mnist" / "7" / "saved_model.pb").exists()


def test_version_that_lost_files_is_published_anew_and_goes(store: DirectoryStore) -> None:
    (publish(store) / "variables" / "variables.index").unlink()
    publisher = store.publisher("mnist", KEY)
    assert publisher.published_version() is None
    assert further(store) == 2
    assert publisher.retain(Keep()).damaged == (1,)
    assert numbers(store) == [2]


def test_folder_that_lost_its_manifest_goes_though_the_key_is_published(store: DirectoryStore) -> None:
    (publish(store) / "manifest.json").unlink()
    further(store)
    store.publisher("mnist", KEY).remove_abandoned()
    assert (numbers(store), hidden(store)) == ([2], [])


def test_reader_of_a_version_that_is_removed_is_told_to_come_again(
    store: DirectoryStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    further(store, "run-1")
    found = store.find(Wanted("mnist"))
    assert found is not None
    further(store, "run-2")
    # Between the manifest's reading and the files'.
    parse = Manifest.parse

    def removed_then(content: bytes, place: str = "") -> Manifest:
        manifest = parse(content, place)
        monkeypatch.undo()
        store.publisher("mnist", KEY).retain(Keep(versions=1))
        return manifest

    monkeypatch.setattr(Manifest, "parse", removed_then)
    with pytest.raises(StoreError) as told:
        store.fetch(found, tmp_path / "copy", verify=True)
    assert type(told.value) is StoreError, "a passing fault, and no version to be refused"
    assert list((tmp_path / "copy").iterdir()) == []


def test_publishing_and_removing_at_once_never_shares_a_number_or_loses_the_newest(store: DirectoryStore) -> None:
    published: list[int] = []
    failures: list[BaseException] = []

    def run(worker: int) -> None:
        try:
            for turn in range(6):
                published.append(further(store, f"run-{worker}-{turn}", (KEY, OTHER)[worker % 2]))
                store.publisher("mnist", (KEY, OTHER)[worker % 2]).retain(Keep(versions=1))
                store.publisher("mnist", KEY).remove_abandoned()
        except BaseException as error:  # noqa: BLE001 - a thread's is nobody's
            failures.append(error)

    threads = [threading.Thread(target=run, args=(worker,)) for worker in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(set(published)) == len(published) == 24
    for key in (KEY, OTHER):
        store.publisher("mnist", key).retain(Keep(versions=1))
        assert len(numbers(store, key)) == 1
    assert max(numbers(store) + numbers(store, OTHER)) == max(published)
    assert hidden(store) == []


_KILLED = """
import os, pathlib, signal, sys
from model_store import DirectoryStore, Keep
left = int(sys.argv[2])
def count(event, arguments):
    global left
    if event in {"open", "os.rename", "os.mkdir", "os.remove", "os.rmdir", "shutil.rmtree", "os.listdir", "os.scandir"}:
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
publisher = DirectoryStore(pathlib.Path(sys.argv[1])).publisher("mnist", "0123456789ab")
sys.addaudithook(count)
publisher.prepare()
with publisher.publication() as publication:
    for name in ("saved_model.pb", "weights"):
        (publication.folder / name).write_bytes(b"x" * 1000)
    publisher.commit(publication, created="", packages={}, revision=f"killed-{left}")
publisher.retain(Keep(versions=1, keys=1))
print("done")
"""


def steps() -> Iterator[int]:
    """Yield every fifth of the file system's calls that publishing and removing take."""
    yield from range(1, 120, 5)


def test_killed_at_any_step_nothing_is_half_there_and_the_next_run_heals_it(store: DirectoryStore) -> None:
    environment = {**os.environ, "PYTHONPATH": ":".join(sys.path)}
    further(store, key=OTHER)
    for ended in steps():
        further(store, f"before-{ended}")
        command = [sys.executable, "-c", _KILLED, str(store.root), str(ended)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode in {0, -signal.SIGKILL}, done.stderr
        found = store.find(Wanted("mnist", KEY))
        assert found is not None
        assert store.fetch(found, store.root.parent / f"copy-{ended}", verify=True).is_verified
        publisher = store.publisher("mnist", KEY)
        publisher.remove_abandoned()
        publisher.retain(Keep(versions=1, keys=1))
        assert numbers(store) == [found.version]
        assert hidden(store) == []
        if done.returncode == 0:
            return
    raise AssertionError("the last step is beyond what it takes")


versions = st.lists(
    st.builds(Version, st.sampled_from(["own", "a", "b", "c"]), st.integers(1, 30), st.just(Path()), st.booleans()),
    unique_by=lambda version: version.number,
)
amounts = st.none() | st.integers(1, 5)


@given(versions, st.builds(Keep, amounts, amounts, st.frozensets(st.integers(1, 30))))
def test_what_is_pinned_or_newest_or_within_the_numbers_stays(there: list[Version[Path]], keep: Keep) -> None:
    removed = choose(there, "own", keep).removed
    gone = {version.number for version in there if version.key in removed.keys} | {*removed.versions, *removed.damaged}
    assert not gone & keep.pinned
    whole = sorted(version.number for version in there if version.key == "own" and version.is_whole)
    assert not gone & set(whole[-(keep.versions or len(whole) or 1) :])
    assert "own" not in removed.keys
    others = {version.key for version in there} - {"own"}
    if keep.keys is None:
        assert removed.keys == ()
    else:
        assert len(others - set(removed.keys)) >= min(len(others), keep.keys - 1)
