"""Publishing into a bucket: all or nothing, whoever else is at it, and whatever the endpoint does meanwhile."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from model_bucket.connection import Connection
from model_bucket.objects import Bucket, Patience
from model_bucket.publishing import BucketPublisher
from model_bucket.settings import Settings
from model_bucket.store import BucketStore
from model_store import Keep, StoreError, UnsuitableError, Wanted
from tests.s3_server import BUCKET, SECRET_KEY, running
from tests.unit.bucket.conftest import KEY, publish
from tests.unit.store.conftest import FILES, contents

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.s3_server import S3Server
    from tests.unit.bucket.conftest import Place
    from tests.unit.bucket.proxy import Faults

OTHER = "ba9876543210"


class Waiting:
    """Time that passes when it is waited for, and what is told meanwhile."""

    def __init__(self, meanwhile: Callable[[], object] = lambda: None) -> None:
        self.told: list[str] = []
        self.now = 0.0
        self._meanwhile = meanwhile

    def patience(self, seconds: float = 60.0) -> Patience:
        """Return patience of this time."""
        return Patience(seconds, self.told.append, lambda: self.now, self._pause)

    def _pause(self, seconds: float) -> None:
        self.now += seconds
        self._meanwhile()


def versions(place: Place, key: str = KEY, name: str = "mnist") -> list[str]:
    """Return the versions of a key, those without a manifest included."""
    return sorted(path.name for path in (place.folder / name / key).glob("[0-9]*"))


def published(place: Place, version: int, key: str = KEY) -> dict[str, bytes]:
    """Return the files of a version."""
    return contents(place.folder / "mnist" / key / str(version))


def test_published_version_has_the_layout_of_a_volume(place: Place, model: Path) -> None:
    assert publish(place.store(), model) == 1
    files = published(place, 1)
    manifest = json.loads(files.pop("manifest.json"))
    assert files == FILES
    assert (manifest["model"], manifest["key"], manifest["version"]) == ("mnist", KEY, 1)


def test_first_version_of_a_key_wins(place: Place, model: Path) -> None:
    assert publish(place.store(), model) == 1
    assert publish(place.store(), model) == 1
    assert versions(place) == ["1"]


def test_another_key_has_the_next_number(place: Place, model: Path) -> None:
    assert publish(place.store(), model) == 1
    assert publish(place.store(), model, key=OTHER) == 2


def test_each_run_publishes_once(place: Place, model: Path) -> None:
    numbers = [publish(place.store(), model, revision=run) for run in ("", "night-1", "night-1", "night-2")]
    assert numbers == [1, 2, 2, 3]
    publisher = place.store().publisher("mnist", KEY)
    assert [publisher.published_version(run) for run in ("", "night-1", "night-2", "night-3")] == [3, 2, 3, None]


def test_of_many_publishers_at_once_one_wins(place: Place, model: Path) -> None:
    numbers: list[int] = []
    barrier = threading.Barrier(6)

    def run() -> None:
        publisher = place.store().publisher("mnist", KEY)
        barrier.wait(30)
        numbers.append(publisher.publish(model, created="", packages={}))

    threads = [threading.Thread(target=run) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(numbers) == 6
    assert len(set(numbers)) == 1
    assert versions(place) == [str(numbers[0])]


def test_endpoint_that_does_not_heed_the_condition_is_refused(place: Place, proxied: str, faults: Faults) -> None:
    faults.unconditional = Connection(Settings(place.server.endpoint)).open(BUCKET)
    with pytest.raises(UnsuitableError, match=r"does not heed If-None-Match.*conditional writes.*modelStore.type=pvc"):
        place.store(proxied).publisher("mnist", KEY).prepare()
    assert not list(place.folder.rglob("*probe*"))


def test_endpoint_that_does_not_know_the_condition_is_refused(place: Place, proxied: str, faults: Faults) -> None:
    faults.status = 501
    with pytest.raises(UnsuitableError, match="If-None-Match"):
        place.store(proxied).publisher("mnist", KEY).prepare()


def test_endpoint_that_is_down_is_asked_again_until_it_is_up(tmp_path: Path, model: Path) -> None:
    with running(tmp_path / "s3") as server:
        server.kill()
        waiting = Waiting(lambda: server.start() if waiting.now == 1.5 else None)
        store = BucketStore(Bucket(Settings(server.endpoint, BUCKET), waiting.patience()))
        assert publish(store, model) == 1
    assert any("Connection refused" in line and "asking again" in line for line in waiting.told)


def test_endpoint_that_is_killed_while_files_are_uploaded_leaves_no_version(tmp_path: Path, model: Path) -> None:
    (model / "variables" / "large").write_bytes(bytes(64 << 20))
    with running(tmp_path / "s3") as server:
        store = BucketStore(Bucket(Settings(server.endpoint, BUCKET)))
        publisher = BucketPublisher(_KilledDuringUpload(server), "mnist", KEY)
        with pytest.raises(StoreError, match="cannot be written"):
            publisher.publish(model, created="", packages={})
        server.start()
        assert store.find(Wanted("mnist", KEY)) is None
        assert publish(store, model) == 2
        found = store.find(Wanted("mnist", KEY))
        assert found is not None
        assert store.fetch(found, tmp_path / "copy", verify=True).version == 2


class _KilledDuringUpload(Bucket):
    """A bucket whose server is killed when the first file is being uploaded."""

    def __init__(self, server: S3Server) -> None:
        super().__init__(Settings(server.endpoint, BUCKET))
        self._server = server

    def write(self, path: str, file: object) -> None:
        timer = threading.Timer(0.05, self._server.kill)
        timer.start()
        try:
            super().write(path, file)  # type: ignore[arg-type]
        finally:
            timer.join()


def test_endpoint_that_is_busy_is_asked_again(place: Place, model: Path, proxied: str, faults: Faults) -> None:
    waiting = Waiting()
    faults.unavailable = 8
    assert publish(place.store(proxied, waiting.patience()), model) == 1
    assert "it answers 503; asking again" in waiting.told[0]


def test_patience_ends(place: Place, proxied: str, faults: Faults) -> None:
    waiting = Waiting()
    faults.status = 507
    with pytest.raises(StoreError, match=r"cannot be written: it answers 507 \(Played: It is played.\)"):
        place.store(proxied, waiting.patience(5)).publisher("mnist", KEY).prepare()
    faults.status, faults.unavailable = 0, 10_000
    with pytest.raises(StoreError, match="it answers 503"):
        place.store(proxied, waiting.patience(2)).publisher("mnist", KEY).prepare()


@pytest.mark.parametrize("lost", [".versions/1", ".published/first", "manifest.json", "saved_model.pb"])
def test_lost_reply_publishes_once(place: Place, model: Path, proxied: str, faults: Faults, lost: str) -> None:
    times = [0]

    def once(method: str, path: str) -> bool:
        is_meant = method == "PUT" and path.endswith(lost)
        times[0] += is_meant
        return is_meant and times[0] == 1

    faults.unanswered = once
    publisher = place.store(proxied, Waiting().patience()).publisher("mnist", KEY)
    assert publisher.publish(model, created="", packages={}) == 1
    assert times[0] == 2
    assert versions(place) == ["1"]


def test_publisher_that_died_one_step_before_the_end_has_published(place: Place, model: Path) -> None:
    publish(place.store(), model)
    manifest = place.folder / "mnist" / KEY / "1" / "manifest.json"
    content = manifest.read_bytes()
    manifest.unlink()
    assert place.store().find(Wanted("mnist", KEY)) is None
    assert place.store().publisher("mnist", KEY).published_version() == 1
    assert manifest.read_bytes() == content


def test_damaged_version_is_published_anew(place: Place, model: Path) -> None:
    publish(place.store(), model)
    (place.folder / "mnist" / KEY / "1" / "saved_model.pb").unlink()
    assert place.store().publisher("mnist", KEY).published_version() is None
    assert publish(place.store(), model) == 2
    assert publish(place.store(), model) == 2
    assert place.store().publisher("mnist", KEY).retain(Keep()).damaged == (1,)
    assert versions(place) == ["2"]


def test_abandoned_upload_is_removed_once_it_is_nobodys(place: Place, model: Path) -> None:
    publish(place.store(), model, key=OTHER)
    (place.folder / "mnist" / OTHER / "1" / "manifest.json").unlink()
    (place.folder / "mnist" / OTHER / ".published" / "first").unlink()
    bucket = place.store().bucket
    BucketPublisher(bucket, "mnist", KEY).remove_abandoned()
    assert versions(place, OTHER) == ["1"]
    BucketPublisher(bucket, "mnist", KEY, now=lambda: datetime.now(UTC) + timedelta(hours=25)).remove_abandoned()
    assert versions(place, OTHER) == []


def test_claimed_version_is_not_taken_for_abandoned(place: Place, model: Path) -> None:
    publish(place.store(), model, key=OTHER)
    (place.folder / "mnist" / OTHER / "1" / "manifest.json").unlink()
    later = BucketPublisher(place.store().bucket, "mnist", KEY, now=lambda: datetime.now(UTC) + timedelta(hours=25))
    later.remove_abandoned()
    assert place.store().publisher("mnist", OTHER).published_version() == 1


def test_upload_that_takes_too_long_is_given_up(place: Place, model: Path) -> None:
    times = iter([0.0, 13 * 3600.0])
    publisher = BucketPublisher(place.store().bucket, "mnist", KEY, clock=lambda: next(times))
    with pytest.raises(StoreError, match="took longer"):
        publisher.publish(model, created="", packages={})
    assert versions(place) == []


def test_old_versions_go_and_their_numbers_stay_taken(place: Place, model: Path) -> None:
    for run in ("", "a", "b"):
        publish(place.store(), model, revision=run)
    publisher = place.store().publisher("mnist", KEY)
    assert publisher.retain(Keep(versions=1, pinned=frozenset({1}))).versions == (2,)
    assert versions(place) == ["1", "3"]
    assert publisher.retain(Keep(versions=1)).versions == (1,)
    # The newest goes with its key, and its number stays taken.
    assert place.store().publisher("mnist", OTHER).retain(Keep(keys=1)).keys == (KEY,)
    assert versions(place) == []
    assert publish(place.store(), model, key=OTHER) == 4


def test_key_that_went_is_published_anew(place: Place, model: Path) -> None:
    publish(place.store(), model)
    publish(place.store(), model, key=OTHER)
    place.store().publisher("mnist", OTHER).retain(Keep(keys=1))
    assert place.store().publisher("mnist", KEY).published_version() is None
    assert publish(place.store(), model) == 3


def test_has_any_counts_what_is_complete(place: Place, model: Path) -> None:
    publisher = place.store().publisher("mnist", KEY)
    assert not publisher.has_any()
    publish(place.store(), model, key=OTHER)
    assert publisher.has_any()
    assert not place.store().publisher("other", KEY).has_any()


def test_link_in_a_model_is_refused(place: Place, model: Path) -> None:
    (model / "assets").symlink_to("/etc")
    with pytest.raises(StoreError, match="assets is a symbolic link"):
        publish(place.store(), model)
    assert versions(place) == []


def test_wrong_secret_is_told_without_it(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "nobodys-secret")
    with pytest.raises(StoreError, match=r"it answers 403 \(SignatureDoesNotMatch") as caught:
        place.store().publisher("mnist", KEY).prepare()
    assert not any(word in str(caught.value) for word in (SECRET_KEY, "nobodys-secret", "AWS4-HMAC"))


def test_bucket_that_is_not_there_is_named(server: S3Server) -> None:
    store = BucketStore(Bucket(Settings(server.endpoint, "no-such-bucket", "p")))
    with pytest.raises(StoreError, match=r"s3://no-such-bucket/p/mnist.*404 \(NoSuchBucket: "):
        store.publisher("mnist", KEY).prepare()
    with pytest.raises(StoreError, match="NoSuchBucket"):
        store.find(Wanted("mnist", KEY))
    assert "NoSuchBucket" in store.look(Wanted("mnist", KEY))


def test_full_disk_is_found_before_training(place: Place, proxied: str, faults: Faults) -> None:
    faults.status = 507
    with pytest.raises(StoreError, match="507"):
        place.store(proxied, Waiting().patience()).publisher("mnist", KEY).prepare()
