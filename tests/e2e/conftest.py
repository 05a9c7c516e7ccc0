"""Fixtures of the end-to-end suite: the cluster, and a release in a namespace of its own for each module.

A missing cluster fails the suite; it never skips it.
"""

from __future__ import annotations

import os
import shutil
import uuid
from typing import TYPE_CHECKING

import pytest

from ci import paths, tools
from tests.e2e import diagnostics, traffic
from tests.e2e.digits import Digits, load_test_digits
from tests.e2e.release import Access, Release

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from pathlib import Path

    from pytest_helm_charts.clusters import Cluster

KEPT = paths.ROOT / "build" / "e2e"
RELEASE = pytest.StashKey[Release]()

# pytest-helm-charts reads the cluster from here.
os.environ.setdefault("KUBECONFIG", str(paths.cache() / "kubeconfig"))


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--keep`, which leaves releases and namespaces behind to look at."""
    parser.addoption("--keep", action="store_true", help="keep releases and namespaces after the tests")


@pytest.fixture(scope="session")
def access() -> Access:
    """Return the programs that reach the cluster and the values that name its images."""
    values = paths.cache() / "images-values.json"
    if not values.exists():
        pytest.exit(f"{values} is missing: `ci/nox -s e2e` builds and pushes the images first", returncode=2)
    return Access(tools.helm(), tools.kubectl(), os.environ["KUBECONFIG"], values)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def release(access: Access, kube_cluster: Cluster, request: pytest.FixtureRequest) -> Iterator[Release]:
    """Yield a release that is not installed yet, in a new namespace that enforces Pod Security `restricted`."""
    assert kube_cluster.kube_client is not None, "pytest-helm-charts found no cluster"
    module = request.module.__name__.rpartition(".")[2].removeprefix("test_").replace("_", "-")
    release = Release(access, f"e2e-{module}-{uuid.uuid4().hex[:5]}")
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    release.core.create_namespace({"metadata": {"name": release.namespace, "labels": labels}})
    request.node.stash[RELEASE] = release
    yield release
    if not request.config.getoption("--keep"):
        release.core.delete_namespace(release.namespace)


@pytest.fixture(scope="session")
def digits() -> Digits:
    """Return MNIST's 10,000 test images."""
    return load_test_digits()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Keep the namespace's state when a test fails, and print where."""
    report = yield
    module = item.getparent(pytest.Module)
    release = module.stash.get(RELEASE, None) if module else None
    if report.failed and release is not None:
        folder = _folder(item)
        diagnostics.collect(release, folder)
        # At once: whoever ends a long run by hand still learns why.
        (folder / "failure.txt").write_text(report.longreprtext, encoding="utf-8")
        report.sections.append(("kept for a look", f"pod logs, events and descriptions: {folder}"))
    return report


def _folder(item: pytest.Item) -> Path:
    folder = KEPT / item.name
    shutil.rmtree(folder, ignore_errors=True)
    return folder


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Tell what traffic saw in each of its windows."""
    if traffic.TOLD:
        terminalreporter.section("traffic")
        for line in (traffic.HEAD, *(window.row() for window in traffic.TOLD)):
            terminalreporter.line(line)
