"""Run benchmarks one after the other, and tell at the end which fell below their goals.

`python -m ci.bench`, `python -m ci.bench training versions`, `python -m ci.bench load --url http://localhost:8080`.
"""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

# Without a name all of these are run; the others have no goal that a change could miss.
ALL = ("training", "server", "versions", "predict")
NAMES = (*ALL, "http", "timeline", "load")


def commands_of(arguments: Sequence[str]) -> list[list[str]]:
    """Return each benchmark with its own arguments; raise ValueError where none is named.

    >>> commands_of(["server", "predict", "--quick"])
    [['server'], ['predict', '--quick']]
    """
    commands: list[list[str]] = []
    for argument in arguments:
        # What follows `load` is its own, a file named like a benchmark too.
        if argument in NAMES and not (commands and commands[-1][0] == "load"):
            commands.append([argument])
        elif commands:
            commands[-1].append(argument)
        else:
            raise ValueError(f"expected one of {', '.join(NAMES)}, got {argument!r}")
    return commands or [[name] for name in ALL]


def main(arguments: Sequence[str]) -> int:
    """Run them; return 1 where one failed, after all were run."""
    try:
        commands = commands_of(arguments)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    failed = []
    for name, *rest in commands:
        code = subprocess.run([sys.executable, "-m", f"ci.bench.{name}", *rest], check=False).returncode
        if code:
            failed.append(f"{name} (exit code {code})")
    if failed:
        print(f"✘ below a goal, or failed: {', '.join(failed)}", file=sys.stderr)
    return int(bool(failed))


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
