"""The two pages for people: `/` where the model is tried, `/docs` where the API is read."""

from __future__ import annotations

import base64
import hashlib
import importlib.resources
import re

from model_api.reply import Reply

CONTENT_TYPE = b"text/html; charset=utf-8"
INLINE = re.compile(r"<(script|style)>(.*?)</\1>", re.DOTALL)


def try_it() -> Reply:
    """Return the page where a person tries the model that is served."""
    return _TRY_IT


def docs() -> Reply:
    """Return the page that shows what `/openapi.json` says."""
    return _DOCS


def policy(html: str) -> str:
    """Return the Content-Security-Policy that lets a page run its own inline script and style, and nothing else."""
    hashes: dict[str, list[str]] = {"script": [], "style": []}
    for kind, text in INLINE.findall(html):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        hashes[kind].append(f"'sha256-{digest}'")
    return "; ".join(
        [
            "default-src 'none'",
            f"script-src {' '.join(hashes['script'])}",
            f"style-src {' '.join(hashes['style'])}",
            "connect-src 'self'",
            "img-src 'self' data: blob:",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        ]
    )


def _read(name: str) -> Reply:
    """Return a page of this package; its headers are made once, because it never changes."""
    html = (importlib.resources.files("model_api") / "static" / name).read_text(encoding="utf-8")
    headers = (
        (b"content-security-policy", policy(html).encode()),
        (b"x-content-type-options", b"nosniff"),
        (b"referrer-policy", b"no-referrer"),
        # A new release brings a new page: ask whether it is still this one.
        (b"cache-control", b"no-cache"),
    )
    return Reply(200, html.encode(), content_type=CONTENT_TYPE, headers=headers)


_TRY_IT = _read("index.html")
_DOCS = _read("docs.html")
