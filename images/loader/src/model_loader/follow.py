"""The follower: beside a running server, it hands over each newer version, and takes back what cannot be served.

Every pod follows the same rule, the newest good version, so all of them come to serve the same one.
"""

from __future__ import annotations

import contextlib
import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from model_loader.errors import LoaderError, RefusedError
from model_store.errors import StoreError
from model_store.telling import tell

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from model_loader.handover import Target
    from model_loader.server_status import ServerStatus

AVAILABLE = "AVAILABLE"
END = "END"
REFUSALS = ".refused"
# A number the server had ended before may be listed as ended for a while after it is there again.
OLD_END_SECONDS = 30.0
# A server that tries a version again and again (--max_num_load_retries) keeps a newer one waiting no longer than this.
SUPERSEDE_SECONDS = 60.0
# One look may fall into a restart of the server that has nothing to do with the new version.
LOOKS_TO_BE_GONE = 2


class Candidate(Protocol):
    """A version that could be handed over; `source` changes whenever its files do."""

    @property
    def version(self) -> int:
        """Return its number."""

    @property
    def source(self) -> str:
        """Return what tells this state of it from any other."""

    def __str__(self) -> str:
        """Return its name for people."""


CandidateType = TypeVar("CandidateType", bound=Candidate)


@dataclass(frozen=True)
class Refusal:
    """Why a version is not handed over, and the state of it that this is about; not `is_final`: tried once more."""

    source: str
    reason: str
    is_final: bool = True


@dataclass
class _Trial:
    """A version the server is asked about since it was handed over."""

    version: int
    began: float
    # It was ended when it was handed over, and has not been seen in another state since.
    was_ended: bool = False
    # The server answered when it was handed over, or has since.
    has_answered: bool = False
    looks_gone: int = 0


