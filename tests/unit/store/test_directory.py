"""The published layout: found, copied, and nothing copied that is not as it was published."""

from __future__ import annotations

import os
import shutil
import socket
import stat
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model_store import DirectoryStore, Found, StoreError, TooLargeError, VerificationError, Wanted
from tests.unit.store.conftest import FILES, KEY, contents, publish, write_model

if TYPE_CHECKING:
    from collections.abc import Callable

WANTED = Wanted("mnist", KEY)


def found_in(store: DirectoryStore, wanted: Wanted = WANTED) -> Found:
    """Return what is found, which must be something."""
    found = store.find(wanted)
    assert found is not None
    return found


def test_what_is_published_is_found_and_copied_as_it_is(store: DirectoryStore, tmp_path: Path) -> None:
    folder = publish(store)
    found = found_in(store)
    assert (found.version, found.place) == (1, str(folder))
    fetched = store.fetch(found, tmp_path / "copy", verify=True)
    assert contents(tmp_path / "copy") == contents(folder)
    assert {path: content for path, content in contents(folder).items() if path != "manifest.json"} == FILES
    assert (fetched.version, fetched.is_verified, fetched.file_count) == (1, True, len(FILES) + 1)
    assert fetched.manifest == found.manifest
    assert found.manifest is not None
    assert (found.manifest.model, found.manifest.key, found.manifest.version) == ("mnist", KEY, 1)


def test_copies_can_be_read_by_everybody_and_written_by_their_owner(store: DirectoryStore, tmp_path: Path) -> None:
    folder = publish(store)
    (folder / "saved_model.pb").chmod(0o600)
    before = os.umask(0o077)
    try:
        store.fetch(found_in(store), tmp_path / "copy", verify=True)
    finally:
        os.umask(before)
    modes = {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "copy").rglob("*") if path.is_file()}
    assert modes == {0o644}
    folders = [tmp_path / "copy", *(path for path in (tmp_path / "copy").rglob("*") if path.is_dir())]
    assert {stat.S_IMODE(path.stat().st_mode) for path in folders} == {0o755}


def test_newest_version_of_any_key_is_found_without_a_key(store: DirectoryStore) -> None:
    publish(store, key="aaaaaaaaaaaa")
    publish(store, key="bbbbbbbbbbbb")
    publish(store, key="cccccccccccc").joinpath("manifest.json").unlink()
    assert found_in(store, Wanted("mnist")).version == 2


def test_pinned_version_is_found_under_any_key(store: DirectoryStore) -> None:
    publish(store, key="aaaaaaaaaaaa")
    publish(store, key="bbbbbbbbbbbb")
    assert found_in(store, Wanted("mnist", "bbbbbbbbbbbb", 1)).version == 1
    assert store.find(Wanted("mnist", "bbbbbbbbbbbb", 3)) is None


def test_newest_version_of_another_key_is_not_found(store: DirectoryStore) -> None:
    publish(store, key="aaaaaaaaaaaa")
    assert store.find(Wanted("mnist", "bbbbbbbbbbbb")) is None


@pytest.mark.parametrize("name", ["1²", "٣", "+5", "-5", "5.0", "9" * 30, "5\n", ".versions", "lost+found", "..data"])
def test_folder_that_is_no_version_is_passed_over(store: DirectoryStore, name: str) -> None:
    folder = publish(store)
    shutil.copytree(folder, folder.with_name(name))
    shutil.copytree(folder.parent, store.root / "mnist" / name, dirs_exist_ok=True)
    assert found_in(store).version == 1


def test_version_with_leading_zeros_is_the_number(store: DirectoryStore) -> None:
    folder = publish(store)
    folder.rename(folder.with_name("00012"))
    assert found_in(store).version == 12


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a\0b"])
def test_name_that_is_no_folder_is_refused(store: DirectoryStore, name: str) -> None:
    with pytest.raises(StoreError, match="expected the name of a folder"):
        store.find(Wanted(name))
    with pytest.raises(StoreError, match="expected the name of a folder"):
        store.publisher("mnist", name)
    assert "expected the name of a folder" in store.look(Wanted(name))


