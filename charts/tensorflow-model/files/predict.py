"""Send the model's own example to URL and fail unless the answer fits; without an example, see that it serves."""

import http
import json
import math
import os
import sys
import time
import urllib.error
import urllib.request
from typing import Any

# Endpoints follow a rollout within seconds; what is still away after that is away.
GIVE_UP_AFTER_SECONDS = 30
TIMEOUT_SECONDS = 5
PAUSE_SECONDS = 2
# Two builds of TensorFlow agree this far, and /predict rounds a probability that it writes as text.
RELATIVE, ABSOLUTE, ABSOLUTE_OF_TEXT = 1e-3, 1e-4, 0.01


class Away(Exception):  # noqa: N818 - not an error yet
    """No answer now; one may come."""


def ask(path: str, body: Any = None) -> tuple[str | None, bytes]:
    """Return the answer to one request as (version that answered, content); raise Away when it may come later."""
    url = os.environ["URL"] + path
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as reply:
            return reply.headers.get("X-Model-Version"), reply.read()
    except urllib.error.HTTPError as error:
        told = f"{url} answered {error.code}: {error.read().decode(errors='replace')}"
        if error.code < http.HTTPStatus.INTERNAL_SERVER_ERROR:
            sys.exit(told)
        raise Away(told) from error
    except OSError as error:
        raise Away(f"{url} cannot be reached: {error}") from error


def agree(expected: Any, found: Any, key: str = "") -> bool:
    """Tell whether two answers, or the parts of them at a key, say the same."""
    kinds = {type(expected), type(found)}
    if kinds == {dict}:
        return expected.keys() == found.keys() and all(agree(expected[name], found[name], name) for name in expected)
    if kinds == {list}:
        return len(expected) == len(found) and all(map(agree, expected, found))
    if kinds <= {int, float}:
        return math.isclose(expected, found, rel_tol=RELATIVE, abs_tol=ABSOLUTE)
    if kinds == {str} and key == "probability":
        return math.isclose(float(expected), float(found), abs_tol=ABSOLUTE_OF_TEXT)
    return len(kinds) == 1 and bool(expected == found)


def check() -> str:
    """Return a sentence on what was seen; exit with one when the model does not serve as it should."""
    model = json.loads(ask("/v1/model")[1])
    name, version, inputs = (model.get(key) for key in ("name", "version", "inputs"))
    if name != os.environ["MODEL_NAME"] or not version or not inputs or model.get("problem"):
        sys.exit(f"expected {os.environ['MODEL_NAME']} with a version and inputs, got {json.dumps(model)[:2000]}")
    if not model.get("example"):
        ask(f"/v2/models/{name}/ready")
        return f"version {version} of {name} is ready; the model has no example of its own, so nothing was predicted"
    answered_by, content = ask("/predict", model["example"]["request"])
    if answered_by not in {None, str(version)}:
        raise Away(f"version {version} was described and version {answered_by} answered")
    expected, found = model["example"]["response"], json.loads(content)
    if not agree(expected, found):
        sys.exit(f"expected {json.dumps(expected)[:2000]}, got {json.dumps(found)[:2000]}")
    return f"version {version} of {name} answers its own example: {json.dumps(found)[:2000]}"


def check_patiently() -> str:
    """Return what check does, looking again while the api or its server is away; exit when they stay away."""
    deadline = time.monotonic() + GIVE_UP_AFTER_SECONDS - TIMEOUT_SECONDS
    while True:
        try:
            return check()
        except Away as reason:
            if time.monotonic() > deadline:
                sys.exit(str(reason))
        time.sleep(PAUSE_SECONDS)


print(check_patiently())
