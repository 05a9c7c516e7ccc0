"""What the server beside the follower says of its versions (TensorFlow Serving's REST, GetModelStatus)."""

from __future__ import annotations

import http.client
import json
import re
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from typing import Any

TIMEOUT_SECONDS = 5.0
# No answer about versions is larger.
MAXIMUM_BYTES = 4 << 20


@dataclass(frozen=True)
class VersionStatus:
    """State of a version (ModelVersionStatus.State by name), and why it is in it, "" where all is well."""

    state: str
    reason: str = ""


@dataclass(frozen=True)
class ServerStatus:
    """The versions the server knows; `is_gone` tells that nobody listens: the server is not up, or no more."""

    versions: dict[int, VersionStatus]
    is_gone: bool = False


def ask(base_url: str, name: str) -> ServerStatus:
    """Return what the server says of a model; an error, or no answer in time, is a server that knows no version."""
    url = f"{base_url}/v1/models/{urllib.parse.quote(name, safe='')}"
    # The server is in this pod: no proxy of the environment has anything to do with it.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=TIMEOUT_SECONDS) as response:
            return ServerStatus(_versions(json.loads(response.read(MAXIMUM_BYTES))))
    except urllib.error.HTTPError as error:
        error.close()
        return ServerStatus({})
    except urllib.error.URLError as error:
        return ServerStatus({}, is_gone=isinstance(error.reason, ConnectionRefusedError))
    except (OSError, ValueError, http.client.HTTPException):
        return ServerStatus({})


def _versions(answer: Any) -> dict[int, VersionStatus]:
    listed = answer.get("model_version_status") if isinstance(answer, dict) else None
    versions = {}
    for entry in listed if isinstance(listed, list) else []:
        # 64-bit numbers are texts in protobuf's JSON.
        number = str(entry.get("version", "")) if isinstance(entry, dict) else ""
        if re.fullmatch("[0-9]{1,19}", number):
            versions[int(number)] = VersionStatus(str(entry.get("state", "")), _reason(entry.get("status")))
    return versions


def _reason(status: Any) -> str:
    if not isinstance(status, dict) or status.get("error_code", "OK") in {"OK", 0}:
        return ""
    return f"{status['error_code']}: {str(status.get('error_message', ''))[:1000]}"