def _fifo(path: Path) -> None:
    os.mkfifo(path)


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener, tempfile.TemporaryDirectory(dir="/tmp") as short:
        listener.bind(f"{short}/s")
        Path(short, "s").rename(path)


def _file_link(path: Path) -> None:
    path.symlink_to("/etc/hostname")


def _folder_link(path: Path) -> None:
    path.symlink_to("/etc")


def _dangling_link(path: Path) -> None:
    path.symlink_to("nowhere")


SPECIAL = [
    (_fifo, "a FIFO"),
    (_socket, "a socket"),
    (_file_link, "a symbolic link"),
    (_folder_link, "a symbolic link"),
    (_dangling_link, "a symbolic link"),
]


@pytest.mark.usefixtures("deadline")
@pytest.mark.parametrize("verify", [True, False], ids=["verified", "unverified"])
@pytest.mark.parametrize("place", ["saved_model.pb", "variables", "extra", "variables/extra", "manifest.json"])
@pytest.mark.parametrize(("make", "kind"), SPECIAL)
def test_what_is_no_file_and_no_folder_is_refused_by_name(
    store: DirectoryStore,
    tmp_path: Path,
    make: Callable[[Path], None],
    kind: str,
    place: str,
    verify: bool,  # noqa: FBT001
) -> None:
    folder = publish(store)
    found = found_in(store)
    path = folder / place
    shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    make(path)
    with pytest.raises(
        VerificationError, match=f"{path} is {kind}: a model holds nothing but regular files and folders"
    ):
        store.fetch(found, tmp_path / "copy", verify=verify)
    assert list((tmp_path / "copy").glob("*")) == []


def test_link_in_place_of_a_version_is_not_found(store: DirectoryStore, tmp_path: Path) -> None:
    folder = publish(store)
    folder.rename(tmp_path / "elsewhere")
    folder.symlink_to(tmp_path / "elsewhere")
    assert store.find(WANTED) is None


def test_unlisted_file_is_named(store: DirectoryStore, tmp_path: Path) -> None:
    folder = publish(store)
    (folder / "variables" / "extra.so").write_bytes(b"x")
    with pytest.raises(VerificationError, match=r"variables/extra.so is not in the manifest"):
        store.fetch(found_in(store), tmp_path / "copy", verify=True)


def test_missing_file_is_named(store: DirectoryStore, tmp_path: Path) -> None:
    folder = publish(store)
    (folder / "saved_model.pb").unlink()
    with pytest.raises(VerificationError, match=r"saved_model.pb is missing, the manifest lists it"):
        store.fetch(found_in(store), tmp_path / "copy", verify=True)


def test_version_without_a_manifest_cannot_be_verified(store: DirectoryStore, tmp_path: Path) -> None:
    folder = publish(store)
    found = found_in(store)
    (folder / "manifest.json").unlink()
    with pytest.raises(VerificationError, match=r"has no manifest.json"):
        store.fetch(found, tmp_path / "copy", verify=True)


def test_damaged_version_is_copied_where_nothing_is_to_be_verified(store: DirectoryStore, tmp_path: Path) -> None:
    folder = publish(store)
    (folder / "saved_model.pb").write_bytes(b"grapH")
    fetched = store.fetch(found_in(store), tmp_path / "copy", verify=False)
    assert not fetched.is_verified
    assert contents(tmp_path / "copy") == contents(folder)


