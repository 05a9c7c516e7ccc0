"""Finding and downloading: what is there is found, and what arrives is what was published."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from model_bucket.objects import Bucket
from model_bucket.settings import Settings
from model_bucket.store import BucketStore
from model_store import DirectoryStore, StoreError, TooLargeError, VerificationError, Wanted
from tests.s3_server import BUCKET, running
from tests.unit.bucket.conftest import KEY, publish
from tests.unit.store.conftest import FILES, contents
from tests.unit.store.conftest import publish as publish_on_a_volume

if TYPE_CHECKING:
    from pathlib import Path

    from model_store import Found
    from tests.unit.bucket.conftest import Place
    from tests.unit.bucket.proxy import Faults

OTHER = "ba9876543210"
WANTED = Wanted("mnist", KEY)


def find(store: BucketStore, wanted: Wanted = WANTED) -> Found:
    """Return what is found."""
    found = store.find(wanted)
    assert found is not None
    return found


def flip(path: Path) -> None:
    """Change one bit of a file."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    # In the file, which keeps what the server knows of it.
    with path.open("r+b") as file:
        file.write(content)


def test_copy_is_what_was_published(place: Place, model: Path, tmp_path: Path) -> None:
    publish(place.store(), model)
    found = find(place.store())
    fetched = place.store().fetch(found, tmp_path / "copy", verify=True)
    copy = contents(tmp_path / "copy")
    del copy["manifest.json"]
    assert copy == FILES
    assert (fetched.version, fetched.is_verified, fetched.file_count) == (1, True, len(FILES) + 1)
    assert found.manifest is not None
    assert found.manifest.size_bytes == sum(map(len, FILES.values()))


def test_nothing_is_found_without_a_manifest(place: Place, model: Path) -> None:
    assert place.store().find(WANTED) is None
    publish(place.store(), model)
    (place.folder / "mnist" / KEY / "1" / "manifest.json").unlink()
    assert place.store().find(WANTED) is None


def test_newest_is_found_and_what_is_below_it(place: Place, model: Path) -> None:
    for run in ("", "a", "b"):
        publish(place.store(), model, revision=run)
    publish(place.store(), model, key=OTHER)
    store = place.store()
    assert find(store).version == 3
    assert find(store, Wanted("mnist", KEY, below=3)).version == 2
    assert find(store, Wanted("mnist")).version == 4
    assert find(store, Wanted("mnist", KEY, version=4)).place.endswith(f"mnist/{OTHER}/4")
    assert store.find(Wanted("mnist", KEY, version=5)) is None


def test_key_whose_name_begins_another_is_another(place: Place, model: Path) -> None:
    publish(place.store(), model, key=KEY + "0")
    assert place.store().find(WANTED) is None


def test_flipped_byte_is_refused_by_name(place: Place, model: Path, tmp_path: Path) -> None:
    publish(place.store(), model)
    before = find(place.store()).state
    flip(place.folder / "mnist" / KEY / "1" / "variables" / "variables.data-00000-of-00001")
    with pytest.raises(VerificationError, match=r"s3://.*/1/variables/variables.data-00000-of-00001 has SHA-256"):
        place.store().fetch(find(place.store()), tmp_path / "copy", verify=True)
    assert list((tmp_path / "copy").iterdir()) == []
    assert before


def test_state_changes_with_an_object(place: Place, model: Path) -> None:
    publish(place.store(), model)
    before = find(place.store()).state
    assert find(place.store()).state == before
    with (model / "saved_model.pb").open("rb") as file:
        place.store().bucket.write(f"mnist/{KEY}/1/extra", file)
    assert find(place.store()).state != before


def test_file_that_is_missing_is_named(place: Place, model: Path, tmp_path: Path) -> None:
    publish(place.store(), model)
    (place.folder / "mnist" / KEY / "1" / "saved_model.pb").unlink()
    with pytest.raises(VerificationError, match=r"saved_model.pb is missing, the manifest lists it"):
        place.store().fetch(find(place.store()), tmp_path / "copy", verify=True)


def test_file_that_is_not_listed_is_named(place: Place, model: Path, tmp_path: Path) -> None:
    publish(place.store(), model)
    with (model / "saved_model.pb").open("rb") as file:
        place.store().bucket.write(f"mnist/{KEY}/1/more.so", file)
    with pytest.raises(VerificationError, match=r"more.so is not in the manifest"):
        place.store().fetch(find(place.store()), tmp_path / "copy", verify=True)


