"""The models and their versions over time: found, loaded, served, let go; there is always one while there can be.

The rules are upstream's AvailabilityPreservingPolicy (core/availability_preserving_policy.cc): the highest new version
is loaded first, and an old one goes only when a wanted one is available, when nothing is wanted any more, or when
another old one is available still.
"""

from __future__ import annotations

import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from model_server import metrics, versions
from model_server.outcomes import Outcomes
from serving_codec.status import Code, ServingError, invalid_argument
from serving_http import memory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from model_server.model_config import ModelConfig
    from model_server.saved_model import Runner
    from serving_codec.paths import Choice

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
    """One version: where it is on disk, its state, whether it is wanted, and how many requests hold it."""

    number: int
    path: Path
    state: State = State.START
    is_wanted: bool = True
    error: ServingError | None = None
    model: Runner | None = None
    requests: int = 0
    outcomes: Outcomes = field(default_factory=Outcomes)
    # How each signature is called, once it has been: see predict.Plan.
    plans: dict[str, Any] = field(default_factory=dict)

    @property
    def runner(self) -> Runner:
        """Return the loaded model of a held version."""
        if self.model is None:
            raise ServingError(Code.NOT_FOUND, f"Servable not found for request: version {self.number}")
        return self.model


@dataclass
class Model:
    """One model: what is configured, and what there is. `is_listed` is False once a reload has left it out."""

    config: ModelConfig
    versions: dict[int, Version] = field(default_factory=dict)
    is_listed: bool = True

    def in_state(self, state: State) -> list[Version]:
        """Return the versions in a state."""
        return [version for version in self.versions.values() if version.state is state]


@dataclass(frozen=True)
class Retries:
    """How often a failed load is tried again, and after how many seconds."""

    count: int
    interval_seconds: float


@dataclass(frozen=True)
class Threads:
    """How many loads run side by side at the start and later, and how many unloads."""

    start: int
    load: int
    unload: int


class _Hold:
    """One request's hold on a version, from its making to the end of the block. A generator's takes 3 us more."""

    __slots__ = ("_changed", "_lock", "_version")

    def __init__(self, version: Version, lock: threading.RLock, changed: threading.Condition) -> None:
        self._version = version
        self._lock = lock
        self._changed = changed

    def __enter__(self) -> Version:
        return self._version

    def __exit__(self, *_: object) -> None:
        version = self._version
        with self._lock:
            version.requests -= 1
            if not version.requests and version.state is State.UNLOADING:
                self._changed.notify_all()


