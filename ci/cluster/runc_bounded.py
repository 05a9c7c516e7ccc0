#!/usr/bin/env python3
"""OCI runtime in front of runc that leaves out the capabilities this host cannot grant.

`docker run --privileged` asks for every capability and runc refuses to start where the host's bounding set lacks
one of them ("unable to apply caps: operation not permitted"). dockerd calls this program as its runtime.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

# Number of CAP_SYS_RESOURCE in include/uapi/linux/capability.h; the only one seen missing so far.
NAMES = {24: "CAP_SYS_RESOURCE"}


def missing(status: str) -> set[str]:
    """Return the names of the known capabilities that the bounding set in /proc/self/status lacks."""
    line = next(line for line in status.splitlines() if line.startswith("CapBnd:"))
    bounding = int(line.split()[1], 16)
    return {name for number, name in NAMES.items() if not bounding >> number & 1}


def without(process: dict[str, Any], names: set[str]) -> None:
    """Remove the named capabilities from every set of an OCI process."""
    capabilities = process.get("capabilities", {})
    for kind, held in capabilities.items():
        capabilities[kind] = [name for name in held if name not in names]


def rewrite(arguments: list[str], names: set[str]) -> None:
    """Rewrite the configuration that a `create` or `exec` command line names."""
    if "create" in arguments and "--bundle" in arguments:
        path = Path(arguments[arguments.index("--bundle") + 1]) / "config.json"
        specification = json.loads(path.read_text(encoding="utf-8"))
        without(specification.get("process", {}), names)
    elif "exec" in arguments and "--process" in arguments:
        path = Path(arguments[arguments.index("--process") + 1])
        specification = json.loads(path.read_text(encoding="utf-8"))
        without(specification, names)
    else:
        return
    path.write_text(json.dumps(specification), encoding="utf-8")


if __name__ == "__main__":
    rewrite(sys.argv[1:], missing(Path("/proc/self/status").read_text(encoding="utf-8")))
    os.execvp("runc", ["runc", *sys.argv[1:]])  # noqa: S606 - becoming runc is the point
