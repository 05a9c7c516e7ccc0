"""Models nobody published: TensorFlow Serving's layout, and a folder that is one model."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from model_store import DirectoryStore, Found, ServingLayout, SingleModel, Store, VerificationError, Wanted
from tests.unit.store.conftest import FILES, contents, publish, write_model

ANY = Wanted("whatever")


def found_in(store: Store, wanted: Wanted = ANY) -> Found:
    """Return what is found, which must be something."""
    found = store.find(wanted)
    assert found is not None
    return found


@pytest.mark.parametrize("file", ["saved_model.pb", "saved_model.pbtxt", "model.tflite"])
def test_version_is_found_by_each_kind_of_model(tmp_path: Path, file: str) -> None:
    (tmp_path / "00003").mkdir()
    (tmp_path / "00003" / file).touch()
    found = found_in(ServingLayout(tmp_path))
    assert (found.version, found.place, found.manifest) == (3, str(tmp_path / "00003"), None)


def test_newest_version_with_a_model_is_found(tmp_path: Path) -> None:
    write_model(tmp_path / "9")
    write_model(tmp_path / "10")
    (tmp_path / "11").mkdir()
    for ignored in ("..data", "lost+found", "1²", "v12", ".12", "9" * 30):
        write_model(tmp_path / ignored)
    assert found_in(ServingLayout(tmp_path)).version == 10
    assert found_in(ServingLayout(tmp_path), Wanted("x", version=9)).version == 9
    assert ServingLayout(tmp_path).find(Wanted("x", version=11)) is None


def test_version_0_is_a_version(tmp_path: Path) -> None:
    write_model(tmp_path / "0")
    assert found_in(ServingLayout(tmp_path), Wanted("x", version=0)).version == 0


def test_plain_spelling_wins_over_leading_zeros(tmp_path: Path) -> None:
    write_model(tmp_path / "003")
    write_model(tmp_path / "3")
    assert found_in(ServingLayout(tmp_path)).place == str(tmp_path / "3")


def test_model_without_a_manifest_is_copied_and_not_verified(tmp_path: Path) -> None:
    write_model(tmp_path / "models" / "1")
    store = ServingLayout(tmp_path / "models")
    fetched = store.fetch(found_in(store), tmp_path / "copy", verify=True)
    assert contents(tmp_path / "copy") == FILES
    assert (fetched.is_verified, fetched.manifest) == (False, None)
    assert fetched.size_bytes == sum(map(len, FILES.values()))


def test_model_with_a_manifest_is_verified(store: DirectoryStore, tmp_path: Path) -> None:
    shutil.copytree(publish(store), tmp_path / "models" / "5")
    layout = ServingLayout(tmp_path / "models")
    assert layout.fetch(found_in(layout), tmp_path / "copy", verify=True).is_verified
    (tmp_path / "models" / "5" / "saved_model.pb").write_bytes(b"grapH")
    with pytest.raises(VerificationError, match=r"5/saved_model\.pb has SHA-256"):
        layout.fetch(found_in(layout), tmp_path / "another", verify=True)


def test_link_in_a_model_is_refused(tmp_path: Path) -> None:
    write_model(tmp_path / "models" / "1")
    (tmp_path / "models" / "1" / "assets").symlink_to("/etc")
    store = ServingLayout(tmp_path / "models")
    with pytest.raises(VerificationError, match="assets is a symbolic link"):
        store.fetch(found_in(store), tmp_path / "copy", verify=False)


def test_empty_folders_are_part_of_the_copy(tmp_path: Path) -> None:
    (write_model(tmp_path / "models" / "1") / "assets").mkdir()
    store = ServingLayout(tmp_path / "models")
    store.fetch(found_in(store), tmp_path / "copy", verify=True)
    assert (tmp_path / "copy" / "assets").is_dir()


def test_endless_folders_are_refused(tmp_path: Path) -> None:
    (write_model(tmp_path / "models" / "1") / Path(*["x"] * 60)).mkdir(parents=True)
    store = ServingLayout(tmp_path / "models")
    with pytest.raises(VerificationError, match="is more than 32 folders deep"):
        store.fetch(found_in(store), tmp_path / "copy", verify=True)


def test_look_names_what_is_there_and_models_in_the_wrong_place(tmp_path: Path) -> None:
    write_model(tmp_path / "mnist" / "3")
    (tmp_path / "1").symlink_to(tmp_path / "mnist" / "3")
    assert ServingLayout(tmp_path).look(ANY) == (
        f"looked for {tmp_path}/<version>/saved_model.pb; {tmp_path} has 1 (a link, not followed), mnist/; "
        "there are models in mnist/3"
    )


def test_look_names_the_pinned_version(tmp_path: Path) -> None:
    write_model(tmp_path / "3")
    told = ServingLayout(tmp_path).look(Wanted("x", version=4))
    assert told == f"looked for {tmp_path}/4/saved_model.pb; {tmp_path} has 3/; there are models in 3"


def test_look_tells_a_folder_that_is_the_model_itself(tmp_path: Path) -> None:
    write_model(tmp_path)
    assert ServingLayout(tmp_path).look(ANY).endswith("there are models in the folder itself")


def test_folder_that_is_a_model_has_the_version_given(tmp_path: Path) -> None:
    write_model(tmp_path / "model")
    store = SingleModel(tmp_path / "model", 7)
    assert found_in(store).version == 7
    assert found_in(store, Wanted("x", version=7)).version == 7
    assert store.find(Wanted("x", version=8)) is None
    fetched = store.fetch(found_in(store), tmp_path / "copy", verify=True)
    assert (fetched.version, fetched.is_verified) == (7, False)
    assert contents(tmp_path / "copy") == FILES


def test_folder_of_versions_has_its_own_versions(tmp_path: Path) -> None:
    write_model(tmp_path / "3")
    store = SingleModel(tmp_path, 7)
    assert found_in(store).version == 3
    assert store.fetch(found_in(store), tmp_path / "copy", verify=True).version == 3


def test_disks_own_folder_is_no_part_of_a_model(tmp_path: Path) -> None:
    (write_model(tmp_path / "disk") / "lost+found").mkdir()
    store = SingleModel(tmp_path / "disk", 1)
    store.fetch(found_in(store), tmp_path / "copy", verify=True)
    assert not (tmp_path / "copy" / "lost+found").exists()


def test_mount_may_be_a_link(tmp_path: Path) -> None:
    write_model(tmp_path / "disk")
    (tmp_path / "mount").symlink_to(tmp_path / "disk")
    store = SingleModel(tmp_path / "mount", 1)
    store.fetch(found_in(store), tmp_path / "copy", verify=True)
    assert contents(tmp_path / "copy") == FILES


def test_look_of_a_single_model_names_both_layouts(tmp_path: Path) -> None:
    told = SingleModel(tmp_path, 1).look(ANY)
    assert told == f"looked for {tmp_path}/saved_model.pb or {tmp_path}/<version>/saved_model.pb; {tmp_path} is empty"
