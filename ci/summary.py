"""Run a command, then repeat the closing line of every pytest run in it, so that a log ends with its results."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

# tests/conftest.py appends one line to the file named here when a pytest run ends.
VARIABLE = "PYTEST_CLOSING_LINES"


def main(command: list[str]) -> int:
    """Run the command with the variable set; return its exit code after printing the collected lines."""
    with tempfile.TemporaryDirectory() as folder:
        lines = Path(folder) / "lines"
        code = subprocess.run(command, env={**os.environ, VARIABLE: str(lines)}, check=False).returncode
        if lines.exists():
            sys.stdout.flush()
            print(lines.read_text(encoding="utf-8"), end="", flush=True)
    return code


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
