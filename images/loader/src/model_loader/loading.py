"""From what is there to what is handed over: copied, verified, described, checked, and only then visible."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from model_download.quantity import shown
from model_loader import admission, format_1
from model_loader.errors import LoaderError, NotThereError, RefusedError
from model_store.errors import StoreError, TooLargeError, VerificationError
from model_store.telling import tell

if TYPE_CHECKING:
    from collections.abc import Callable

    from model_loader.config import Config
    from model_loader.handover import Target
    from model_loader.reason import Reason
    from model_loader.search import Candidate, Search
    from model_store.store import Fetched, Wanted

TELL_SECONDS = 30.0


class _BeingWrittenError(Exception):
    """The newest version is not complete yet."""


@dataclass(frozen=True)
class Loading:
    """Hands versions over to one target; `clock` and `pause` are time's."""

    config: Config
    target: Target
    reason: Reason
    clock: Callable[[], float] = time.monotonic
    pause: Callable[[float], object] = time.sleep

    def wait(self, search: Search, wanted: Wanted, *, keep: frozenset[int] = frozenset()) -> int:
        """Hand over the newest good version that is wanted, as soon as there is one, and return its number.

        Raise RefusedError when none of those that are there is good, NotThereError after the time is over. Versions
        that are neither wanted nor to `keep` go: the server would serve them.
        """
        start = self.clock()
        told = start - TELL_SECONDS
        while True:
            trouble = ""
            try:
                version = self._hand_over_newest(search, wanted, keep)
            except (StoreError, _BeingWrittenError) as error:
                # Storage comes and goes: it has as long as a model has.
                version, trouble = None, f"{error}; "
            if version is not None:
                return version
            now = self.clock()
            if now - told >= TELL_SECONDS:
                self.tell_waiting(f"waiting since {now - start:.0f} s: {trouble}{search.look(wanted)}")
                told = now
            if now - start >= self.config.timeout_seconds:
                raise NotThereError(
                    f"{wanted} was not there within {self.config.timeout_seconds:g} s: {trouble}{search.look(wanted)}: "
                    f"{search.no_model}, or raise loader.timeoutSeconds"
                )
            self.pause(self.config.poll_seconds)

    def admit(self, candidate: Candidate) -> None:
        """Hand over a version; raise RefusedError when it is not as it must be, StoreError when it cannot be read.

        What is handed over is a copy: the store may change afterwards, and what the server reads does not.
        """
        start = self.clock()
        partial = self.target.partial(str(candidate.version))
        self.target.check_room(candidate.size_bytes(), str(candidate))
        try:
            fetched = candidate.fetch(partial, verify=self.config.verify, limit_bytes=self.target.left_bytes())
            if not fetched.is_verified and candidate.has_changed():
                # Nothing else would tell that the copy is of two states.
                raise StoreError(f"{candidate} was written to while it was copied")
            is_described = self._describe(fetched, candidate)
            admission.check(partial, self.config.signature_name, self.config.model_task, str(candidate))
            folder = self.target.hand_over(partial, candidate.version, candidate.source)
        except TooLargeError as error:
            raise RefusedError(f"{candidate} is not handed over: {error} (loader.sizeLimit): raise it") from error
        except VerificationError as error:
            raise RefusedError(f"{candidate} is not handed over: {error}") from error
        finally:
            self.target.discard(partial)
        described = ", described by its manifest of format 1" if is_described else ""
        copied = f"{fetched.file_count} files, {shown(fetched.size_bytes)}, in {self.clock() - start:.2f} s"
        tell(f"{candidate} {self._checked(fetched.is_verified)}: {copied}{described}; handed over as {folder}")

    def tell_waiting(self, sentence: str) -> None:
        """Tell why it is not done yet, in the log and in the termination message."""
        # First of all for a container that is killed while it waits.
        self.reason.leave(sentence)
        tell(sentence)

    def _describe(self, fetched: Fetched, candidate: Candidate) -> bool:
        if fetched.manifest is None:
            return False
        return format_1.describe(fetched.folder, fetched.manifest, self.config.signature_name, str(candidate))

    def _hand_over_newest(self, search: Search, wanted: Wanted, keep: frozenset[int]) -> int | None:
        refused: list[LoaderError] = []
        for candidate in search.candidates(wanted):
            if not search.is_settled(candidate):
                raise _BeingWrittenError(f"{candidate} is being written")
            try:
                self._hand_over(candidate, keep)
            except RefusedError as error:
                tell(str(error))
                refused.append(error)
            else:
                return candidate.version
        if refused:
            raise refused[0]
        return None

    def _hand_over(self, candidate: Candidate, keep: frozenset[int]) -> None:
        for version in self.target.versions():
            if version != candidate.version and version not in keep:
                self.target.remove(version)
        if self.target.is_right(candidate.version, candidate.source):
            tell(f"{candidate} is handed over already")
        else:
            # Damaged, or of another source: nobody reads it, and it would take the room.
            self.target.remove(candidate.version)
            self.admit(candidate)

    def _checked(self, is_verified: bool) -> str:  # noqa: FBT001 - reads as a claim
        if is_verified:
            return "is verified"
        if not self.config.verify:
            return "is copied, not verified (modelStore.verify.enabled is false)"
        return "is copied, not verified: there is no manifest beside it"
