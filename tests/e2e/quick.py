"""Values of a release whose training program takes seconds and reports what it is told to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

PROGRAM = Path(__file__).parent / "programs" / "quick.py"
FIXED = {"autoscaling": {"enabled": False}}
# Releases are tested side by side, on a node that may have others: what it has for requests must do for all their
# rollouts at once.
LITTLE_CPU = {"requests": {"cpu": "50m"}}
SMALL = {"requests": {"cpu": "50m", "memory": "128Mi"}, "limits": {"memory": "2Gi"}}
PYTHON = "/opt/venv/bin/python"


def values(params: dict[str, Any] | None = None, **training: Any) -> dict[str, Any]:
    """Return values that train quick.py with these parameters, with fixed numbers of pods."""
    return {
        "model": {"name": "quick"},
        "training": {
            "command": [PYTHON, f"/code/{PROGRAM.name}"],
            "code": {PROGRAM.name: PROGRAM.read_text(encoding="utf-8")},
            "params": params or {},
            "backoffLimit": 0,
            # Several train at a time.
            "resources": SMALL,
            **training,
        },
        "server": {**FIXED, "resources": SMALL},
        "api": {**FIXED, "resources": {"requests": {"cpu": "20m"}}},
    }
