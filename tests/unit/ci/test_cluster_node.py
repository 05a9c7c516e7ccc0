"""A node's services: none of them gives up."""

from __future__ import annotations

import configparser
from typing import TYPE_CHECKING

import pytest

from ci.cluster import node_image

if TYPE_CHECKING:
    from pathlib import Path

UNITS = sorted((node_image.SOURCES / "files").rglob("*.service"))


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.stem)
def test_service_begins_again_however_often_it_failed(path: Path) -> None:
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.read(path)
    assert unit["Service"]["Restart"] == "always"
    # systemd's own default leaves a service that ended five times in ten seconds for good (systemd.unit(5)).
    assert unit["Unit"]["StartLimitIntervalSec"] == "0"
