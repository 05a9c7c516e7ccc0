"""Wait, copy, verify, check, hand over; fail closed, in one sentence."""

from __future__ import annotations

import json
import os
import threading
from typing import TYPE_CHECKING

import pytest

from model_loader import __main__ as command
from model_loader import config
from model_loader.errors import NotThereError
from model_loader.reason import Reason
from model_loader.search import Candidate

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from model_store.store import Fetched
    from tests.unit.loader.conftest import MakeModel, Publish

KEY = "0123456789ab"


def test_verified_version_is_copied(publish: Publish, flags: list[str], tmp_path: Path) -> None:
    folder = publish()
    assert command.main([*flags, f"--model-key={KEY}"]) == 0
    copy = tmp_path / "models" / "mnist" / "1"
    assert not copy.is_symlink()
    assert {path.relative_to(copy): path.read_bytes() for path in copy.rglob("*") if path.is_file()} == {
        path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def test_what_changes_in_the_store_afterwards_is_not_served(publish: Publish, flags: list[str], tmp_path: Path) -> None:
    folder = publish()
    before = (folder / "saved_model.pb").read_bytes()
    command.main([*flags, f"--model-key={KEY}"])
    (folder / "saved_model.pb").write_bytes(b"changed")
    assert (tmp_path / "models" / "mnist" / "1" / "saved_model.pb").read_bytes() == before


def test_reason_is_empty_after_success(publish: Publish, flags: list[str], tmp_path: Path) -> None:
    publish()
    (tmp_path / "reason").write_text("waiting")
    assert command.main(flags) == 0
    assert not (tmp_path / "reason").read_text()


def test_own_model_in_the_servings_layout_is_served_and_told_unverified(
    make_model: MakeModel, flags: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_model(tmp_path / "store" / "churn" / "3")
    assert command.main([*flags, "--model-name=churn", "--timeout-seconds=30", "--poll-seconds=0.01"]) == 0
    assert (tmp_path / "models" / "churn" / "3" / "saved_model.pb").is_file()
    assert "not verified: there is no manifest beside it" in capsys.readouterr().out


def test_own_layout_is_not_looked_at_for_a_key(make_model: MakeModel, flags: list[str], tmp_path: Path) -> None:
    make_model(tmp_path / "store" / "mnist" / "3")
    assert command.main([*flags, f"--model-key={KEY}"]) == 1


@pytest.mark.parametrize("path", ["team/churn", "ABSOLUTE"])
def test_source_path_is_below_the_store_or_absolute(
    make_model: MakeModel, flags: list[str], tmp_path: Path, path: str
) -> None:
    folder = tmp_path / "elsewhere" if path == "ABSOLUTE" else tmp_path / "store" / path
    make_model(folder / "2")
    source = str(folder) if path == "ABSOLUTE" else path
    assert command.main([*flags, f"--source-path={source}", "--timeout-seconds=30", "--poll-seconds=0.01"]) == 0
    assert (tmp_path / "models" / "mnist" / "2").is_dir()


@pytest.mark.parametrize(
    ("place", "path", "version"), [("", "", 1), ("7", "", 7), ("mnist/7", "", 7), ("a/b/7", "a/b", 7), ("a", "/a", 1)]
)
def test_model_in_an_image_is_found(
    make_model: MakeModel, flags: list[str], tmp_path: Path, place: str, path: str, version: int
) -> None:
    make_model(tmp_path / "image" / place)
    image = [f"--source-image={tmp_path / 'image'}", f"--source-path={path}"]
    assert command.main([*flags, *image, "--timeout-seconds=30", "--poll-seconds=0.01"]) == 0
    assert (tmp_path / "models" / "mnist" / str(version) / "saved_model.pb").is_file()


def test_handing_over_twice_copies_once(
    publish: Publish, flags: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    publish()
    assert command.main(flags) == 0
    first = (tmp_path / "models" / "mnist" / "1").stat().st_ino
    assert command.main(flags) == 0
    assert (tmp_path / "models" / "mnist" / "1").stat().st_ino == first
    assert "is handed over already" in capsys.readouterr().out


def test_copy_that_changed_in_the_target_is_made_again(publish: Publish, flags: list[str], tmp_path: Path) -> None:
    folder = publish()
    command.main(flags)
    copy = tmp_path / "models" / "mnist" / "1" / "variables" / "variables.index"
    copy.write_bytes(b"other")
    assert command.main(flags) == 0
    assert copy.read_bytes() == (folder / "variables" / "variables.index").read_bytes()


def test_what_a_stopped_run_left_behind_goes(publish: Publish, flags: list[str], tmp_path: Path) -> None:
    publish()
    home = tmp_path / "models" / "mnist"
    (home / ".partial-9" / "variables").mkdir(parents=True)
    (home / ".9.json").write_text("{}")
    assert command.main(flags) == 0
    assert sorted(path.name for path in home.iterdir()) == [".1.json", "1"]


def test_version_that_is_no_longer_wanted_goes(publish: Publish, flags: list[str], tmp_path: Path) -> None:
    publish(version=1)
    command.main(flags)
    publish(version=2)
    assert command.main(flags) == 0
    assert sorted(path.name for path in (tmp_path / "models" / "mnist").iterdir()) == [".2.json", "2"]


def test_model_published_later_is_waited_for(publish: Publish, flags: list[str], tmp_path: Path) -> None:
    clock = Clock(on_pause=lambda pauses: publish() if pauses == 3 else None)
    load([*flags, "--timeout-seconds=30", "--poll-seconds=2"], clock)
    assert (tmp_path / "models" / "mnist" / "1").is_dir()
    assert clock.now == 6


def test_while_waiting_log_and_reason_tell_every_30_seconds_what_is_there(
    make_model: MakeModel, flags: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_model(tmp_path / "store" / "other" / "1")
    with pytest.raises(NotThereError):
        load([*flags, "--timeout-seconds=65", "--poll-seconds=1"], Clock())
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("waiting")]
    assert [line.partition(":")[0] for line in lines] == [f"waiting since {number} s" for number in (0, 30, 60)]
    assert "mnist" in lines[0]
    assert "other" in lines[0]
    assert (tmp_path / "reason").read_text() == lines[-1]


@pytest.mark.parametrize(("key", "is_trained"), [("", False), (KEY, True)])
def test_missing_model_is_named_and_training_only_where_there_is_one(
    flags: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], key: str, *, is_trained: bool
) -> None:
    assert command.main([*flags, f"--model-key={key}"]) == 1
    told = capsys.readouterr()
    assert "mnist" in told.err
    assert ("training Job" in told.out + told.err) == is_trained
    reason = (tmp_path / "reason").read_text()
    assert "looked for" in reason
    assert "is empty" in reason
    assert "raise loader.timeoutSeconds" in reason


def test_newest_version_of_any_key_is_taken_without_a_key(publish: Publish, flags: list[str], tmp_path: Path) -> None:
    publish("aaaaaaaaaaaa", 3)
    publish("bbbbbbbbbbbb", 12)
    assert command.main(flags) == 0
    assert (tmp_path / "models" / "mnist" / "12").is_dir()


def test_pinned_version_is_found_under_another_key(publish: Publish, flags: list[str], tmp_path: Path) -> None:
    publish("aaaaaaaaaaaa", 3)
    publish(KEY, 12)
    assert command.main([*flags, f"--model-key={KEY}", "--model-version=3"]) == 0
    assert (tmp_path / "models" / "mnist" / "3").is_dir()


def flip(folder: Path) -> None:
    """Change one byte and keep the size."""
    content = bytearray((folder / "variables" / "variables.index").read_bytes())
    content[0] ^= 1
    (folder / "variables" / "variables.index").write_bytes(content)


def shorten(folder: Path) -> None:
    """Cut a file."""
    (folder / "variables" / "variables.index").write_bytes(b"i")


def remove(folder: Path) -> None:
    """Remove a file."""
    (folder / "variables" / "variables.index").unlink()


def pipe(folder: Path) -> None:
    """Put something in a file's place that is never read to its end."""
    remove(folder)
    os.mkfifo(folder / "variables" / "variables.index")


def add(folder: Path) -> None:
    """Add a file."""
    (folder / "variables" / "extra.so").write_bytes(b"x")


def link(folder: Path) -> None:
    """Add a folder that is somewhere else."""
    (folder / "variables" / "more").symlink_to("/usr/lib")


def reroute(folder: Path) -> None:
    """Have the manifest name a file outside."""
    content = json.loads((folder / "manifest.json").read_text())
    content["files"][0]["path"] = "../../escape"
    (folder / "manifest.json").write_text(json.dumps(content))


@pytest.mark.parametrize("damage", [flip, shorten, remove, pipe, add, link, reroute])
def test_damaged_version_is_named_and_not_served(
    publish: Publish, flags: list[str], damage: Callable[[Path], None], tmp_path: Path
) -> None:
    folder = publish()
    damage(folder)
    assert command.main(flags) == 2
    assert "version 1 of mnist" in (tmp_path / "reason").read_text()
    assert str(folder) in (tmp_path / "reason").read_text()
    assert not (tmp_path / "models" / "mnist" / "1").exists()


def test_newest_good_version_is_served_where_the_newest_is_damaged(
    publish: Publish, flags: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    publish(version=1)
    publish(version=2)
    flip(publish(version=3))
    assert command.main(flags) == 0
    assert [path.name for path in (tmp_path / "models" / "mnist").glob("[0-9]*")] == ["2"]
    assert "version 3 of mnist" in capsys.readouterr().out


def test_pinned_version_has_no_other_in_its_place(publish: Publish, flags: list[str]) -> None:
    publish(version=2)
    flip(publish(version=3))
    assert command.main([*flags, "--model-version=3"]) == 2


def test_verification_can_be_turned_off(publish: Publish, flags: list[str]) -> None:
    flip(publish())
    assert command.main([*flags, "--verify=off"]) == 0


def test_model_without_the_signature_is_not_handed_over(
    make_model: MakeModel, flags: list[str], tmp_path: Path
) -> None:
    make_model(tmp_path / "store" / "mnist" / "1", signature="score")
    assert command.main([*flags, "--timeout-seconds=30", "--poll-seconds=0.01"]) == 2
    reason = (tmp_path / "reason").read_text()
    assert "is not handed over" in reason
    assert "it has score" in reason
    assert not (tmp_path / "models" / "mnist" / "1").exists()


def test_model_that_does_not_fit_the_task_is_not_handed_over(
    make_model: MakeModel, flags: list[str], tmp_path: Path
) -> None:
    make_model(tmp_path / "store" / "mnist" / "1", outputs=(10, 3))
    waiting = [*flags, "--timeout-seconds=30", "--poll-seconds=0.01"]
    assert command.main([*waiting, "--model-task=classification"]) == 2
    assert "task classification reads one float output" in (tmp_path / "reason").read_text()
    assert command.main([*waiting, "--model-task=raw"]) == 0


def test_file_that_is_no_saved_model_is_a_sentence(flags: list[str], tmp_path: Path) -> None:
    (tmp_path / "store" / "mnist" / "1").mkdir(parents=True)
    (tmp_path / "store" / "mnist" / "1" / "saved_model.pb").write_bytes(b"not a graph")
    assert command.main([*flags, "--timeout-seconds=30", "--poll-seconds=0.01"]) == 2
    assert "is not a SavedModel" in (tmp_path / "reason").read_text()


@pytest.mark.parametrize("name", ["model.tflite", "saved_model.pbtxt"])
def test_model_of_another_kind_is_the_servers_to_judge(flags: list[str], tmp_path: Path, name: str) -> None:
    (tmp_path / "store" / "mnist" / "1").mkdir(parents=True)
    (tmp_path / "store" / "mnist" / "1" / name).write_bytes(b"anything")
    assert command.main([*flags, "--timeout-seconds=30", "--poll-seconds=0.01"]) == 0


@pytest.mark.parametrize("verify", ["on", "off"])
def test_model_larger_than_the_limit_is_refused_with_both_numbers(
    publish: Publish, flags: list[str], tmp_path: Path, verify: str
) -> None:
    publish()
    assert command.main([*flags, "--size-limit=100", f"--verify={verify}"]) == 2
    reason = (tmp_path / "reason").read_text()
    assert "loader.sizeLimit is 100 bytes: raise it" in reason
    assert not list((tmp_path / "models" / "mnist").glob("*"))


def test_further_versions_are_served_beside_the_wanted_one(publish: Publish, flags: list[str], tmp_path: Path) -> None:
    publish(version=5)
    publish(key="ba9876543210", version=9)
    arguments = [*flags, f"--model-key={KEY}", "--model-version=5", "--further-versions=9"]
    for _ in range(2):
        assert command.main(arguments) == 0
        assert sorted(path.name for path in (tmp_path / "models" / "mnist").glob("[0-9]*")) == ["5", "9"]


def test_missing_further_version_is_named(
    publish: Publish, flags: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    publish(version=5)
    assert command.main([*flags, "--model-version=5", "--further-versions=9"]) == 1
    assert "mnist/<any key>/9 was not there" in capsys.readouterr().err


@pytest.mark.parametrize(
    "name", ["1²", "\N{ARABIC-INDIC DIGIT THREE}", "-1", "+1", "1_0", "\N{RIGHT-TO-LEFT OVERRIDE}1"]
)
def test_odd_names_beside_a_model_do_not_matter(publish: Publish, flags: list[str], tmp_path: Path, name: str) -> None:
    publish(version=2)
    (tmp_path / "store" / "mnist" / KEY / name).mkdir()
    (tmp_path / "store" / "mnist" / name).mkdir()
    (tmp_path / "models" / "mnist" / name).mkdir(parents=True)
    assert command.main(flags) == 0
    assert (tmp_path / "models" / "mnist" / "2").is_dir()


@pytest.mark.parametrize("name", ["a\N{RIGHT-TO-LEFT OVERRIDE}b", "a\nb", os.fsdecode(b"a\xffb")])
def test_odd_names_are_told_in_one_printable_line(
    flags: list[str], tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "store" / name).mkdir()
    assert command.main(flags) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.isprintable()
    assert (tmp_path / "reason").read_text().isprintable()


def test_target_that_cannot_be_written_is_a_sentence(publish: Publish, flags: list[str], tmp_path: Path) -> None:
    publish()
    (tmp_path / "models").write_text("a file")
    assert command.main(flags) == 2
    assert "cannot be written to" in (tmp_path / "reason").read_text()


def test_store_that_cannot_be_read_is_waited_for(publish: Publish, flags: list[str], tmp_path: Path) -> None:
    store = tmp_path / "store"
    publish()
    store.rename(tmp_path / "away")
    store.symlink_to(store)

    def come_back(pauses: int) -> None:
        if pauses == 2:
            store.unlink()
            (tmp_path / "away").rename(store)

    load([*flags, "--timeout-seconds=30", "--poll-seconds=2"], Clock(come_back))
    assert (tmp_path / "models" / "mnist" / "1").is_dir()


def test_model_that_is_being_copied_into_the_claim_is_waited_for(
    make_model: MakeModel, flags: list[str], tmp_path: Path
) -> None:
    folder = make_model(tmp_path / "store" / "mnist" / "1")
    late = folder / "variables" / "variables.data"
    clock = Clock(on_pause=lambda pauses: late.write_bytes(b"data" * pauses) if pauses <= 3 else None)
    load([*flags, "--timeout-seconds=30", "--poll-seconds=2"], clock)
    assert (tmp_path / "models" / "mnist" / "1" / "variables" / "variables.data").read_bytes() == b"data" * 3


def test_model_that_changes_while_it_is_copied_is_copied_again(
    make_model: MakeModel, flags: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_model(tmp_path / "store" / "mnist" / "1")
    fetch = Candidate.fetch
    copies = []

    def fetch_and_change(candidate: Candidate, target: Path, *, verify: bool, limit_bytes: int | None) -> Fetched:
        fetched = fetch(candidate, target, verify=verify, limit_bytes=limit_bytes)
        copies.append(fetched)
        if len(copies) == 1:
            (folder / "variables" / "variables.index").write_bytes(b"a longer index")
        return fetched

    monkeypatch.setattr(Candidate, "fetch", fetch_and_change)
    load([*flags, "--timeout-seconds=30", "--poll-seconds=2"], Clock())
    copy = tmp_path / "models" / "mnist" / "1" / "variables" / "variables.index"
    assert copy.read_bytes() == b"a longer index"


class Clock:
    """Time that passes only in pauses; `on_pause` is what happens in each."""

    def __init__(self, on_pause: Callable[[int], object] = lambda _pauses: None) -> None:
        self.now = 0.0
        self.pauses = 0
        self._on_pause = on_pause

    def __call__(self) -> float:
        """Return the time."""
        return self.now

    def pause(self, seconds: float) -> None:
        """Let time pass."""
        self.pauses += 1
        self.now += seconds
        self._on_pause(self.pauses)


def load(arguments: list[str], clock: Clock) -> None:
    """Run the loader in time of its own."""
    options = config.parse(arguments)
    command.load(options, Reason(options.termination_log), clock=clock, pause=clock.pause)


def test_nothing_is_left_running(publish: Publish, flags: list[str]) -> None:
    publish()
    before = threading.active_count()
    command.main(flags)
    assert threading.active_count() == before