class Follower(Generic[CandidateType]):
    """Looks for versions, hands them over and asks the server about them, a step at a time.

    `candidates` returns what is there, the newest first; `admit` verifies a candidate, checks it, and hands it over, or
    raises RefusedError; `status` asks the server.
    """

    def __init__(
        self,
        target: Target,
        *,
        candidates: Callable[[], Iterable[CandidateType]],
        admit: Callable[[CandidateType], object],
        status: Callable[[], ServerStatus],
        clock: Callable[[], float],
        load_timeout_seconds: float,
        pinned: frozenset[int] = frozenset(),
    ) -> None:
        # For the container's life.
        self._target = target
        self._candidates = candidates
        self._admit = admit
        self._status = status
        self._clock = clock
        self._load_timeout_seconds = load_timeout_seconds
        self._pinned = pinned
        # What was learnt; the refusals outlive a restart of the container.
        self._refusals = _read(target.home / REFUSALS)
        self._second_tries: set[str] = set()
        self._served: int | None = None
        self._trial: _Trial | None = None
        self._told = ""

    def step(self) -> None:
        """Take one look at the server, and one at the store where the server is settled; nothing escapes.

        What goes wrong is told once, and the next step tries again: a follower that stops would stop its pod.
        """
        try:
            self._step()
        except (LoaderError, StoreError) as error:
            self._tell_once(f"{error}; trying again")
        except Exception as error:  # noqa: BLE001 - see above
            self._tell_once(f"{type(error).__name__}: {error}; trying again")
        else:
            if self._told:
                tell(f"over: {self._told}")
            self._told = ""

    def _step(self) -> None:
        status = self._status()
        good = self._good()
        if self._trial is not None:
            self._judge(self._trial, status)
        elif good is not None and not _is_available(status, good):
            # Before anything newer: a server that is not up yet, or no more, could not be asked about it.
            self._begin_trial(good, status, is_new=False)
        else:
            self._settle(good, status)
            self._look(good, status)

    def _settle(self, good: int | None, status: ServerStatus) -> None:
        """Take notice of what the server serves."""
        if good is not None and self._served != good:
            self._confirm(good)
        for version in self._versions() if good is None else ():
            # Nothing could take its place, so it stayed; and the server could load it in the end.
            if _is_available(status, version):
                self._forget(version)

    def _look(self, good: int | None, status: ServerStatus) -> None:
        """Hand over the newest version that was not refused, if it is newer than the good one."""
        for candidate in self._candidates():
            # The newest come first: what follows is older still.
            if good is not None and candidate.version <= good:
                return
            refusal = self._refusals.get(candidate.version)
            # Files that changed since are another model under the same number, and are tried.
            if refusal is not None and refusal.source == candidate.source:
                continue
            if self._hand_over(candidate):
                self._begin_trial(candidate.version, status, is_new=True)
                return

    def _hand_over(self, candidate: CandidateType) -> bool:
        tell(f"{candidate} is new")
        try:
            self._admit(candidate)
        except RefusedError as error:
            self._refuse(candidate.version, Refusal(candidate.source, str(error)))
            return False
        self._forget(candidate.version)
        # What could not be served stayed as long as nothing could take its place.
        for version in self._versions():
            if version in self._refusals:
                self._target.remove(version)
        return True

    def _begin_trial(self, version: int, status: ServerStatus, *, is_new: bool) -> None:
        """Ask the server about a version from now on; `status` is from before a new one was handed over."""
        known = status.versions.get(version)
        is_ended = is_new and known is not None and known.state == END
        self._trial = _Trial(version, self._clock(), was_ended=is_ended, has_answered=bool(status.versions))

    def _judge(self, trial: _Trial, status: ServerStatus) -> None:
        waited_seconds = self._clock() - trial.began
        trial.has_answered = trial.has_answered or bool(status.versions)
        # In a row: a server that answers in between was not ended by the version.
        trial.looks_gone = trial.looks_gone + 1 if status.is_gone else 0
        known = status.versions.get(trial.version)
        # From here on an end is this trial's own.
        if known is not None and known.state != END:
            trial.was_ended = False
        if _is_available(status, trial.version):
            self._confirm(trial.version)
        elif trial.version == self._served:
            # It could be loaded: that the server is not up now has other reasons.
            return
        elif known is not None and known.state == END and not (trial.was_ended and waited_seconds < OLD_END_SECONDS):
            self._withdraw(trial, f"the server cannot load it ({known.reason or 'it says no reason'})")
        elif trial.has_answered and trial.looks_gone >= LOOKS_TO_BE_GONE and self._others(trial.version):
            self._withdraw(trial, "the server ended while it was loading it: see whether its memory is enough")
        elif waited_seconds >= self._load_timeout_seconds:
            reason = f"the server has not loaded it within {waited_seconds:.0f} s (loader.loadTimeoutSeconds)"
            self._withdraw(trial, reason, is_final=trial.has_answered)
        elif waited_seconds >= SUPERSEDE_SECONDS and self._others(trial.version):
            self._supersede(trial)

    def _confirm(self, version: int) -> None:
        """Have the other versions go: the server serves this one."""
        # Only now: until a server serves the new version, the old files are what it would start with again.
        self._trial, self._served = None, version
        for other in self._others(version):
            self._target.remove(other)
        tell(f"version {version} of {self._target.name} is served")
        # A server that never answered has not judged what it was given: now that one is up, it is tried once more.
        for other, refusal in list(self._refusals.items()):
            if not refusal.is_final and refusal.source not in self._second_tries:
                self._second_tries.add(refusal.source)
                self._forget(other)

    def _withdraw(self, trial: _Trial, reason: str, *, is_final: bool = True) -> None:
        self._trial = None
        source = self._target.source(trial.version)
        others = self._others(trial.version)
        fate = f"version {max(others)} goes on being served" if others else "nothing can take its place yet"
        text = f"version {trial.version} of {self._target.name} is taken back: {reason}; {fate}"
        # Refused before it is removed: a container that ends in between must not take it for the good one.
        self._refuse(trial.version, Refusal(source, text, is_final))
        if others:
            self._target.remove(trial.version)

    def _supersede(self, trial: _Trial) -> None:
        """Let a newer version go first where there is one; this one is not refused, and may come after it."""
        for candidate in self._candidates():
            if candidate.version <= trial.version:
                return
            refusal = self._refusals.get(candidate.version)
            if refusal is None or refusal.source != candidate.source:
                tell(f"version {trial.version} of {self._target.name} is not loaded yet, {candidate} goes first")
                self._target.remove(trial.version)
                self._trial = None
                return

    def _versions(self) -> list[int]:
        return [version for version in self._target.versions() if version not in self._pinned]

    def _others(self, version: int) -> list[int]:
        return [other for other in self._versions() if other != version]

    def _good(self) -> int | None:
        """Return the newest version that is handed over and was not refused."""
        return max((version for version in self._versions() if version not in self._refusals), default=None)

    def _refuse(self, version: int, refusal: Refusal) -> None:
        tell(refusal.reason)
        self._refusals[version] = refusal
        self._write()

    def _forget(self, version: int) -> None:
        if self._refusals.pop(version, None) is not None:
            self._write()

    def _write(self) -> None:
        content = {str(version): asdict(refusal) for version, refusal in sorted(self._refusals.items())}
        # What cannot be kept is found out again after a restart.
        with contextlib.suppress(OSError):
            (self._target.home / REFUSALS).write_text(json.dumps(content), encoding="utf-8")

    def _tell_once(self, text: str) -> None:
        if text != self._told:
            tell(text)
        self._told = text


def _is_available(status: ServerStatus, version: int) -> bool:
    known = status.versions.get(version)
    return known is not None and known.state == AVAILABLE


def _read(path: Path) -> dict[int, Refusal]:
    try:
        content = json.loads(path.read_bytes())
        return {int(version): Refusal(**refusal) for version, refusal in content.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}
