"""TensorFlow's own messages at its import, which would drown the story of a training."""

from __future__ import annotations

import os
from pathlib import Path

LEVEL, ONEDNN = "TF_CPP_MIN_LOG_LEVEL", "TF_ENABLE_ONEDNN_OPTS"
CPUINFO = Path("/proc/cpuinfo")
# Where TensorFlow uses oneDNN without being asked (tensorflow/core/util/port.cc, IsMklEnabled), and says so at each import.
ONEDNN_FLAGS = frozenset({"avx512_vnni", "avx512_bf16", "avx_vnni", "amx_tile", "amx_int8", "amx_bf16"})


def set_environment() -> None:
    """Have TensorFlow say nothing but errors; what it computes stays the same. Call it before the import."""
    os.environ.setdefault(LEVEL, "3")
    if _flags() & ONEDNN_FLAGS:
        # Asked for what it does anyway it says nothing; no log level keeps it from saying that.
        os.environ.setdefault(ONEDNN, "1")


def _flags() -> frozenset[str]:
    """Return what the first processor can do, as Linux names it; nothing elsewhere."""
    try:
        text = CPUINFO.read_text(encoding="ascii", errors="replace")
    except OSError:
        return frozenset()
    line = next((line for line in text.splitlines() if line.startswith("flags")), "")
    return frozenset(line.partition(":")[2].split())
