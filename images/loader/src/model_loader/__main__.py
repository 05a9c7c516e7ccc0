"""`model-loader`: wait, verify, hand over; with --follow, stay and hand over what is newer."""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from model_loader import config, search, server_status, ssl_config, uri_source
from model_loader.errors import LoaderError
from model_loader.follow import Follower
from model_loader.handover import Target
from model_loader.loading import Loading
from model_loader.reason import Reason
from model_store.errors import StoreError
from model_store.names import shown
from model_store.store import Wanted
from model_store.telling import tell

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from model_loader.config import Config

# Until the flags are read.
TERMINATION_LOG = Path("/dev/termination-log")


class _Stopped(BaseException):
    """SIGTERM or SIGINT: no Exception, so that nothing on the way out takes it for a failure of its own."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def main(arguments: Sequence[str]) -> int:
    """Run the loader; return its exit code.

    0: handed over (a follower: stopped); 1: not there in time; 2: bad flags, or a model that is not handed over;
    128 + n after signal n. The reason of a failure is one sentence, in the log and in the termination message.
    """
    reason = Reason(TERMINATION_LOG)
    is_follower = False
    try:
        options = config.parse(arguments)
        reason, is_follower = Reason(options.termination_log), options.follow
        if is_follower:
            follow(options)
        load(options, reason)
    except LoaderError as error:
        return _fail(reason, str(error), error.exit_code)
    except StoreError as error:
        return _fail(reason, str(error), LoaderError.exit_code)
    except _Stopped as stopped:
        if is_follower:
            return 0
        # Why it still waited.
        reason.repeat()
        return 128 + stopped.number
    except Exception as error:  # noqa: BLE001 - nobody reads a traceback in `kubectl describe pod`
        return _fail(reason, f"unexpected {type(error).__name__}: {error}: please report it", LoaderError.exit_code)
    reason.leave("")
    return 0


def load(
    options: Config,
    reason: Reason,
    *,
    clock: Callable[[], float] = time.monotonic,
    pause: Callable[[float], object] = time.sleep,
) -> None:
    """Wait for the wanted versions and hand them over; raise LoaderError when that cannot be."""
    if options.tls_dir is not None:
        ssl_config.write(options.tls_dir, options.ssl_config, client_verify=options.client_verify)
        tell(f"SSLConfig is at {options.ssl_config}")
    target = _target(options)
    target.tidy()
    loading = Loading(options, target, reason, clock, pause)
    further = [Wanted(options.model_name, "", version) for version in options.further_versions]
    if options.source_uri:
        uri_source.load(loading, [_wanted(options), *further])
        return
    place = search.search(options)
    keep = {loading.wait(place, _wanted(options), keep=frozenset(options.further_versions))}
    for wanted in further:
        keep.add(loading.wait(place, wanted, keep=frozenset({*keep, *options.further_versions})))


def follow(options: Config) -> NoReturn:
    """Hand over each newer version, for ever."""
    target = _target(options)
    target.tidy()
    # A follower does not end because of a model: it has no reason to leave.
    loading = Loading(options, target, Reason(Path("/dev/null")))
    place = search.search(options)
    follower = Follower(
        target,
        candidates=lambda: (
            candidate for candidate in place.candidates(_wanted(options)) if place.is_settled(candidate)
        ),
        admit=loading.admit,
        status=lambda: server_status.ask(options.server_rest, options.model_name),
        clock=time.monotonic,
        load_timeout_seconds=options.load_timeout_seconds,
        pinned=frozenset(options.further_versions),
    )
    tell(f"following {_wanted(options)}, a look every {options.poll_seconds:g} s")
    while True:
        follower.step()
        time.sleep(options.poll_seconds)


def _target(options: Config) -> Target:
    return Target(options.target, options.model_name, options.size_limit)


def _wanted(options: Config) -> Wanted:
    return Wanted(options.model_name, options.model_key, options.model_version)


def _fail(reason: Reason, sentence: str, exit_code: int) -> int:
    print(f"model-loader: {shown(sentence)}", file=sys.stderr, flush=True)
    reason.leave(sentence)
    return exit_code


def _stop(number: int, _frame: object) -> NoReturn:
    raise _Stopped(number)


def run() -> NoReturn:
    """Run the command and exit."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _stop)
    raise SystemExit(main(sys.argv[1:]))


if __name__ == "__main__":
    run()
