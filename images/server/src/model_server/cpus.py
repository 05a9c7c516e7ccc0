"""The CPUs this process may use: the container's limit, not the node's count."""

from __future__ import annotations

import os
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")


def usable(cgroup: Path = CGROUP) -> int:
    """Return the number of CPUs, at least 1: those of the affinity mask, and no more than the cgroup's quota."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota, period = _limit(cgroup)
    return min(count, max(1, -(-quota // period))) if quota > 0 else count


def _limit(cgroup: Path) -> tuple[int, int]:
    """Return quota and period in microseconds from cgroup v2 or v1; a quota of -1 is none."""
    v2, v1 = cgroup / "cpu.max", cgroup / "cpu"
    try:
        if v2.exists():
            quota, period = v2.read_text(encoding="ascii").split()
            return -1 if quota == "max" else int(quota), int(period)
        if (v1 / "cpu.cfs_quota_us").exists():
            return int((v1 / "cpu.cfs_quota_us").read_text()), int((v1 / "cpu.cfs_period_us").read_text())
    except (OSError, ValueError):
        pass
    return -1, 1
