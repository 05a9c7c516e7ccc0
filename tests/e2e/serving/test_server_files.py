"""TLS, batching, metrics, versions and labels, from values to a model server that does them.

The tests tell one story in order; each leaves the release as the next expects it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc
import numpy as np
import pytest
import requests
import trustme

from tests.e2e import certificates, clients, quick
from tests.e2e.release import SERVER_REST_PORT, CommandFailedError, Release
from tests.e2e.waiting import wait_for

if TYPE_CHECKING:
    from tests.e2e.digits import Digits

SERVER_CERTIFICATE = "server-certificate"
API_CERTIFICATE = "api-certificate"
METRICS = "/monitoring/prometheus/metrics"
SWITCH_TIMEOUT_SECONDS = 60
GONE_TIMEOUT_SECONDS = 120


def values(seed: int, **model_and_config: Any) -> dict[str, Any]:
    """Return values for a quick training, a fixed number of pods, mutual TLS and batching."""
    fixed = {**quick.FIXED, "resources": quick.LITTLE_CPU}
    server = {
        **fixed,
        "tls": {"secretName": SERVER_CERTIFICATE, "clientVerify": True, "clientSecretName": API_CERTIFICATE},
        "batching": {"enabled": True, "maxBatchSize": 256, "batchTimeoutMicros": 1000, "allowedBatchSizes": [16, 256]},
        "config": model_and_config.get("config", {}),
    }
    params = {"epochs": 1, "batch_size": 256, "seed": seed}
    return {
        "training": {"params": params, "resources": quick.LITTLE_CPU},
        "server": server,
        "api": fixed,
        "model": model_and_config.get("model", {}),
    }


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """Return the authority of both certificates."""
    return trustme.CA()


@pytest.fixture(scope="module")
def credentials(authority: trustme.CA) -> grpc.ChannelCredentials:
    """Return what a client the server trusts shows."""
    issued = authority.issue_cert("somebody@example.org")
    chain = b"".join(pem.bytes() for pem in issued.cert_chain_pems)
    return grpc.ssl_channel_credentials(authority.cert_pem.bytes(), issued.private_key_pem.bytes(), chain)


@pytest.fixture(scope="module")
def installed(release: Release, authority: trustme.CA) -> Release:
    """Return the release, installed with the certificates of both sides in the namespace."""
    certificates.put(release, authority, SERVER_CERTIFICATE, release.named("server"))
    certificates.put(release, authority, API_CERTIFICATE, release.named("api"))
    release.upgrade(values(seed=1))
    return release


def rest(release: Release, path: str, body: Any = None) -> requests.Response:
    """Return the server's REST answer: GET, or POST of a body."""
    with release.port("server", SERVER_REST_PORT) as port:
        method = "GET" if body is None else "POST"
        url = f"http://127.0.0.1:{port}{path}"
        return requests.request(method, url, json=body, timeout=clients.TIMEOUT_SECONDS)


def sample(page: str, series: str) -> float:
    """Return a series' value on a metrics page."""
    return next(float(line.rpartition(" ")[2]) for line in page.splitlines() if line.startswith(series + " "))


def test_api_predicts_over_mutual_tls(installed: Release, digits: Digits) -> None:
    assert [answer["prediction"] for answer in clients.predict(installed, digits.first(2).images)] == ["7", "2"]
    assert "Phase:          Succeeded" in installed.helm("test", installed.name)


def test_grpc_takes_clients_with_a_certificate_only(
    installed: Release, digits: Digits, authority: trustme.CA, credentials: grpc.ChannelCredentials
) -> None:
    images = digits.first(10).images
    by_rest = clients.rest_scores(installed, images)
    np.testing.assert_allclose(clients.grpc_scores(installed, images, credentials), by_rest, rtol=0, atol=1e-5)
    for refused in (None, grpc.ssl_channel_credentials(authority.cert_pem.bytes())):
        with pytest.raises(grpc.RpcError) as error:
            clients.grpc_scores(installed, images, refused)
        assert error.value.code() == grpc.StatusCode.UNAVAILABLE


def test_metrics_page_tells_requests_and_padded_batches(installed: Release, digits: Digits) -> None:
    before = rest(installed, METRICS).text
    clients.rest_scores(installed, digits.first(10).images)
    after = rest(installed, METRICS).text
    # Nobody else predicts over REST; probes and the api make the other series grow, too.
    predicted = ':tensorflow:serving:request_latency_count{model_name="mnist",API="predict",entrypoint="REST"}'
    padded = ':tensorflow:serving:batching_session:padding_size_count{execution_batch_size="16"}'
    assert sample(after, predicted) == sample(before, predicted) + 1
    assert sample(after, padded) > sample(before, padded)


def test_pinned_further_and_labelled_versions_are_served_together(installed: Release, digits: Digits) -> None:
    first = clients.rest_scores(installed, digits.first(10).images)
    config = {"versions": [1], "versionLabels": {"stable": 1, "canary": 2}}
    installed.upgrade(values(seed=2, model={"version": 2}, config=config))
    status = rest(installed, "/v1/models/mnist").json()["model_version_status"]
    assert {item["version"]: item["state"] for item in status} == {"1": "AVAILABLE", "2": "AVAILABLE"}

    body = {"instances": digits.first(10).images.tolist()}
    stable = rest(installed, "/v1/models/mnist/labels/stable:predict", body).json()["predictions"]
    canary = rest(installed, "/v1/models/mnist/labels/canary:predict", body).json()["predictions"]
    np.testing.assert_allclose(stable, first, rtol=0, atol=1e-5)
    assert np.abs(np.array(canary) - first).max() > 1e-3
    wait_for(lambda: clients.served_model(installed)["version"] == 2, "the api uses version 2", SWITCH_TIMEOUT_SECONDS)
    answer = clients.predict(installed, digits.first(1).images)[0]
    assert answer == {"prediction": "7", "probability": f"{max(canary[0]):.4f}"}


def test_helm_test_fails_while_no_server_is_there(installed: Release) -> None:
    installed.kubectl("scale", f"deployment/{installed.named('server')}", "--replicas=0")
    wait_for(lambda: not installed.pods("server", even_terminating=True), "no server pod", GONE_TIMEOUT_SECONDS)
    with pytest.raises(CommandFailedError):
        installed.helm("test", installed.name, "--timeout=90s")
    installed.kubectl("scale", f"deployment/{installed.named('server')}", "--replicas=1")
    installed.wait_for_rollout("server")
    installed.wait_for_rollout("api")
    installed.helm("test", installed.name, "--timeout=90s")
