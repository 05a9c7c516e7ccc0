"""The paths of the REST API."""

from __future__ import annotations

import pytest

from serving_codec import paths
from serving_codec.status import ServingError


@pytest.mark.parametrize(
    ("method", "path", "wanted"),
    [
        ("GET", "/v1/models/m", paths.Request("status", "m", paths.Choice())),
        ("GET", "/V1/Models/m/versions/3/metadata", paths.Request("metadata", "m", paths.Choice(3))),
        ("POST", "/v1/models/a%2Fb/labels/x%3A:predict", paths.Request("predict", "a/b", paths.Choice(label="x:"))),
        ("GET", "/v1/models/m?x=1", paths.Request("status", "m?x=1", paths.Choice())),
        ("GET", "/v1/models/m/versions/007", paths.Request("status", "m", paths.Choice(7))),
        ("GET", f"/v1/models/m/versions/{2**63 - 1}", paths.Request("status", "m", paths.Choice(2**63 - 1))),
        ("GET", f"/v1/models/m/versions/{2**63}", None),
        ("GET", f"/v1/models/m/versions/{'9' * 5000}", None),
    ],
)
def test_path_is_understood(method: str, path: str, wanted: paths.Request | None) -> None:
    assert paths.parse_path(method, path) == wanted


@pytest.mark.parametrize(
    ("method", "path", "told"),
    [
        ("GET", "/v1/models", "Missing model name in request."),
        ("GET", "/v1/models/m:predict", "Malformed request: GET /v1/models/m:predict"),
        ("POST", "/v1/models/m/metadata", "Malformed request"),
        ("POST", "/v1/models/m:PREDICT", "Malformed request"),
        ("GET", "/v1/models/m/", "Malformed request"),
        ("HEAD", "/v1/models/m", "Malformed request"),
        ("POST", "/v1/models/m/versions/1/labels/a:predict", "Malformed request"),
    ],
)
def test_malformed_path_is_told(method: str, path: str, told: str) -> None:
    with pytest.raises(ServingError) as refused:
        paths.parse_path(method, path)
    assert told in refused.value.message