@settings(max_examples=60)
@given(data=st.data())
def test_any_single_change_of_a_published_version_is_found(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as name:
        store = DirectoryStore(Path(name) / "store")
        folder = publish(store)
        before = contents(folder)
        found = found_in(store)
        path = data.draw(st.sampled_from(sorted(before)), label="file")
        change = data.draw(st.sampled_from(["flip", "cut", "grow", "remove", "add"]), label="change")
        content = bytearray(before[path])
        if change == "flip" and content:
            content[data.draw(st.integers(0, len(content) - 1), label="place")] ^= data.draw(st.integers(1, 255))
            (folder / path).write_bytes(content)
        elif change == "cut" and content:
            (folder / path).write_bytes(content[: data.draw(st.integers(0, len(content) - 1))])
        elif change == "remove":
            (folder / path).unlink()
        elif change == "add":
            (folder / path).with_name("added").write_bytes(b"")
        else:
            (folder / path).write_bytes(content + b"\0")
        try:
            fetched = store.fetch(found, Path(name) / "copy", verify=True)
        except VerificationError as error:
            assert str(folder) in str(error)
            assert list((Path(name) / "copy").glob("*")) == []
        else:
            # Other blanks between the same words of the manifest: it says the same, and the model is the same.
            assert path == "manifest.json"
            assert fetched.manifest == found.manifest
            assert {name: file for name, file in contents(Path(name) / "copy").items() if name != path} == FILES


def test_version_larger_than_the_room_is_refused(store: DirectoryStore, tmp_path: Path) -> None:
    publish(store)
    with pytest.raises(TooLargeError, match="is larger than the 300 bytes there is room for"):
        store.fetch(found_in(store), tmp_path / "copy", verify=True, limit_bytes=300)
    assert list((tmp_path / "copy").iterdir()) == []


def test_folder_that_is_not_empty_is_not_written_to(store: DirectoryStore, tmp_path: Path) -> None:
    publish(store)
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy" / "precious").touch()
    with pytest.raises(StoreError, match="is not empty"):
        store.fetch(found_in(store), tmp_path / "copy", verify=True)
    assert (tmp_path / "copy" / "precious").exists()


def test_full_disk_is_told_and_nothing_is_left(
    store: DirectoryStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(store)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fchmod", full)
    with pytest.raises(StoreError, match=r"copy/.* cannot be written: No space left on device"):
        store.fetch(found_in(store), tmp_path / "copy", verify=True)
    assert list((tmp_path / "copy").iterdir()) == []


def test_version_of_another_store_is_not_fetched(store: DirectoryStore, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="was found by another store"):
        store.fetch(Found(1, "s3://models/mnist/1", None, "key"), tmp_path / "copy", verify=True)


def test_look_names_the_models_that_are_there(store: DirectoryStore) -> None:
    publish(store, "iris")
    assert store.look(Wanted("mnist", "ab")) == (
        f"looked for mnist/ab/<newest version> with its manifest.json in {store.root}; there is no model mnist: "
        f"{store.root} has iris/"
    )


def test_look_names_keys_and_versions_and_what_is_not_complete(store: DirectoryStore) -> None:
    folder = publish(store)
    folder.with_name("9").mkdir()
    told = store.look(Wanted("mnist", "ab"))
    assert told.endswith(
        f"there is no key ab, but {KEY}; key {KEY} has version 1 and version 9 without a manifest.json"
    )


def test_look_names_a_model_in_tensorflow_servings_layout(store: DirectoryStore) -> None:
    write_model(store.root / "mnist" / "3")
    told = store.look(Wanted("mnist"))
    assert "nothing is published of the model" in told
    assert told.endswith("models that were not published here are in 3")


def test_look_at_what_is_not_there_names_the_folder_that_is(tmp_path: Path) -> None:
    told = DirectoryStore(tmp_path / "typo" / "store").look(Wanted("mnist"))
    assert f"{tmp_path / 'typo' / 'store'} is not there; {tmp_path} is empty" in told


def test_look_is_one_printable_line_of_bounded_length(store: DirectoryStore) -> None:
    for index in range(300):
        (store.root / f"{'long' * 20}\n{index}").mkdir()
    (store.root / os.fsdecode(b"\xff")).mkdir()
    told = store.look(Wanted("mnist"))
    assert told.isprintable()
    assert len(told) <= 1500
    assert "and 293 more" in told


def test_unreadable_store_is_told(store: DirectoryStore, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(store)

    def refuse(path: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(StoreError, match=f"{store.root}/mnist/{KEY} cannot be read: Permission denied"):
        store.find(WANTED)
    assert "Permission denied" in store.look(Wanted("iris"))
