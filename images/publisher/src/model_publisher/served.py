"""The model in service, asked by TensorFlow Serving's REST: which version answers, and what it says of itself."""

from __future__ import annotations

import http.client
import json
import re
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

from model_description import description as description_json
from model_description.errors import DescriptionError
from model_publisher.gates import Served

TIMEOUT_SECONDS = 10.0
# A description, once more inside JSON.
MAXIMUM_BYTES = 16 << 20


class NoAnswerError(Exception):
    """Nobody answered, or not as a server that serves the model does."""


def ask(base_url: str, name: str) -> Served:
    """Return what the version in service says of itself; raise NoAnswerError where none answers.

    The version is that of the metadata, and the description is asked of that version: it cannot be another one's.
    """
    url = f"{base_url}/v1/models/{urllib.parse.quote(name, safe='')}"
    metadata = _call(f"{url}/metadata")
    spec = metadata.get("model_spec")
    version = str(spec.get("version", "")) if isinstance(spec, dict) else ""
    if not re.fullmatch("[0-9]{1,19}", version):
        raise NoAnswerError("it does not tell which version it serves")
    body = {"signature_name": description_json.SIGNATURE, "inputs": {description_json.REQUEST: ["description"]}}
    try:
        answer = _call(f"{url}/versions/{version}:predict", json.dumps(body).encode())
    except _RefusedError as error:
        return Served(int(version), problem=f"version {version} says nothing of itself ({error})")
    return _described(int(version), answer)


class _RefusedError(NoAnswerError):
    """The server is there and does not know what it was asked for."""


def _described(version: int, answer: dict[str, Any]) -> Served:
    outputs = answer.get("outputs")
    text = outputs[0] if isinstance(outputs, list) and outputs else None
    if not isinstance(text, str):
        return Served(version, problem=f"version {version} says nothing of itself")
    try:
        told = description_json.parse(text.encode())
    except DescriptionError as error:
        return Served(version, problem=f"what version {version} says of itself cannot be read: {error}")
    return Served(version, told.metrics, told.data.get("sha256", ""))


def _call(url: str, body: bytes | None = None) -> dict[str, Any]:
    headers = {"Content-Type": "application/json"} if body else {}
    request = urllib.request.Request(url, data=body, headers=headers)  # noqa: S310 - http, as the flag was checked
    # A Service of this cluster: no proxy of the environment has anything to do with it.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=TIMEOUT_SECONDS) as reply:
            answer = json.loads(reply.read(MAXIMUM_BYTES))
    except urllib.error.HTTPError as error:
        error.close()
        # 404 is a version that went meanwhile, or one that is not there yet: another try finds what is.
        if error.code == http.HTTPStatus.BAD_REQUEST:
            raise _RefusedError(f"it answers {error.code}") from error
        raise NoAnswerError(f"it answers {error.code}") from error
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise NoAnswerError(str(getattr(error, "reason", error))) from error
    if not isinstance(answer, dict):
        raise NoAnswerError("it answers no object")
    return answer
