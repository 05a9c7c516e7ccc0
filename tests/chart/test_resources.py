"""Requests and limits: set for every container, and each from its own values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.chart.rendering import containers, name_of

if TYPE_CHECKING:
    from tests.chart.rendering import Rendered


def test_every_container_has_requests_and_a_memory_limit(rendered: Rendered) -> None:
    for item in rendered.pod_makers():
        for name, container in containers(item).items():
            assert {"cpu", "memory"} <= set(container["resources"]["requests"]), f"{name_of(item)}: {name}"
            assert "memory" in container["resources"]["limits"], f"{name_of(item)}: {name}"


def test_no_container_is_throttled_by_default(default: Rendered) -> None:
    for item in default.pod_makers():
        for name, container in containers(item).items():
            assert "cpu" not in container["resources"]["limits"], f"{name_of(item)}: {name}"


@pytest.mark.parametrize(("component", "container"), [
    ("training", "training"), ("server", "server"), ("api", "api"), ("server", "loader"),
])  # fmt: skip
def test_resources_come_from_their_own_values(
    everything: Rendered, everything_values: dict[str, Any], component: str, container: str
) -> None:
    assert everything.container(component, container)["resources"] == everything_values[container]["resources"]
