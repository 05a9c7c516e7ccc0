"""What processes have taken of the processors, their children included (proc(5), stat)."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


def seconds_of(processes: Mapping[str, int]) -> dict[str, float]:
    """Return the seconds of user and system time of each process and all that descend from it, by name."""
    parents: dict[int, int] = {}
    ticks: dict[int, int] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        # Gone in between.
        with contextlib.suppress(OSError):
            parents[int(folder.name)], ticks[int(folder.name)] = parsed((folder / "stat").read_text(encoding="utf-8"))
    children: dict[int, list[int]] = {}
    for process, parent in parents.items():
        children.setdefault(parent, []).append(process)

    def total(process: int) -> int:
        return ticks.get(process, 0) + sum(map(total, children.get(process, ())))

    return {name: total(process) / _TICKS_PER_SECOND for name, process in processes.items()}


def parsed(stat: str) -> tuple[int, int]:
    """Return a process's parent and its ticks of user and system time.

    >>> parsed("7 (a name) of (its own) S 1 7 7 0 -1 4194560 1 0 0 0 30 12 0 0 20")
    (1, 42)
    """
    # The name may hold spaces and brackets; the last bracket ends it.
    fields = stat.rpartition(")")[2].split()
    return int(fields[1]), int(fields[11]) + int(fields[12])
