"""`model-loader`: wait, verify, hand over."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from typing import TYPE_CHECKING, NoReturn

from model_loader import config, handover, ssl_config, verification
from model_loader.errors import LoaderError, NotPublishedError
from model_loader.store import DirectoryStore

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from model_loader.config import Config
    from model_loader.store import Store, Wanted

POLL_SECONDS = 1.0
TELL_SECONDS = 30.0


def main(arguments: Sequence[str]) -> int:
    """Run the loader; return 0, or a LoaderError's exit code after telling its sentence."""
    signal.signal(signal.SIGTERM, _stop)
    termination_log: Path | None = None
    try:
        options = config.parse(arguments, os.environ)
        termination_log = options.termination_log
        load(options, DirectoryStore(options.model_store))
    except LoaderError as error:
        print(f"model-loader: {error}", file=sys.stderr, flush=True)
        _leave_reason(termination_log, str(error))
        return error.exit_code
    return 0


def load(options: Config, store: Store) -> None:
    """Wait for the wanted versions, verify them and hand them over; raise LoaderError when that cannot be."""
    target = options.target / options.wanted.name
    if options.tls_dir is not None:
        ssl_config.write(options.tls_dir, options.ssl_config, client_verify=options.client_verify)
        _tell(f"SSLConfig is at {options.ssl_config}")
    folder = wait(options, options.wanted, store)
    if options.manifest_only:
        verification.read_manifest(folder)
        _tell(f"manifest of {folder} is at {handover.copy_manifest(folder, target)}")
        return
    for served in (folder, *(wait(options, further, store) for further in options.further)):
        if options.verify:
            start = time.monotonic()
            count = verification.verify(served)
            _tell(f"verified {count} files of {served} in {time.monotonic() - start:.2f} s")
        _tell(f"serving {handover.link_version(served, target)}")
    handover.copy_manifest(folder, target)


def wait(options: Config, wanted: Wanted, store: Store) -> Path:
    """Return a version's directory once it is published; raise NotPublishedError after the timeout."""
    start = time.monotonic()
    told = start - TELL_SECONDS
    while (folder := store.find(wanted)) is None:
        now = time.monotonic()
        if now - start >= options.timeout_seconds:
            raise NotPublishedError(
                f"{wanted} was not published in {options.model_store} within {options.timeout_seconds:g} s: "
                "see why the training Job did not end, or raise loader.timeoutSeconds"
            )
        if now - told >= TELL_SECONDS:
            place = f"{wanted} in {options.model_store}"
            _tell(f"waiting for {place} ({now - start:.0f} s); the training Job publishes it")
            told = now
        time.sleep(POLL_SECONDS)
    return folder


def _tell(line: str) -> None:
    print(line, flush=True)


def _leave_reason(path: Path | None, reason: str) -> None:
    if path is not None and path.exists():
        with contextlib.suppress(OSError):
            path.write_text(reason, encoding="utf-8")


def _stop(number: int, _frame: object) -> NoReturn:
    raise SystemExit(128 + number)


def run() -> NoReturn:
    """Run the command and exit."""
    raise SystemExit(main(sys.argv[1:]))


if __name__ == "__main__":
    run()
