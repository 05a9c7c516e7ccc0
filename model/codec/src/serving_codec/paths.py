"""The paths of TensorFlow Serving's REST API (its model_servers/http_rest_api_handler.cc)."""

from __future__ import annotations

import functools
import re
import urllib.parse
from dataclasses import dataclass

from serving_codec.status import invalid_argument

MODEL_PATH = re.compile(
    r"/v1/models(?:/(?P<model>[^/:]+))?(?:/versions/(?P<version>[0-9]+)|/labels/(?P<label>[^/:]+))?"
    r"(?P<rest>/metadata|:(?:predict|classify|regress))?",
    re.IGNORECASE,
)
INT64_MAXIMUM = 2**63 - 1
INT64_DIGITS = 19


@dataclass(frozen=True)
class Choice:
    """The version a request asks for: a number, a label, or the newest."""

    number: int | None = None
    label: str | None = None


@dataclass(frozen=True)
class Request:
    """What a request's path asks for; `action` is status, metadata, predict, classify or regress."""

    action: str
    model: str
    choice: Choice


# Clients ask for the same few again and again; a path has 8 KiB at most (serving_http.parser).
@functools.lru_cache(maxsize=128)
def parse_path(method: str, path: str) -> Request | None:
    """Return what a path under /v1/ asks for; None for a version beyond int64, which upstream answers 400 and empty.

    A query is part of the path, as upstream has it. Raise INVALID_ARGUMENT for a path that is none of the API's.
    """
    malformed = invalid_argument(f"Malformed request: {method} {path}")
    found = MODEL_PATH.fullmatch(path)
    if found is None:
        raise malformed
    rest = found["rest"] or ""
    if not found["model"]:
        raise invalid_argument("Missing model name in request.") if method == "GET" else malformed
    action = rest.lstrip("/:") if rest else "status"
    wanted = "POST" if rest.startswith(":") else "GET"
    # An upper-case verb matches the path and is malformed all the same.
    if method != wanted or (rest.startswith(":") and action != action.lower()):
        raise malformed
    digits = (found["version"] or "").lstrip("0")
    if len(digits) > INT64_DIGITS or int(digits or 0) > INT64_MAXIMUM:
        return None
    number = int(digits or 0) if found["version"] else None
    label = urllib.parse.unquote(found["label"]) if found["label"] else None
    return Request(action.lower(), urllib.parse.unquote(found["model"]), Choice(number, label))
