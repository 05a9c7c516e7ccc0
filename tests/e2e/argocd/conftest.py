"""Fixtures of the suite of Argo CD: it runs in the cluster, and the chart is in the cluster's registry."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from kubernetes import client

from tests.e2e.argocd.application import ARGO_CD, CHARTS, Application, documented, push_chart

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.release import Release

TOLD: list[tuple[str, str]] = []


@pytest.fixture(scope="session")
def version() -> str:
    """Return the version of the chart that was pushed for this run."""
    return push_chart()


@pytest.fixture(scope="module")
def application(release: Release, version: str, request: pytest.FixtureRequest) -> Iterator[Application]:
    """Yield an Application that is not created yet, for the module's release."""
    names = [item.metadata.name for item in release.core.list_namespace().items]
    assert ARGO_CD in names, "`ci/nox -s argocd` installs Argo CD first"
    _put_repository(release.core)
    application = Application(release, version)
    yield application
    application.stop()
    TOLD.append((request.module.__name__, application.told()))
    if not request.config.getoption("--keep") and application.exists():
        application.delete()


def _put_repository(core: client.CoreV1Api) -> None:
    """Tell Argo CD of the registry, as documented."""
    secret = documented("Secret")
    secret["stringData"]["url"] = CHARTS
    try:
        core.create_namespaced_secret(ARGO_CD, secret)
    except client.ApiException as error:
        if error.reason != "Conflict":
            raise


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Tell what Argo CD said of each Application, from its creation on."""
    for module, told in TOLD:
        terminalreporter.section(f"Argo CD: {module}")
        terminalreporter.line(told)
