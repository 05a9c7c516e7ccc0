"""The pages run their own script and style, and nothing else."""

from __future__ import annotations

import base64
import hashlib
import html.parser
import re
from typing import TYPE_CHECKING

import pytest

from model_api import page

if TYPE_CHECKING:
    from model_api.reply import Reply

PAGES = pytest.mark.parametrize("reply", [page.try_it(), page.docs()], ids=["try it", "docs"])


def header(reply: Reply, name: bytes) -> str:
    """Return a header of a reply; fail where there is not exactly one."""
    (value,) = [value for key, value in reply.headers if key == name]
    return value.decode()


def directives(reply: Reply) -> dict[str, str]:
    """Return a reply's Content-Security-Policy by directive."""
    parts = (part.strip().partition(" ") for part in header(reply, b"content-security-policy").split(";"))
    return {name: value for name, _, value in parts}


class Elements(html.parser.HTMLParser):
    """The elements of a page, and the text of its inline scripts and styles as a browser hashes them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.inline: dict[str, list[str]] = {"script": [], "style": []}
        self._open = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element."""
        self.found.append((tag, dict(attrs)))
        self._open = tag

    def handle_endtag(self, tag: str) -> None:
        """Note that no inline text follows."""
        del tag
        self._open = ""

    def handle_data(self, data: str) -> None:
        """Keep the text of a script or a style."""
        if self._open in self.inline:
            self.inline[self._open].append(data)


@PAGES
def test_page_is_html(reply: Reply) -> None:
    assert (reply.status, reply.content_type) == (200, b"text/html; charset=utf-8")
    assert reply.body.startswith(b"<!DOCTYPE html>")
    assert header(reply, b"x-content-type-options") == "nosniff"


@PAGES
@pytest.mark.parametrize("kind", ["script", "style"])
def test_policy_names_the_inline_text_by_its_hash(reply: Reply, kind: str) -> None:
    inline = Elements(reply.body.decode()).inline[kind]
    hashes = [f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" for text in inline]
    assert len(hashes) == 1
    assert directives(reply)[f"{kind}-src"] == hashes[0]


@PAGES
def test_policy_lets_nothing_else_in(reply: Reply) -> None:
    found = directives(reply)
    del found["script-src"], found["style-src"]
    assert found == {
        "default-src": "'none'",
        "connect-src": "'self'",
        "img-src": "'self' data: blob:",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }


@PAGES
def test_page_needs_nothing_from_elsewhere(reply: Reply) -> None:
    assert not re.search(rb"https?:|//[a-z]+\.|@import|url\(", reply.body)
    links = [attributes.get(name) for _, attributes in Elements(reply.body.decode()).found for name in ("src", "href")]
    # Relative, so that the page works behind a prefix as well.
    assert {link for link in links if link} <= {"data:,", "docs", "./", "openapi.json", "v1/model"}


@PAGES
def test_what_a_server_says_is_never_markup(reply: Reply) -> None:
    assert not re.search(rb"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(", reply.body)


@PAGES
def test_nothing_is_inline_that_the_policy_forbids(reply: Reply) -> None:
    for tag, attributes in Elements(reply.body.decode()).found:
        assert not [name for name in attributes if name == "style" or name.startswith("on")], tag


def test_every_control_has_a_name() -> None:
    elements = Elements(page.try_it().body.decode()).found
    labelled = {attributes["for"] for tag, attributes in elements if tag == "label"}
    controls = {attributes["id"] for tag, attributes in elements if tag in {"input", "textarea"}}
    assert controls == labelled