class Manager:
    """Every model of the server."""

    def __init__(
        self, load: Callable[[Path], Runner], retries: Retries, threads: Threads, *, labels_may_lead: bool = False
    ) -> None:
        # For the life of the process. `load` returns a warm model or raises ServingError.
        self._load = load
        self._retries = retries
        self._threads = threads
        self._labels_may_lead = labels_may_lead
        self._stop = threading.Event()
        self._reloading = threading.Lock()
        self._loads = ThreadPoolExecutor(threads.start, thread_name_prefix="load")
        self._unloads = ThreadPoolExecutor(max(1, threads.unload), thread_name_prefix="unload")
        # As models and versions come and go, guarded by the condition.
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._models: dict[str, Model] = {}
        self._poll_seconds = 0
        self._told: dict[str, list[str]] = {}

    # ---- requests

    def hold(self, name: str, choice: Choice) -> _Hold:
        """Yield an available version, which stays loaded while it is held; raise ServingError in upstream's words."""
        # The lock itself: by its condition it takes 1 us more, twice for each request.
        with self._lock:
            version = self._find(name, choice)
            version.requests += 1
        return _Hold(version, self._lock, self._changed)

    def state_of(self, name: str) -> bool | None:
        """Tell whether a model has an available version; None for one that was never configured."""
        with self._changed:
            model = self._models.get(name)
            return bool(model.in_state(State.AVAILABLE)) if model else None

    def names(self) -> list[str]:
        """Return the names of the models that are configured."""
        with self._changed:
            return [name for name, model in self._models.items() if model.is_listed]

    def status(self, name: str, choice: Choice) -> list[Version]:
        """Return the known versions, highest first; raise NOT_FOUND when there is none."""
        with self._changed:
            number = self._number(name, choice)
            model = self._models.get(name)
            found = sorted(model.versions.values(), key=lambda version: -version.number) if model else []
        if number is not None:
            found = [version for version in found if version.number == number]
            if not found:
                raise ServingError(Code.NOT_FOUND, f"Could not find version {number} of model {name}")
        if not found:
            raise ServingError(Code.NOT_FOUND, f"Could not find any versions of model {name}")
        return found

    def _find(self, name: str, choice: Choice) -> Version:
        number = choice.number if choice.label is None else self._number(name, choice)
        model = self._models.get(name)
        ready = model.in_state(State.AVAILABLE) if model else []
        if number is None and len(ready) == 1:
            return ready[0]
        if number is not None:
            ready = [version for version in ready if version.number == number]
        if not ready:
            asked = f"Latest({name})" if number is None else f"Specific({name}, {number})"
            raise ServingError(Code.NOT_FOUND, f"Servable not found for request: {asked}")
        return max(ready, key=lambda version: version.number)

    def _number(self, name: str, choice: Choice) -> int | None:
        if choice.label is None:
            return choice.number
        model = self._models.get(name)
        if model is None or not model.is_listed or choice.label not in model.config.labels:
            raise invalid_argument(f"Unrecognized servable version label: {choice.label}")
        return model.config.labels[choice.label]

    # ---- life

    def start(self, configs: Sequence[ModelConfig], poll_seconds: int) -> None:
        """Load every model before returning, then follow the disk; raise ServingError when one cannot be.

        A model without any version is waited for, as upstream does. Polling once (0) or never (below 0) are upstream's
        too.
        """
        self._poll_seconds = poll_seconds
        if poll_seconds > 0:
            threading.Thread(target=self._follow, args=(poll_seconds,), name="versions", daemon=True).start()
        try:
            self.reload(configs, "servable(s)")
        finally:
            loads, self._loads = self._loads, ThreadPoolExecutor(max(1, self._threads.load), thread_name_prefix="load")
            loads.shutdown(wait=False)

    def reload(
        self, configs: Sequence[ModelConfig], noun: str = "model(s)", within_seconds: float | None = None
    ) -> None:
        """Replace the configuration; return when each new model has a version, raise ServingError when one cannot.

        Models left out are unloaded. There is no way back, as upstream has it; `within_seconds` ends the wait alone.
        """
        new = self.replace(configs)
        with self._changed:
            self._changed.wait_for(lambda: self._stop.is_set() or self._are_settled(new), within_seconds)
            self._raise_failures(new, noun)

    def replace(self, configs: Sequence[ModelConfig]) -> list[str]:
        """Replace the configuration and set out to load; return the new models' names, raise ServingError.

        One replacement at a time: nobody waits for the models of another one.
        """
        with self._reloading:
            with self._changed:
                new = [config.name for config in configs if not self._is_listed(config.name)]
                self._check_labels(configs)
                self._replace(configs)
            if self._poll_seconds >= 0:
                self.poll()
            return new

    def is_settled(self, names: Sequence[str]) -> bool:
        """Tell whether each of these models has a version or none to come; raise ServingError when one has failed."""
        with self._changed:
            if not (self._stop.is_set() or self._are_settled(names)):
                return False
            self._raise_failures(names, "model(s)")
            return True

    def stop(self) -> None:
        """Stop looking for versions and loading them."""
        self._stop.set()
        with self._changed:
            self._changed.notify_all()

    def poll(self) -> None:
        """Look at the disk once and set out to load what is wanted and to let go of what is not."""
        with self._changed:
            configs = [model.config for model in self._models.values() if model.is_listed]
        for config in configs:
            # A path that cannot be read changes nothing for its model, and nothing for the others.
            found, problems = _discover(config)
            self._tell(config.name, problems)
            if found is None:
                continue
            with self._changed:
                # Unless a reload has replaced what was looked for.
                model = self._models[config.name]
                if model.is_listed and model.config is config:
                    self._want(config.name, config.policy.wanted(found))

    def _tell(self, name: str, problems: list[str]) -> None:
        """Log what is wrong with a model's path, once until it changes."""
        if self._told.get(name) != problems:
            self._told[name] = problems
            for problem in problems:
                LOG.warning(problem)

    def _follow(self, poll_seconds: int) -> None:
        while not self._stop.wait(poll_seconds):
            try:
                self.poll()
            except Exception:
                LOG.exception("looking for versions failed")

    # ---- configuration, under the condition

    def _is_listed(self, name: str) -> bool:
        return name in self._models and self._models[name].is_listed

    def _check_labels(self, configs: Iterable[ModelConfig]) -> None:
        """Raise FAILED_PRECONDITION for a label of a version that is not there to be predicted with."""
        for config in configs:
            model = self._models.get(config.name)
            known = model.config.labels if model and model.is_listed else {}
            for label, number in config.labels.items():
                is_available = model is not None and any(
                    version.number == number for version in model.in_state(State.AVAILABLE)
                )
                is_new_or_same = known.get(label, number) == number
                if not is_available and not (self._labels_may_lead and is_new_or_same):
                    raise ServingError(
                        Code.FAILED_PRECONDITION,
                        f"Request to assign label to version {number} of model {config.name}, which is not currently "
                        "available for inference",
                    )

    def _replace(self, configs: Sequence[ModelConfig]) -> None:
        listed = {config.name for config in configs}
        for config in configs:
            model = self._models.setdefault(config.name, Model(config))
            metrics.tell_apart(config.name)
            model.config, model.is_listed = config, True
        for name, model in self._models.items():
            if name not in listed:
                model.is_listed = False
                self._want(name, {})

    def _are_settled(self, names: Iterable[str]) -> bool:
        return all(_is_settled(self._models[name]) for name in names)

    def _raise_failures(self, names: Iterable[str], noun: str) -> None:
        """Raise UNKNOWN when models have no available version and one that failed; not when the server stops."""
        if self._stop.is_set():
            return
        failed = [
            f"{{{{name: {name} version: {version.number}}} due to error: {version.error}}}"
            for name in names
            if not self._models[name].in_state(State.AVAILABLE)
            for version in self._models[name].in_state(State.END)
            if version.is_wanted
        ]
        if failed:
            raise ServingError(
                Code.UNKNOWN, f"{len(failed)} {noun} did not become available: {{{', '.join(failed)}, }}"
            )

    # ---- versions, under the condition

    def _want(self, name: str, wanted: Mapping[int, Path]) -> None:
        """Mark which versions of a model are wanted and act on it."""
        model = self._models[name]
        for version in model.versions.values():
            version.is_wanted = version.number in wanted and (version.is_wanted or version.state is State.AVAILABLE)
        for number, path in sorted(wanted.items(), reverse=True):
            known = model.versions.get(number)
            # A version that failed is tried again when it comes back after having gone.
            if known is None or (known.state is State.END and not known.is_wanted):
                version = model.versions[number] = Version(number, path)
                self._loads.submit(self._bring_up, model, version)
        self._let_go(model)
        self._changed.notify_all()

    def _let_go(self, model: Model) -> None:
        """Unload available versions that are not wanted, the lowest first, as far as the model stays available."""
        ready = model.in_state(State.AVAILABLE)
        surplus = sorted((version for version in ready if not version.is_wanted), key=lambda version: version.number)
        is_served_without = len(surplus) < len(ready)
        is_wanted_at_all = any(version.is_wanted for version in model.versions.values())
        spare = surplus if is_served_without or not is_wanted_at_all else surplus[:-1]
        for version in spare:
            version.state = State.UNLOADING
            self._unloads.submit(self._take_down, model, version)

    # ---- versions, on the executors' threads

    def _bring_up(self, model: Model, version: Version) -> None:
        name = model.config.name
        self._set(version, State.LOADING if version.is_wanted else State.END)
        attempts = 0
        while version.is_wanted and not self._stop.is_set():
            start = time.monotonic()
            try:
                loaded = self._load(version.path)
            except ServingError as error:
                LOG.error("Loading servable: {name: %s version: %d} failed: %s", name, version.number, error)
                version.error = error
            except Exception as error:
                LOG.exception("Loading servable: {name: %s version: %d} failed", name, version.number)
                version.error = ServingError(Code.INTERNAL, str(error))
            else:
                self._make_available(model, version, loaded)
                LOG.info(
                    "Successfully loaded servable version {name: %s version: %d} in %.2f s",
                    name,
                    version.number,
                    time.monotonic() - start,
                )
                return
            attempts += 1
            if attempts > self._retries.count:
                break
            self._pause(version)
        self._set(version, State.END)

    def _pause(self, version: Version) -> None:
        """Wait until the next try is due, or the version is wanted no more."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._stop.is_set() or not version.is_wanted, max(0.0, self._retries.interval_seconds)
            )

    def _make_available(self, model: Model, version: Version, loaded: Runner) -> None:
        with self._changed:
            version.model, version.error, version.state = loaded, None, State.AVAILABLE
            self._let_go(model)
            self._changed.notify_all()

    def _take_down(self, model: Model, version: Version) -> None:
        with self._changed:
            self._changed.wait_for(lambda: version.requests == 0)
            loaded, version.model = version.model, None
        if loaded is not None:
            loaded.close()
            del loaded
            memory.give_back()
        self._set(version, State.END)
        LOG.info("Done unloading servable version {name: %s version: %d}", model.config.name, version.number)

    def _set(self, version: Version, state: State) -> None:
        with self._changed:
            version.state = state
            self._changed.notify_all()


def _discover(config: ModelConfig) -> tuple[dict[int, Path] | None, list[str]]:
    """Return the versions on disk, None where the path cannot be read, and what is wrong in upstream's words."""
    name, base_path = config.name, config.base_path
    try:
        found = versions.discover(Path(base_path.removeprefix("file://")))
    except OSError as error:
        return None, [f"Could not find base path {base_path} for servable {name} with error {error.strerror}"]
    problems = [
        f"Version {number} of servable {name}, which was requested, is not in {base_path}"
        for number in config.policy.missing(found)
    ]
    if not found:
        problems.append(
            f"No versions of servable {name} found under base path {base_path}. Did you forget to name your leaf "
            "directory as a number (eg. '/1/')?"
        )
    return found, problems


def _is_settled(model: Model) -> bool:
    """Tell whether a model has an available version, or tried all it wants."""
    if model.in_state(State.AVAILABLE):
        return True
    wanted = [version for version in model.versions.values() if version.is_wanted]
    return not model.is_listed or (bool(wanted) and all(version.state is State.END for version in wanted))
