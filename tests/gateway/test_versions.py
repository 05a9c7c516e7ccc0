"""Versions side by side and one after the other: each answers with its own labels, and nobody waits for lookups."""

from __future__ import annotations

import collections
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
import requests

from tests.gateway.processes import TIMEOUT_SECONDS, Api
from tests.gateway.standin import Serving
from tests.processes import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

LABELS = {1: ["one", "two", "three", "four"], 2: ["I", "II", "III", "IV"], 5: ["a", "b", "c", "d"]}
ROW = {"input": [0, 1, 0, 0]}


@pytest.fixture
def serving() -> Iterator[Serving]:
    """Yield a stand-in whose versions 1 and 2 answer in turn."""
    serving = Serving(versions=(1, 2), labels=LABELS)
    yield serving
    serving.stop()


def test_each_answer_has_the_labels_of_the_version_in_its_header(serving: Serving) -> None:
    with Api(serving.port, "m") as api:

        def ask(_: int) -> tuple[str, str]:
            reply = requests.post(api.url("/predict"), json=ROW, timeout=TIMEOUT_SECONDS)
            return reply.headers["X-Model-Version"], reply.json()["prediction"]

        with ThreadPoolExecutor(8) as callers:
            found = collections.Counter(callers.map(ask, range(200)))
    assert set(found) == {("1", "two"), ("2", "II")}


def test_versions_that_are_known_are_never_looked_up_again(serving: Serving) -> None:
    serving.metadata_seconds = 0.2
    with Api(serving.port, "m") as api:
        for _ in range(4):
            api.predict([0, 1, 0, 0])
        with ThreadPoolExecutor(16) as callers:
            list(
                callers.map(lambda _: requests.post(api.url("/predict"), json=ROW, timeout=TIMEOUT_SECONDS), range(200))
            )
        # One description for each version, however many asked at once.
        assert sorted(version for kind, version in serving.lookups if kind == "description") == [1, 2]


def test_new_version_is_looked_up_once_by_all_who_meet_it(serving: Serving) -> None:
    with Api(serving.port, "m") as api:
        serving.metadata_seconds = 0.3
        serving.serve(5)
        with ThreadPoolExecutor(16) as callers:
            replies = list(
                callers.map(lambda _: requests.post(api.url("/predict"), json=ROW, timeout=TIMEOUT_SECONDS), range(32))
            )
        assert {reply.json()["prediction"] for reply in replies} == {"b"}
        assert [version for kind, version in serving.lookups if (kind, version) == ("description", 5)] == [5]


def test_facts_follow_the_version_that_is_served_now(serving: Serving) -> None:
    serving.serve(1)
    with Api(serving.port, "m") as api:
        assert api.get("/v1/model").json()["version"] == 1
        serving.serve(5)
        wait_for(lambda: api.get("/v1/model").json()["version"] == 5, "the facts are of version 5", TIMEOUT_SECONDS)
        assert api.get("/v1/model").json()["labels"] == LABELS[5]


def test_gateway_that_asks_for_a_description_is_not_ready_without_one(serving: Serving) -> None:
    serving.serve(9)
    with Api(serving.port, "m", "--require-description=true") as api:
        reply = api.get("/readyz")
        assert reply.status_code == 503
        assert "does not describe itself" in reply.json()["error"]
        serving.serve(1)
        wait_for(lambda: api.get("/readyz").ok, "it is ready", TIMEOUT_SECONDS)


def test_version_that_is_described_later_is_learned_again(serving: Serving) -> None:
    serving.serve(7)
    with Api(serving.port, "m", "--require-description=true") as api:
        assert api.get("/readyz").status_code == 503
        # The same number, from a server that an upgrade brought.
        serving.labels = {7: ["a", "b", "c", "d"]}
        wait_for(lambda: api.get("/readyz").ok, "it is ready", TIMEOUT_SECONDS)
        assert api.predict([0, 0, 0, 1])["prediction"] == "d"


def test_number_that_comes_back_without_a_description_keeps_no_labels_of_the_old(serving: Serving) -> None:
    serving.serve(1)
    with Api(serving.port, "m") as api:
        assert api.predict([0, 1, 0, 0]) == {"prediction": "two", "probability": "1.0000"}
        # Removed and installed again: version 1 is another model, which says nothing of itself.
        serving.labels = {}
        raw = {"outputs": {"y": [0.0, 1.0, 0.0, 0.0]}}
        wait_for(lambda: api.predict([0, 1, 0, 0]) == raw, "the labels are gone", TIMEOUT_SECONDS)
