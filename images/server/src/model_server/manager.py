"""The versions of a model over time: found, loaded, served, let go; there is always one while there can be."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

from model_server import versions, warmup
from model_server.saved_model import SavedModel, SessionOptions
from model_server.status import Code, ServingError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LOG = logging.getLogger(__name__)


class State(Enum):
    """ModelVersionStatus.State (tensorflow_serving/apis/get_model_status.proto)."""

    START = 10
    LOADING = 20
    AVAILABLE = 30
    UNLOADING = 40
    END = 50


@dataclass
class Version:
    """One version: where it is on disk, its state, and how many requests hold it."""

    number: int
    path: Path
    state: State = State.START
    error: ServingError | None = None
    model: SavedModel | None = None
    requests: int = field(default=0)


@dataclass(frozen=True)
class LoadOptions:
    """How versions are loaded."""

    session: SessionOptions
    max_retries: int
    retry_interval_seconds: float
    warmup: bool
    warmup_iterations: int


class Manager:
    """One model's versions. The newest on disk is wanted; an old one serves until a newer one is available."""

    def __init__(self, name: str, base_path: Path, options: LoadOptions) -> None:
        # For the life of the process.
        self.name = name
        self._base_path = base_path
        self._options = options
        self._stop = threading.Event()
        # As versions come and go, guarded by the condition.
        self._changed = threading.Condition()
        self._versions: dict[int, Version] = {}

    # ---- requests

    @contextlib.contextmanager
    def hold(self, name: str, number: int | None) -> Iterator[Version]:
        """Yield an available version, which stays loaded while it is held; raise NOT_FOUND in upstream's words."""
        with self._changed:
            version = self._find(name, number)
            version.requests += 1
        try:
            yield version
        finally:
            with self._changed:
                version.requests -= 1
                if not version.requests:
                    self._changed.notify_all()

    def status(self, name: str, number: int | None) -> list[Version]:
        """Return the known versions, highest first; raise NOT_FOUND when there is none."""
        with self._changed:
            found = sorted(self._versions.values(), key=lambda version: -version.number) if name == self.name else []
        if number is not None:
            found = [version for version in found if version.number == number]
            if not found:
                raise ServingError(Code.NOT_FOUND, f"Could not find version {number} of model {name}")
        if not found:
            raise ServingError(Code.NOT_FOUND, f"Could not find any versions of model {name}")
        return found

    def _find(self, name: str, number: int | None) -> Version:
        ready = [
            version
            for version in self._versions.values()
            if version.state is State.AVAILABLE and number in {None, version.number}
        ]
        if name != self.name or not ready:
            asked = f"Latest({name})" if number is None else f"Specific({name}, {number})"
            raise ServingError(Code.NOT_FOUND, f"Servable not found for request: {asked}")
        return max(ready, key=lambda version: version.number)

    # ---- life

    def start(self, poll_seconds: int) -> None:
        """Load the newest version before returning, then follow the disk; raise ServingError when it cannot be.

        Without any version this waits, as upstream does, until there is one.
        """
        while not self._stop.is_set():
            if poll_seconds >= 0:
                self.poll()
            if any(version.state in {State.AVAILABLE, State.END} for version in self._versions.values()):
                break
            self._stop.wait(max(poll_seconds, 1))
        failed = [version for version in self._versions.values() if version.state is State.END]
        if failed and not any(version.state is State.AVAILABLE for version in self._versions.values()):
            raise ServingError(Code.UNKNOWN, _unavailable(self.name, failed))
        if poll_seconds > 0:
            threading.Thread(target=self._follow, args=(poll_seconds,), name="versions", daemon=True).start()

    def stop(self) -> None:
        """Stop looking for versions."""
        self._stop.set()

    def poll(self) -> None:
        """Look at the disk once: load what is wanted, then let go of what is not."""
        try:
            found = versions.discover(self._base_path)
        except OSError as error:
            LOG.error(
                "Could not find base path %s for servable %s with error %s",
                self._base_path,
                self.name,
                error.strerror,
            )
            return
        if not found:
            LOG.warning(
                "No versions of servable %s found under base path %s. Did you forget to name your leaf directory "
                "as a number (eg. '/1/')?",
                self.name,
                self._base_path,
            )
        wanted = {max(found): found[max(found)]} if found else {}
        self._load_new(wanted)
        self._unload_unwanted(set(wanted))

    def _follow(self, poll_seconds: int) -> None:
        while not self._stop.wait(poll_seconds):
            try:
                self.poll()
            except Exception:
                LOG.exception("looking for versions of %s failed", self.name)

    def _load_new(self, wanted: dict[int, Path]) -> None:
        for number, path in wanted.items():
            known = self._versions.get(number)
            # A version that failed is tried again when it comes back after having gone.
            if known is None or (known.state is State.END and known.error is None):
                version = Version(number, path)
                with self._changed:
                    self._versions[number] = version
                self._load(version)

    def _load(self, version: Version) -> None:
        self._set(version, State.LOADING)
        for attempt in range(self._options.max_retries + 1):
            try:
                self._load_once(version)
            except ServingError as error:
                version.error = error
                LOG.error("Loading servable: {name: %s version: %d} failed: %s", self.name, version.number, error)
                if attempt < self._options.max_retries and not version.path.is_dir():
                    break
                if attempt < self._options.max_retries and self._options.retry_interval_seconds > 0:
                    self._stop.wait(self._options.retry_interval_seconds)
            else:
                version.error = None
                self._set(version, State.AVAILABLE)
                LOG.info("Successfully loaded servable version {name: %s version: %d}", self.name, version.number)
                return
            if self._stop.is_set():
                break
        self._set(version, State.END)

    def _load_once(self, version: Version) -> None:
        start = time.monotonic()
        model = SavedModel(version.path, self._options.session)
        try:
            count = warmup.replay(model, self._options.warmup_iterations) if self._options.warmup else 0
        except BaseException:
            model.close()
            raise
        version.model = model
        LOG.info("loaded %s with %d warm-up records in %.2f s", version.path, count, time.monotonic() - start)

    def _unload_unwanted(self, wanted: set[int]) -> None:
        """Unload available versions that are not wanted, once a wanted one is available or nothing is wanted."""
        has_successor = any(
            version.state is State.AVAILABLE for number, version in self._versions.items() if number in wanted
        )
        for version in list(self._versions.values()):
            if version.number in wanted:
                continue
            if version.state is State.AVAILABLE and (has_successor or not wanted):
                self._unload(version)
            elif version.state is State.END:
                version.error = None

    def _unload(self, version: Version) -> None:
        with self._changed:
            version.state = State.UNLOADING
            self._changed.wait_for(lambda: version.requests == 0)
            model, version.model = version.model, None
        if model is not None:
            model.close()
        self._set(version, State.END)
        LOG.info("Done unloading servable version {name: %s version: %d}", self.name, version.number)

    def _set(self, version: Version, state: State) -> None:
        with self._changed:
            version.state = state
            self._changed.notify_all()


def _unavailable(name: str, failed: list[Version]) -> str:
    told = ", ".join(
        f"{{{{name: {name} version: {version.number}}} due to error: {version.error}}}" for version in failed
    )
    return f"{len(failed)} servable(s) did not become available: {{{told}, }}"
