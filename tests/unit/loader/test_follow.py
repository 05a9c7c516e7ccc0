"""The follower: the newest good version, in every pod; what is no good changes nothing and is told once."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from model_loader.errors import RefusedError
from model_loader.follow import Follower
from model_loader.handover import Target
from model_loader.server_status import ServerStatus, VersionStatus
from model_store.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

LOAD_SECONDS = 600.0


@dataclass(frozen=True)
class Version:
    """A version in the store; `problem` is why it is refused before it is handed over."""

    version: int
    source: str = ""
    problem: str = ""

    def __str__(self) -> str:
        """Return it as it is told."""
        return f"version {self.version} of mnist"


@dataclass
class Pod:
    """A store, a target and a server, and the follower between them; a step takes two seconds."""

    target: Target
    store: list[Version] = field(default_factory=list)
    # What the server makes of a version: a state, or a state and a reason; AVAILABLE unless told.
    loads: dict[int, VersionStatus] = field(default_factory=dict)
    is_gone: bool = False
    store_error: str = ""
    pinned: frozenset[int] = frozenset()
    admitted: list[int] = field(default_factory=list)
    now: float = 0.0

    def start(self) -> None:
        """Start a follower, or another one after a restart of its container."""
        self.follower: Follower[Version] = Follower(
            self.target,
            candidates=self.candidates,
            admit=self.admit,
            status=self.status,
            clock=lambda: self.now,
            load_timeout_seconds=LOAD_SECONDS,
            pinned=self.pinned,
        )

    def steps(self, count: int = 1) -> None:
        """Let the follower take steps."""
        for _ in range(count):
            self.follower.step()
            self.now += 2

    def candidates(self) -> Iterable[Version]:
        """Return what is in the store, the newest first."""
        if self.store_error:
            raise StoreError(self.store_error)
        return sorted(self.store, key=lambda version: -version.version)

    def admit(self, version: Version) -> None:
        """Hand a version over, or refuse it."""
        self.admitted.append(version.version)
        if version.problem:
            raise RefusedError(f"{version} is not handed over: {version.problem}")
        partial = self.target.partial(str(version.version))
        partial.mkdir()
        (partial / "saved_model.pb").write_bytes(b"graph")
        self.target.hand_over(partial, version.version, version.source)

    def status(self) -> ServerStatus:
        """Return what the server says of the versions in the target."""
        if self.is_gone:
            return ServerStatus({}, is_gone=True)
        loaded = {version: VersionStatus("AVAILABLE") for version in self.target.versions()}
        return ServerStatus({version: self.loads.get(version, status) for version, status in loaded.items()})


@pytest.fixture
def pod(tmp_path: Path) -> Pod:
    """Return a pod that was handed version 1 and serves it."""
    pod = Pod(Target(tmp_path, "mnist"), store=[Version(1)])
    pod.admit(Version(1))
    pod.admitted.clear()
    pod.start()
    return pod


@pytest.fixture
def served(pod: Pod) -> Pod:
    """Return a pod whose follower knows that version 1 is served."""
    pod.steps(2)
    return pod


def test_newer_version_is_handed_over_and_the_old_one_goes_when_it_is_served(served: Pod) -> None:
    served.loads[2] = VersionStatus("LOADING")
    served.store.append(Version(2))
    served.steps(3)
    assert served.target.versions() == [1, 2]
    served.loads.clear()
    served.steps(1)
    assert served.target.versions() == [2]


def test_nothing_happens_while_nothing_is_new(served: Pod, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    served.steps(20)
    assert (served.admitted, served.target.versions(), capsys.readouterr().out) == ([], [1], "")


def test_pods_that_start_at_different_times_come_to_serve_the_same(pod: Pod, tmp_path: Path) -> None:
    later = Pod(Target(tmp_path / "later", "mnist"), store=pod.store)
    later.start()
    pod.store += [Version(2), Version(3, problem="damaged"), Version(4)]
    pod.loads[4] = later.loads[4] = VersionStatus("END", "cannot be loaded")
    pod.steps(20)
    later.steps(20)
    assert pod.target.versions() == later.target.versions() == [2]


def test_damaged_version_changes_nothing_and_is_told_once(served: Pod, capsys: pytest.CaptureFixture[str]) -> None:
    served.store.append(Version(2, problem="saved_model.pb has another digest"))
    served.steps(10)
    assert (served.admitted, served.target.versions()) == ([2], [1])
    assert capsys.readouterr().out.count("saved_model.pb has another digest") == 1


def test_damaged_version_is_tried_again_when_it_changes(served: Pod) -> None:
    served.store.append(Version(2, source="before", problem="damaged"))
    served.steps(3)
    served.store[-1] = Version(2, source="after")
    served.steps(3)
    assert (served.admitted, served.target.versions()) == ([2, 2], [2])


def test_version_the_server_cannot_load_is_taken_back_and_told_once(
    served: Pod, capsys: pytest.CaptureFixture[str]
) -> None:
    served.loads[2] = VersionStatus("END", "NOT_FOUND: Op type not registered 'Foo'")
    served.store.append(Version(2))
    served.steps(10)
    assert (served.admitted, served.target.versions()) == ([2], [1])
    told = capsys.readouterr().out
    assert told.count("Op type not registered 'Foo'") == 1
    assert "version 1 goes on being served" in told


def test_version_that_is_not_loaded_in_time_is_taken_back(served: Pod) -> None:
    served.loads[2] = VersionStatus("LOADING")
    served.store.append(Version(2))
    served.steps(int(LOAD_SECONDS / 2))
    assert served.target.versions() == [1, 2]
    served.steps(3)
    assert served.target.versions() == [1]


def test_newer_version_does_not_wait_for_one_that_loads_for_long(served: Pod) -> None:
    served.loads[2] = VersionStatus("LOADING")
    served.store.append(Version(2))
    served.steps(2)
    served.store.append(Version(3))
    served.steps(20)
    assert served.target.versions() == [1, 2]
    served.steps(15)
    assert (served.admitted, served.target.versions()) == ([2, 3], [3])


def test_version_that_loads_for_long_is_left_to_it_while_nothing_newer_is_good(served: Pod) -> None:
    served.loads[2] = VersionStatus("LOADING")
    served.store.append(Version(2))
    served.steps(50)
    assert (served.admitted, served.target.versions()) == ([2], [1, 2])


def test_version_that_ends_the_server_is_taken_back_at_once(served: Pod, capsys: pytest.CaptureFixture[str]) -> None:
    served.loads[2] = VersionStatus("LOADING")
    served.store.append(Version(2))
    served.steps(2)
    served.is_gone = True
    served.steps(2)
    assert served.target.versions() == [1]
    assert "see whether its memory is enough" in capsys.readouterr().out
    served.is_gone = False
    served.steps(10)
    assert served.target.versions() == [1]


def test_refusals_outlive_a_restart_of_the_follower(served: Pod) -> None:
    served.loads[2] = VersionStatus("END", "no")
    served.store.append(Version(2))
    served.steps(5)
    served.start()
    served.steps(5)
    assert served.admitted == [2]


def test_restart_between_hand_over_and_verdict_goes_on_asking(served: Pod) -> None:
    served.loads[2] = VersionStatus("LOADING")
    served.store.append(Version(2))
    served.steps(2)
    served.start()
    served.loads[2] = VersionStatus("END", "no")
    served.steps(2)
    assert served.target.versions() == [1]


def test_nothing_new_is_handed_over_while_the_server_does_not_answer(served: Pod) -> None:
    served.is_gone = True
    served.store.append(Version(2))
    served.steps(1000)
    assert (served.admitted, served.target.versions()) == ([], [1])
    served.is_gone = False
    served.steps(3)
    assert served.target.versions() == [2]


def test_version_that_goes_from_the_store_goes_on_being_served(served: Pod) -> None:
    served.store.clear()
    served.steps(5)
    assert served.target.versions() == [1]


def test_lower_versions_are_not_gone_back_to(served: Pod) -> None:
    served.store = [Version(0)]
    served.steps(5)
    assert served.target.versions() == [1]


def test_store_that_is_away_is_told_once_and_tried_again(served: Pod, capsys: pytest.CaptureFixture[str]) -> None:
    served.store_error = "the store cannot be read: Stale file handle"
    served.steps(5)
    served.store_error = ""
    served.store.append(Version(2))
    served.steps(3)
    told = capsys.readouterr().out.splitlines()
    assert [line for line in told if "Stale file handle" in line] == [
        "the store cannot be read: Stale file handle; trying again",
        "over: the store cannot be read: Stale file handle; trying again",
    ]
    assert served.target.versions() == [2]


def test_unexpected_failure_does_not_end_the_follower(
    served: Pod, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(_version: Version) -> None:
        raise ZeroDivisionError("no such luck")

    served.store.append(Version(2))
    monkeypatch.setattr(served.follower, "_admit", fail)
    served.steps(3)
    assert capsys.readouterr().out.count("ZeroDivisionError: no such luck") == 1
    monkeypatch.undo()
    served.steps(3)
    assert served.target.versions() == [2]


def test_first_version_that_cannot_be_loaded_gives_way_to_an_older_good_one(pod: Pod) -> None:
    pod.store.insert(0, Version(0))
    pod.loads[1] = VersionStatus("END", "no")
    pod.steps(5)
    assert pod.target.versions() == [0]


def test_first_version_that_cannot_be_loaded_stays_while_nothing_can_take_its_place(
    pod: Pod, capsys: pytest.CaptureFixture[str]
) -> None:
    pod.loads[1] = VersionStatus("END", "no")
    pod.steps(5)
    assert pod.target.versions() == [1]
    assert capsys.readouterr().out.count("nothing can take its place yet") == 1
    pod.store.append(Version(2))
    pod.steps(3)
    assert pod.target.versions() == [2]


def test_server_that_never_came_up_gets_an_older_version_and_then_judges_the_newer(pod: Pod) -> None:
    pod.store.insert(0, Version(0))
    pod.is_gone = True
    pod.steps(int(LOAD_SECONDS / 2) + 3)
    assert pod.target.versions() == [0]
    pod.is_gone = False
    pod.steps(5)
    assert pod.target.versions() == [1]


def test_slow_first_version_is_served_after_all(pod: Pod) -> None:
    pod.loads[1] = VersionStatus("LOADING")
    pod.steps(int(LOAD_SECONDS / 2) + 3)
    pod.loads.clear()
    pod.steps(3)
    pod.store.append(Version(2))
    pod.steps(3)
    assert pod.target.versions() == [2]


def test_pinned_versions_stay_beside_the_followed_one(tmp_path: Path) -> None:
    pod = Pod(Target(tmp_path, "mnist"), store=[Version(1), Version(5)], pinned=frozenset({1}))
    pod.admit(Version(1))
    pod.admit(Version(5))
    pod.start()
    pod.steps(3)
    pod.store.append(Version(6))
    pod.steps(3)
    assert pod.target.versions() == [1, 6]


def test_number_that_had_ended_before_is_given_time_to_load_again(served: Pod) -> None:
    served.loads[2] = VersionStatus("END", "no")
    served.store.append(Version(2, source="before"))
    served.steps(4)
    # It goes on being listed while its folder is away.
    served.status = lambda: ServerStatus(  # type: ignore[method-assign]
        {1: VersionStatus("AVAILABLE"), 2: served.loads.get(2, VersionStatus("AVAILABLE"))}
    )
    served.start()
    served.store[-1] = Version(2, source="after")
    served.steps(4)
    assert served.target.versions() == [1, 2]
    served.loads.clear()
    served.steps(1)
    assert served.target.versions() == [2]


def test_damaged_record_of_refusals_is_no_obstacle(served: Pod) -> None:
    (served.target.home / ".refused").write_text('{"2": 3')
    served.start()
    served.store.append(Version(2))
    served.steps(4)
    assert served.target.versions() == [2]
