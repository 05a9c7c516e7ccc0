"""Every values case rendered once, and shared."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from tests.chart.rendering import CASES, Rendered, render, render_case


@pytest.fixture(params=CASES)
def rendered(request: pytest.FixtureRequest) -> Rendered:
    """Return one values case rendered; a test that takes it runs for all of them.

    By one Helm: all of them render the same (test_rendering.py).
    """
    return render_case(request.param)


@pytest.fixture
def default() -> Rendered:
    """Return the chart rendered with its default values."""
    return render()


@pytest.fixture
def everything_values() -> dict[str, Any]:
    """Return the values case that gives every key a value of its own."""
    values: dict[str, Any] = yaml.safe_load(CASES["everything"].read_text(encoding="utf-8"))
    return values


@pytest.fixture
def everything(everything_values: dict[str, Any]) -> Rendered:
    """Return that case rendered."""
    return render(everything_values)