def test_version_that_was_removed_meanwhile_is_no_damage(place: Place, model: Path, tmp_path: Path) -> None:
    publish(place.store(), model)
    found = find(place.store())
    shutil.rmtree(place.folder / "mnist" / KEY / "1")
    with pytest.raises(StoreError, match="changed while it was copied") as caught:
        place.store().fetch(found, tmp_path / "copy", verify=True)
    assert not isinstance(caught.value, VerificationError)


def test_download_that_is_cut_off_goes_on(
    place: Place, model: Path, tmp_path: Path, proxied: str, faults: Faults
) -> None:
    (model / "variables" / "large").write_bytes(bytes(range(256)) * 40_000)
    publish(place.store(), model)
    faults.truncated, faults.truncations = "variables/large", 1
    store = place.store(proxied)
    assert store.fetch(find(store), tmp_path / "copy", verify=True).is_verified
    assert faults.truncations == 0


def test_download_that_is_always_cut_off_is_no_damage(
    place: Place, model: Path, tmp_path: Path, proxied: str, faults: Faults
) -> None:
    publish(place.store(), model)
    faults.truncated, faults.truncations = "saved_model.pb", 1000
    store = place.store(proxied)
    with pytest.raises(StoreError, match=r"saved_model.pb cannot be read") as caught:
        store.fetch(find(store), tmp_path / "copy", verify=True)
    assert not isinstance(caught.value, VerificationError)
    assert list((tmp_path / "copy").iterdir()) == []


def test_endpoint_that_is_killed_during_a_download_leaves_nothing_and_heals(model: Path, tmp_path: Path) -> None:
    (model / "variables" / "large").write_bytes(bytes(48 << 20))
    with running(tmp_path / "s3") as server:
        store = BucketStore(Bucket(Settings(server.endpoint, BUCKET)))
        publish(store, model)
        found = find(store)
        seen: list[bytes] = []

        class Killing(Bucket):
            def stream(self, found: object) -> object:  # type: ignore[override]
                body = super().stream(found)  # type: ignore[arg-type]
                if not seen and getattr(found, "path", "").endswith("large"):
                    seen.append(body.read(1 << 20))
                    server.kill()
                return body

        broken = BucketStore(Killing(Settings(server.endpoint, BUCKET)))
        with pytest.raises(StoreError) as caught:
            broken.fetch(found, tmp_path / "copy", verify=True)
        assert not isinstance(caught.value, VerificationError)
        assert list((tmp_path / "copy").iterdir()) == []
        server.start()
        assert store.fetch(find(store), tmp_path / "copy", verify=True).is_verified


def test_limit_is_kept(place: Place, model: Path, tmp_path: Path) -> None:
    publish(place.store(), model)
    with pytest.raises(TooLargeError):
        place.store().fetch(find(place.store()), tmp_path / "copy", verify=True, limit_bytes=100)


def test_names_of_any_kind_arrive_as_they_were(place: Place, model: Path, tmp_path: Path) -> None:
    odd = "assets/a b ü ~ %41 #?*&=[].txt"
    (model / "assets").mkdir()
    (model / odd).write_bytes(b"odd")
    publish(place.store(), model)
    place.store().fetch(find(place.store()), tmp_path / "copy", verify=True)
    assert (tmp_path / "copy" / odd).read_bytes() == b"odd"


def test_store_that_was_copied_from_a_volume_is_the_same_store(place: Place, model: Path, tmp_path: Path) -> None:
    volume = DirectoryStore(tmp_path / "volume")
    volume.root.mkdir()
    publish_on_a_volume(volume)
    for path in volume.root.rglob("*"):
        if path.is_file() and not path.name.endswith(".lock"):
            with path.open("rb") as file:
                place.store().bucket.write(path.relative_to(volume.root).as_posix(), file)
    assert place.store().publisher("mnist", KEY).published_version() == 1
    assert place.store().fetch(find(place.store()), tmp_path / "copy", verify=True).is_verified
    assert publish(place.store(), model) == 1
    assert publish(place.store(), model, key=OTHER) == 2


def test_what_is_there_instead_is_told(place: Place, model: Path) -> None:
    assert "is empty" in place.store().look(WANTED)
    publish(place.store(), model)
    assert f"there is no model mnits: {place.store().bucket.uri} has mnist/" in place.store().look(Wanted("mnits"))
    told = place.store().look(Wanted("mnist", OTHER))
    assert f"there is no key {OTHER}, but {KEY}; key {KEY} has version 1" in told
    (place.folder / "mnist" / KEY / "1" / "manifest.json").unlink()
    assert "version 1 without a manifest.json" in place.store().look(WANTED)


def test_path_that_leads_out_of_its_folder_is_no_part_of_it(place: Place) -> None:
    with pytest.raises(StoreError, match="expected the name of a folder"):
        place.store().find(Wanted("../mnist", KEY))
