"""The publisher's two commands: what is there already, what is published, what stays, and what a fault leaves."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from tests.processes import wait_for
from tests.publishing.conftest import KEY

if TYPE_CHECKING:
    from tests.publishing.conftest import Pod

# Of a file that takes a moment to be copied and hashed.
LARGE = 128 << 20
STEP_SECONDS = 0.02

pytestmark = pytest.mark.usefixtures("unblessed")


@pytest.fixture
def unblessed(pod: Pod) -> None:
    """Leave the server out: what these tests are about comes before and after it."""
    pod.variables["BLESSING"] = "false"


def test_check_finds_what_is_published_and_nothing_is_done_again(pod: Pod) -> None:
    pod.leave()
    assert pod.run("check").stdout == f"to be trained: sums/{KEY}\n"
    assert not (pod.root / "published").exists()
    assert (pod.root / "workspace" / "runs" / KEY / "first").is_dir()
    assert pod.run("publish").stdout.splitlines()[-1] == f"published sums/{KEY}/1"
    assert pod.run("check").stdout == f"already published: sums/{KEY}/1\n"
    assert (pod.root / "published").exists()
    assert pod.run("publish").stdout == "already published: nothing to do\n"
    assert pod.versions() == [1]


def test_revision_publishes_a_further_version_once(pod: Pod) -> None:
    pod.leave()
    pod.run("publish")
    for run, version in (("night-1", 2), ("night-2", 3)):
        assert pod.run("check", REVISION=run, RUN=run).stdout == f"to be trained: sums/{KEY}, run {run}\n"
        assert pod.run("publish", REVISION=run, RUN=run).stdout.splitlines()[-1] == f"published sums/{KEY}/{version}"
    assert pod.run("check", REVISION="night-1").stdout == f"already published: sums/{KEY}/2\n"
    manifest = json.loads((pod.store / "sums" / KEY / "3" / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["revision"] == "night-2"


def test_old_versions_go_but_for_the_pinned_and_numbers_are_not_used_again(pod: Pod) -> None:
    pod.leave()
    keep = {"KEEP_VERSIONS": "2", "PINNED_VERSIONS": "1"}
    for number in range(1, 5):
        done = pod.run("publish", REVISION=f"run-{number}", RUN=f"run-{number}", **keep)
        assert done.returncode == 0, done.stderr
    assert pod.versions() == [1, 3, 4]
    assert "removed version 2" in done.stdout
    pod.run("publish", REVISION="run-5", RUN="run-5", KEEP_VERSIONS="1")
    assert pod.versions() == [5]
    pod.run("publish", REVISION="run-6", RUN="run-6")
    assert pod.versions() == [5, 6]


def test_gate_of_the_recipe_counts_unless_values_have_their_own(pod: Pod) -> None:
    pod.leave(gates=[{"metric": "accuracy", "min": 0.95}])
    del pod.variables["BLESSING"]
    environment = {name: value for name, value in pod.environment(BLESSING="false").items() if name != "GATES"}
    done = subprocess.run(pod.command("publish"), env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert "accuracy 0.9 is below the minimum 0.95: nothing was published" in done.stderr
    assert pod.versions() == []
    assert pod.run("publish", BLESSING="false").returncode == 0


def test_comparison_with_nothing_in_service_passes_only_where_nothing_is_published(pod: Pod) -> None:
    pod.leave()
    gate = {"GATES": '[{"metric": "accuracy", "notWorseThan": "served"}]', "SERVED_REST": "http://127.0.0.1:9"}
    done = pod.run("publish", **gate)
    assert done.returncode == 0, done.stderr
    assert "nothing is published yet of sums, so there is nothing to compare with" in done.stdout
    done = pod.run("publish", MODEL_KEY="ba9876543210", **gate)
    assert done.returncode == 4
    assert "although there are published versions" in pod.reason()


@pytest.mark.parametrize(
    ("spoil", "code", "told"),
    [
        ("nothing", 2, "training left no SavedModel: looked for"),
        ("link", 2, "what training left is no model"),
        ("link itself", 2, "is a symbolic link"),
        ("garbage", 2, "no model that can be served"),
        ("labels", 3, "the model cannot be served: output_0 has 2 classes but there are 3 labels"),
        ("field", 2, "has a field 'metric', which means nothing"),
    ],
)
def test_what_training_left_is_refused_by_name(pod: Pod, spoil: str, code: int, told: str) -> None:
    pod.leave()
    model, result = pod.output / "model", pod.output / "result.json"
    if spoil == "nothing":
        model.rename(pod.output / "elsewhere")
    elif spoil == "link":
        (model / "assets").mkdir(exist_ok=True)
        (model / "assets" / "vocabulary.txt").symlink_to("/etc/passwd")
    elif spoil == "link itself":
        model.rename(pod.output / "elsewhere")
        model.symlink_to(pod.output / "elsewhere")
    elif spoil == "garbage":
        (model / "saved_model.pb").write_bytes(b"\xff" * 100)
    elif spoil == "labels":
        result.write_text(json.dumps({"task": "classification", "labels": ["a", "b", "c"]}), encoding="utf-8")
    else:
        result.write_text('{"metric": 1}', encoding="utf-8")
    done = pod.run("publish")
    assert done.returncode == code, done.stderr
    assert told in pod.reason()
    assert "Traceback" not in done.stderr
    assert pod.versions() == []


def test_version_folder_of_the_programs_own_is_taken(pod: Pod) -> None:
    pod.leave()
    (pod.output / "model").rename(pod.output / "inner")
    (pod.output / "model").mkdir()
    (pod.output / "inner").rename(pod.output / "model" / "1")
    assert pod.run("publish").returncode == 0
    assert (pod.store / "sums" / KEY / "1" / "saved_model.pb").exists()


@pytest.mark.parametrize("name", ["check", "publish"])
def test_store_that_cannot_be_written_is_a_passing_fault(pod: Pod, name: str) -> None:
    pod.leave()
    pod.store.rmdir()
    pod.store.write_bytes(b"a file")
    done = pod.run(name)
    assert done.returncode == 4, done.stderr
    assert "cannot be" in pod.reason()
    assert "Traceback" not in done.stderr


def test_full_store_is_a_passing_fault_and_leaves_nothing(pod: Pod) -> None:
    pod.leave()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", str(pod.store)], check=True)
    try:
        done = pod.run("publish")
        assert done.returncode == 4, done.stdout
        assert "No space left on device" in pod.reason()
        assert not [path for path in pod.store.rglob("*") if path.name == "saved_model.pb"]
    finally:
        subprocess.run(["umount", str(pod.store)], check=True)


def test_published_runs_checkpoints_go_and_its_logs_stay(pod: Pod) -> None:
    pod.leave()
    pod.run("check")
    run = pod.root / "workspace" / "runs" / KEY / "first"
    for name in ("checkpoints", "logs"):
        (run / name).mkdir()
    pod.run("publish")
    assert [path.name for path in run.iterdir()] == ["logs"]


@pytest.mark.lengthy
@pytest.mark.parametrize("stop", [signal.SIGKILL, signal.SIGTERM])
@pytest.mark.parametrize("share", [0, 0.2, 0.6])
def test_publisher_that_is_stopped_leaves_nothing_half_and_the_next_heals_it(
    pod: Pod, stop: signal.Signals, share: float
) -> None:
    pod.leave()
    (pod.output / "model" / "assets").mkdir(exist_ok=True)
    # Long enough to be stopped in.
    with (pod.output / "model" / "assets" / "large.bin").open("wb") as large:
        large.truncate(LARGE)
    model = pod.store / "sums"

    def written() -> int:
        return sum(path.stat().st_size for path in model.glob(".publishing-*/**/large.bin"))

    with subprocess.Popen(pod.command("publish"), env=pod.environment(), stdout=subprocess.DEVNULL) as process:
        while written() < share * LARGE:
            assert process.poll() is None, "the publisher has ended before it was stopped"
            # A little at a time: it may write gigabytes while nobody looks.
            process.send_signal(signal.SIGCONT)
            time.sleep(STEP_SECONDS)
            process.send_signal(signal.SIGSTOP)
        process.send_signal(stop)
        process.send_signal(signal.SIGCONT)
    assert process.returncode != 0, "it was stopped before its end"
    for version in pod.versions():
        assert (model / KEY / str(version) / "manifest.json").exists()
    assert pod.run("check").returncode == 0
    done = pod.run("publish")
    assert done.returncode == 0, done.stderr
    assert len(pod.versions()) == 1
    wait_for(lambda: not list(model.glob(".publishing-*")) and not list(model.glob(".removed-*")), "nothing is left", 5)


def test_of_two_publishers_of_a_key_the_first_wins(pod: Pod) -> None:
    pod.leave()
    processes = [
        subprocess.Popen(
            pod.command("publish"),
            env=pod.environment(CANDIDATE=str(pod.root / f"candidate-{number}")),
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(4)
    ]
    told = [process.communicate()[0].splitlines()[-1] for process in processes]
    assert [process.returncode for process in processes] == [0] * 4
    assert len(set(told)) == 1, told
    assert len(pod.versions()) == 1


def test_help_and_bad_flags(pod: Pod) -> None:
    environment = pod.environment()
    done = subprocess.run(
        [*pod.command("publish"), "--help"], env=environment, capture_output=True, text=True, check=True
    )
    assert "--blessing-timeout-seconds" in done.stdout
    done = pod.run("publish", BLESSING_TIMEOUT_SECONDS="soon")
    assert done.returncode == 2
    assert "expected a number of seconds above 0, got 'soon'" in done.stderr
