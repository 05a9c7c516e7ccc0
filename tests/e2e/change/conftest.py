"""Fixtures of the suite of change: a release under traffic for as long as its module runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.e2e import traffic
from tests.e2e.change import serving

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.digits import Digits
    from tests.e2e.release import Release


@pytest.fixture(scope="module")
def served(release: Release) -> Release:
    """Return the release with two pods each, trained and ready; a test leaves it as `serving.values()` say."""
    release.upgrade(serving.values())
    return release


@pytest.fixture(scope="module")
def seen(served: Release, digits: Digits) -> Iterator[traffic.Traffic]:
    """Yield what steady traffic sees of it, by every protocol, while the module runs."""
    with traffic.steady(served, serving.questions(served, digits)) as seen:
        seen.watch("before anything changes", 10).assert_faultless()
        yield seen
