"""What documents point to is there: files, headings, and sessions of nox."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

import pytest

from ci import paths

if TYPE_CHECKING:
    from pathlib import Path

FOLDERS = ("charts", "docs", "images", "model")
DOCUMENTS = sorted(
    [*paths.ROOT.glob("*.md"), *(path for name in FOLDERS for path in (paths.ROOT / name).rglob("*.md"))]
)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def anchors(document: Path) -> set[str]:
    """Return the anchors GitHub makes of a document's headings."""
    headings = re.findall(r"^#+ (.+)$", document.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(paths.ROOT)))
def test_links_lead_somewhere(document: Path) -> None:
    # Blocks of code hold no links.
    text = re.sub(r"```.*?```", "", document.read_text(encoding="utf-8"), flags=re.DOTALL)
    for link in LINK.findall(text):
        if "://" in link:
            continue
        name, _, anchor = link.partition("#")
        target = (document.parent / name).resolve() if name else document
        assert target.exists(), f"{document.name} links to {link}"
        assert not anchor or anchor in anchors(target), f"{document.name} links to {link}, which has {anchors(target)}"


def test_documents_name_sessions_that_are_there() -> None:
    tree = ast.parse((paths.ROOT / "noxfile.py").read_text(encoding="utf-8"))
    sessions = {item.name for item in tree.body if isinstance(item, ast.FunctionDef)}
    named = {
        (document.name, name)
        for document in DOCUMENTS
        for name in re.findall(r'\bnox -s "?(\w+)', document.read_text(encoding="utf-8"))
    }
    assert len(named) > 20
    assert {(document, name) for document, name in named if name not in sessions} == set()


def test_the_documents_are_found() -> None:
    assert {"README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"} <= {path.name for path in DOCUMENTS}
    assert len(DOCUMENTS) > 20
