"""`model-publisher check` before training, `model-publisher publish` after it."""

from __future__ import annotations

import json
import signal
import sys
import time
from typing import TYPE_CHECKING, Any, NoReturn

from model_publisher import candidate, config, gates, result_file, served, stores, workspace
from model_publisher.errors import NotGoodEnoughError, PassingError, PublisherError
from model_store import Keep, StoreError, UnsuitableError
from model_store.names import shown
from model_store.telling import leave_reason, tell

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from model_description.description import Description
    from model_publisher.config import Check, Publish
    from model_publisher.result_file import Result
    from model_store import Publisher

MAXIMUM_CONFIG_BYTES = 1 << 20


def main(arguments: Sequence[str]) -> int:
    """Run a command; return its exit code.

    0: done, or there was nothing to do; 2: bad input; 3: not good enough; 4: a fault that another try may heal; 128 + n
    after signal n. The reason of a failure is one sentence, in the log and in the termination message.
    """
    termination_log = config.TERMINATION_LOG
    try:
        options = config.parse(arguments)
        termination_log = options.termination_log
        if isinstance(options, config.Check):
            check(options)
        else:
            publish(options)
    except PublisherError as error:
        return _fail(termination_log, str(error), error.exit_code)
    except UnsuitableError as error:
        return _fail(termination_log, str(error), PublisherError.exit_code)
    except (StoreError, OSError) as error:
        return _fail(termination_log, str(error), PassingError.exit_code)
    return 0


def check(options: Check) -> None:
    """Leave the marker where the run is published already; else see that it can be, and fetch what it learns from."""
    publisher = stores.publisher(options)
    # First: a publisher that was killed after another one published leaves its directory, too.
    publisher.remove_abandoned()
    published = publisher.published_version(options.revision)
    if published is not None:
        tell(f"already published: {options.model_name}/{options.model_key}/{published}")
        options.marker.touch()
        return
    publisher.prepare()
    candidate.show_nothing(options.candidate)
    workspace.make(options.workspace, options.model_key, options.run)
    if options.data_uri:
        workspace.fetch(
            options.workspace,
            options.data_uri,
            options.data_sha256,
            address=stores.address(options),
            ca_bundle=options.ca_bundle or options.s3.ca_bundle,
            timeout_seconds=options.data_timeout_seconds,
        )
    run = f", run {options.revision}" if options.revision else ""
    tell(f"to be trained: {options.model_name}/{options.model_key}{run}")


def publish(options: Publish) -> None:
    """Publish what training left, if it passes its gates and the server beside blesses it."""
    if options.marker.exists():
        tell("already published: nothing to do")
        return
    result = result_file.read(options.result_file)
    publisher = stores.publisher(options)
    _hold_to_gates(options, result, publisher)
    home = options.candidate / options.model_name
    incoming = candidate.take(options.model_dir, home)
    description = candidate.describe(
        incoming, result, options.signature_name, options.model_key, _parameters(options.training_config)
    )
    candidate.place(incoming, home)
    if options.blessing:
        _bless(options, description, home)
    version = _publish(publisher, home / str(candidate.VERSION), description.created, options.revision)
    tell(f"published {options.model_name}/{options.model_key}/{version}")
    _retain(options, publisher)
    workspace.forget_checkpoints(options.workspace, options.model_key, options.run)


def _hold_to_gates(options: Publish, result: Result, publisher: Publisher) -> None:
    held = gates.parse(options.gates if options.gates is not None else json.dumps(result.gates or []))
    told = " ".join(f"{name} {value:.6g}" for name, value in sorted(result.metrics.items()))
    tell(f"metrics: {told or 'none are reported'}")
    in_service = _served(options, publisher) if gates.needs_served(held) else None
    failures = gates.failures(held, result.metrics, result.description.data.get("sha256", ""), in_service)
    if failures:
        raise NotGoodEnoughError(f"{'; '.join(failures)}: nothing was published")
    if held:
        tell(f"gates: {len(held)} passed")


def _served(options: Publish, publisher: Publisher) -> gates.Served | None:
    """Return what the model in service says of itself, None where nothing was ever published."""
    try:
        found = served.ask(options.served_rest, options.model_name)
    except served.NoAnswerError as error:
        if not publisher.has_any():
            tell(f"gates: nothing is published yet of {options.model_name}, so there is nothing to compare with")
            return None
        raise PassingError(
            f"a gate compares with the model in service, and {options.served_rest} does not answer for "
            f"{options.model_name} ({error}), although there are published versions: see the server's pods, or leave "
            "notWorseThan out of training.gates"
        ) from error
    tell(f"gates: version {found.version} is in service")
    return found


def _bless(options: Publish, description: Description, home: Path) -> None:
    # grpc takes half a second to import: only after everything that can be refused without it.
    from model_publisher.blessing import Blessing  # noqa: PLC0415

    Blessing(
        options.server_grpc,
        options.model_name,
        options.blessing_timeout_seconds,
        options.absolute_tolerance,
        options.relative_tolerance,
    ).give(description, lambda: candidate.show(home))


def _publish(publisher: Publisher, folder: Path, created: str, revision: str) -> int:
    start = time.monotonic()
    publisher.prepare()
    version = publisher.publish(folder, created=created, packages={}, revision=revision)
    tell(f"stored in {time.monotonic() - start:.2f} s")
    return version


def _retain(options: Publish, publisher: Publisher) -> None:
    keep = Keep(options.keep_versions, options.keep_keys, options.pinned_versions)
    try:
        removed = publisher.retain(keep)
    except StoreError as error:
        # The model is published; what is too much goes the next time.
        tell(f"old versions stay: {error}")
        return
    for what, names in (("version", removed.versions), ("damaged version", removed.damaged), ("key", removed.keys)):
        if names:
            tell(f"removed {what} {', '.join(map(str, names))}")


def _parameters(path: Path | None) -> Mapping[str, Any]:
    if path is None:
        return {}
    try:
        with path.open("rb") as file:
            content = json.loads(file.read(MAXIMUM_CONFIG_BYTES))
    except (OSError, ValueError, RecursionError) as error:
        raise PublisherError(f"--training-config {path} cannot be read: {error}") from error
    parameters = content.get("parameters") if isinstance(content, dict) else None
    return parameters if isinstance(parameters, dict) else {}


def _fail(termination_log: Path, sentence: str, exit_code: int) -> int:
    print(f"model-publisher: {shown(sentence)}", file=sys.stderr, flush=True)
    leave_reason(termination_log, sentence)
    return exit_code


def _stop(number: int, _frame: object) -> NoReturn:
    # An exception, so that what is half published is removed on the way out.
    raise SystemExit(128 + number)


def run() -> NoReturn:
    """Run the command and exit."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _stop)
    raise SystemExit(main(sys.argv[1:]))


if __name__ == "__main__":
    run()
