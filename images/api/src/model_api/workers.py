"""Processes that serve one port: started, started again when they are killed, stopped together.

The first process of a container takes the container with it when it is killed, and until Kubernetes has noticed, its
address refuses connections. So it only holds the sockets, and who connects while nobody serves waits in their queue.
"""

from __future__ import annotations

import dataclasses
import logging
import os
import signal
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Sequence

    from model_api.config import Config

    Work = Callable[[socket.socket], int]

LOG = logging.getLogger(__name__)
STOP_SIGNALS = frozenset({signal.SIGTERM, signal.SIGINT})
WATCHED = STOP_SIGNALS | {signal.SIGCHLD}
# A worker that fails sooner would fail again: the port is taken, or a file cannot be read.
START_SECONDS = 5.0
# Before one is started again: at once, unless the one before it was killed as soon as it had begun, too.
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.1, 1.0
FAILED = 1


def share_of(config: Config) -> Config:
    """Return the configuration of one of the workers: together they take what the whole one says."""
    count = config.workers
    return dataclasses.replace(
        config,
        max_held_body_bytes=max(config.max_body_bytes, config.max_held_body_bytes // count),
        max_held_answer_bytes=max(1, config.max_held_answer_bytes // count),
        max_connections=max(1, config.max_connections // count),
        max_requests=max(1, config.max_requests // count),
        queue_size=max(1, config.queue_size // count),
        queue_bytes=max(1, config.queue_bytes // count),
    )


@dataclasses.dataclass(frozen=True)
class _Worker:
    """A process: the listening socket it serves, when it was started (monotonic), and how many began in vain before."""

    listening: socket.socket
    started: float
    in_vain: int = 0

    @property
    def is_young(self) -> bool:
        """Tell whether it has only just begun."""
        return time.monotonic() - self.started < START_SECONDS


def run(sockets: Sequence[socket.socket], work: Work) -> int:
    """Run `work` in a process for each listening socket until a signal to stop; return 0, or why none can start.

    Call it before there are threads. A worker that dies later is replaced by one on its socket, and the others go on.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, WATCHED)
    workers = {_forked(work, one, sockets): _Worker(one, time.monotonic()) for one in sockets}
    code, is_stopping = 0, False
    while workers:
        got = signal.sigwait(WATCHED)
        if got in STOP_SIGNALS:
            is_stopping = True
            # From here on a port is open for as long as its worker takes connections.
            for one in sockets:
                one.close()
            _tell(workers, got)
            continue
        for pid, status in _ended(workers):
            ended = workers.pop(pid)
            if is_stopping:
                continue
            LOG.error("worker %d ended with %d", pid, status)
            # One that was killed, for its memory perhaps, is no sign that the next would fail.
            if status >= 0 and ended.is_young:
                code, is_stopping = status or FAILED, True
                _tell(workers, signal.SIGTERM)
            else:
                in_vain = ended.in_vain + 1 if ended.is_young else 0
                time.sleep(_pause_seconds(in_vain))
                workers[_forked(work, ended.listening, sockets)] = _Worker(ended.listening, time.monotonic(), in_vain)
    return code


def _pause_seconds(in_vain: int) -> float:
    return min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2 ** (in_vain - 2)) if in_vain > 1 else 0.0


def _forked(work: Work, listening: socket.socket, sockets: Sequence[socket.socket]) -> int:
    pid = os.fork()
    if pid:
        return pid
    code = FAILED
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, WATCHED)
        for other in sockets:
            if other is not listening:
                other.close()
        code = work(listening)
    except Exception:
        LOG.exception("a worker failed")
    finally:
        logging.shutdown()
        # Without what the parent has registered for its own end.
        os._exit(code)


def _tell(workers: dict[int, _Worker], number: int) -> None:
    for pid in workers:
        os.kill(pid, number)


def _ended(workers: dict[int, _Worker]) -> list[tuple[int, int]]:
    """Return the workers that have ended, and with what."""
    found = []
    for pid in list(workers):
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            found.append((pid, os.waitstatus_to_exitcode(status)))
    return found
