"""The metrics page (docs/serving-contract.md, section 7)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
import requests

from tests.contract import models
from tests.contract.conftest import Server
from tests.contract.test_predict import request

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = "/monitoring/prometheus/metrics"
# What published dashboards and alerts ask for.
ON_DASHBOARDS = {
    ":tensorflow:serving:request_count": "counter",
    ":tensorflow:serving:request_latency": "histogram",
    ":tensorflow:serving:runtime_latency": "histogram",
    ":tensorflow:serving:model_warmup_latency": "histogram",
    ":tensorflow:serving:batching_session:queuing_latency": "histogram",
    ":tensorflow:cc:saved_model:load_attempt_count": "counter",
    ":tensorflow:cc:saved_model:load_latency": "counter",
    ":tensorflow:core:graph_runs": "counter",
    ":tensorflow:core:graph_run_time_usecs": "counter",
}
LINE = re.compile(
    r'# TYPE [:a-zA-Z_]+ (counter|gauge|histogram)|[:a-zA-Z_]+\{([A-Za-z_]+="[^"]*"(,[A-Za-z_]+="[^"]*")*)?\} [0-9.e+]+'
)


@pytest.fixture(scope="module")
def server(command: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Yield a server with its metrics page."""
    folder = tmp_path_factory.mktemp("monitoring")
    models.line(folder / "line" / "1", 0.5)
    (folder / "monitoring.txt").write_text(f'prometheus_config: {{ enable: true, path: "{PAGE}" }}')
    with Server(command, folder / "line", f"--monitoring_config_file={folder / 'monitoring.txt'}") as server:
        yield server


def value(server: Server, sample: str) -> float:
    """Return a sample's value; 0 while it is not there."""
    for line in server.get(PAGE).text.splitlines():
        name, _, number = line.rpartition(" ")
        if name == sample:
            return float(number)
    return 0.0


def test_page_has_the_names_and_form_dashboards_read(server: Server) -> None:
    server.post({"instances": [1.0]})
    reply = server.get(PAGE)
    assert reply.headers["Content-Type"] == "text/plain"
    lines = reply.text.splitlines()
    assert [line for line in lines if not LINE.fullmatch(line)] == []
    assert {f"# TYPE {name} {kind}" for name, kind in ON_DASHBOARDS.items()} <= set(lines)


def test_requests_are_counted_by_model_and_status(server: Server) -> None:
    samples = [
        ':tensorflow:serving:request_count{model_name="line",status="OK"}',
        ':tensorflow:serving:request_count{model_name="line",status="INVALID_ARGUMENT"}',
        ':tensorflow:serving:request_count{model_name="",status="INVALID_ARGUMENT"}',
        ':tensorflow:serving:request_latency_count{model_name="line",API="predict",entrypoint="REST"}',
        ':tensorflow:serving:request_latency_count{model_name="line",API="Predict",entrypoint="GRPC"}',
        ':tensorflow:serving:runtime_latency_count{model_name="line",API="Predict",runtime="TF1"}',
    ]
    before = [value(server, sample) for sample in samples]
    server.post({"instances": [1.0]})
    server.post({"instances": ["a"]})
    server.post({}, "/v1/models/line:nothing")
    server.prediction.Predict(request(x=[1.0]), timeout=10)
    grown = [value(server, sample) - earlier for sample, earlier in zip(samples, before, strict=True)]
    assert grown == [2, 1, 1, 1, 1, 2]


def test_buckets_grow_by_eighty_percent_and_end_in_infinity(server: Server) -> None:
    server.post({"instances": [1.0]})
    label = 'model_name="line",API="predict",entrypoint="REST"'
    bounds = re.findall(rf"request_latency_bucket\{{{label},le=\"([^\"]+)\"\}}", server.get(PAGE).text)
    assert bounds[:5] == ["10", "18", "32.4", "58.32", "104.976"]
    assert bounds[-2:] == ["1.47476e+09", "+Inf"]
    assert len(bounds) == 34


def test_a_query_is_not_part_of_the_pages_path(server: Server) -> None:
    reply = server.get(f"{PAGE}?x=1")
    assert reply.status_code == 400
    assert f"Unexpected path: {PAGE}?x=1. Should be {PAGE}" in reply.text


def test_any_method_reads_the_page(server: Server) -> None:
    assert requests.post(server.url(PAGE), timeout=10).status_code == 200
