"""The long forms of what the other suites try for seconds: `nox -s soak`, which prints what it measured."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests.contract import models
from tests.contract.conftest import Server
from tests.gateway.processes import Api

if TYPE_CHECKING:
    from collections.abc import Iterator

# Time limits of a client that is too slow, short, so that it is seen to be ended.
SECONDS = 2
TABLES: dict[str, list[tuple[str, ...]]] = {}


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add how long the overload, and each fuzz run, lasts."""
    parser.addoption("--minutes", type=float, default=10.0, help="minutes of overload, and of each fuzz run")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the tables as docs/http.md has them."""
    for title, rows in TABLES.items():
        terminalreporter.write_line(f"\n{title}\n")
        for number, row in enumerate(rows):
            terminalreporter.write_line(f"| {' | '.join(row)} |")
            if number == 0:
                terminalreporter.write_line("|" + "---|" * len(row))


def tell(title: str, columns: tuple[str, ...], *values: object) -> None:
    """Add a row to a table that is printed at the end."""
    rows = TABLES.setdefault(title, [columns])
    rows.append(tuple(f"{value:.1f}" if isinstance(value, float) else str(value) for value in values))


@dataclass(frozen=True)
class Pair:
    """A drop-in server of the line, 0.5 x + 2, and an api in front of it."""

    server: Server
    api: Api


@pytest.fixture
def seconds(request: pytest.FixtureRequest) -> float:
    """Return how long a long run lasts."""
    minutes: float = request.config.getoption("--minutes")
    return 60 * minutes


@pytest.fixture(scope="module")
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """Yield both processes; a module's SHORT says whether the time limits are."""
    base_path = tmp_path_factory.mktemp("line")
    models.line(base_path / "1", 0.5)
    is_short = getattr(request.module, "SHORT", False)
    ours = [f"--{name}-timeout-seconds={SECONDS}" for name in ("header", "body")] if is_short else []
    theirs = [f"--rest_api_{name}_timeout_seconds={SECONDS}" for name in ("header", "body")] if is_short else []
    theirs += ["--grpc_message_timeout_seconds=4"] if is_short else []
    with (
        Server(f"{sys.executable} -m model_server", base_path, *theirs) as server,
        Api(server.grpc_port, "line", *ours) as api,
    ):
        yield Pair(server, api)
