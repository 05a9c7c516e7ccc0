"""What is made of large answers: no more at once than fits, and nothing twice for callers who asked together."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import tracemalloc
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from model_api import answers, config, inputs
from model_api.errors import InputError, TooSlowError
from model_api.gateway import Call, Examples, Gateway
from model_api.room import NeverFitsError, Room
from model_description.protos import serving_pb2
from model_description.signature import TensorSpec
from serving_codec import tensors
from tests.unit.api.computing import known_of, signature_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from model_api.config import Config
    from model_api.knowledge import Known
    from model_api.results import Result

MOST_BYTES = 8 << 20


class Servers:
    """Servers of a model that is a function of how many rows it is asked about."""

    def __init__(self, answer: Callable[[int], dict[str, NDArray[Any]]]) -> None:
        self.answer = answer
        self.room = Room(MOST_BYTES)
        self.count, self.are_connected, self.found = 1, True, 1

    async def call(self, _method: str, message: bytes, _seconds: float) -> bytes:
        """Answer in typed fields, as servers do."""
        asked = serving_pb2.PredictRequest.FromString(message)
        reply = serving_pb2.PredictResponse()
        reply.model_spec.version.value = 1
        for name, array in self.answer(asked.inputs["x"].tensor_shape.dim[0].size).items():
            dtype = "string" if array.dtype == object else array.dtype.name
            tensors.fill(reply.outputs[name], array, dtype, as_content=False)
        return reply.SerializeToString()


def gateway_of(answer: Callable[[int], dict[str, NDArray[Any]]], *flags: str) -> Gateway:
    """Return a gateway in front of them."""
    servers: Any = Servers(answer)
    return Gateway(config.parse(["--model-name=m", f"--max-held-answer-bytes={MOST_BYTES}", *flags]), servers)


def known_as(task: str, dtype: str = "float32") -> Known:
    """Return a model of one number a row, and any number of outputs."""
    signature = signature_of({"x": TensorSpec("x", "float32", (None, 1))}, {"y": TensorSpec("y", dtype, (None, None))})
    return dataclasses.replace(known_of(1, signature), task=task)


def one_row(known: Known) -> Call:
    """Return a call that is joined with no other."""
    return Call(known.served, {"x": np.zeros((1, 1), np.float32)}, version=1)


async def emptied(room: Room) -> None:
    """Return once nothing is held: the thread that has read an answer tells of it before it is through."""
    async with asyncio.timeout(5):
        while room.held_bytes:  # noqa: ASYNC110 - and tells nobody of that
            await asyncio.sleep(0.001)


def even(classes: int) -> Callable[[int], dict[str, NDArray[Any]]]:
    """Return a model that has each class for as likely as the others."""
    return lambda rows: {"y": np.full((rows, classes), 1 / classes, np.float32)}


async def asked(gateway: Gateway, known: Known, rows: int, top: int = 0) -> Any:
    """Return the answer of `/predict` about so many rows."""
    given = inputs.group([{"x": np.zeros(1, np.float32)}] * rows, known.served, is_single=rows == 1)
    body, _ = await gateway.answer(known, given, top)
    return json.loads(body)


def test_callers_who_want_classes_listed_pay_for_their_own_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    real = answers.answers

    def counted(known: Known, outputs: Any, top: int = 0) -> Any:
        made.append(len(outputs["y"]) * max(1, top))
        return real(known, outputs, top)

    async def main() -> None:
        gateway, known = gateway_of(even(1000)), known_as("classification")
        found = await asyncio.gather(*(asked(gateway, known, 1, 900 + i) for i in range(32)))
        assert [len(answer["classes"]) for answer in found] == list(range(900, 932))

    monkeypatch.setattr(answers, "answers", counted)
    asyncio.run(main())
    # Each made all rows' of all callers: 32 times as many.
    assert sum(made) < 2 * 32 * 932


def test_classes_that_would_take_more_than_there_is_are_refused_and_fewer_are_listed() -> None:
    async def main() -> None:
        gateway, known = gateway_of(even(50_000)), known_as("classification")
        with pytest.raises(InputError, match="max_held_answer_bytes"):
            await asked(gateway, known, 8, 50_000)
        await asked(gateway, known, 1, 1)
        tracemalloc.start()
        answer = await asked(gateway, known, 1, 50_000)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert [one["label"] for one in answer["classes"]] == [str(i) for i in range(50_000)]
        # 12 of them are the JSON that this test reads.
        assert peak < 22 << 20

    asyncio.run(main())


def test_many_labels_of_many_rows_are_made_a_few_rows_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    rows_at_once = []
    real = answers.answers

    def counted(known: Known, outputs: Any, top: int = 0) -> Any:
        rows_at_once.append(len(outputs["y"]))
        return real(known, outputs, top)

    async def main() -> None:
        found = await asked(gateway_of(even(5000)), known_as("multilabel"), 16)
        assert [len(answer["probabilities"]) for answer in found["predictions"]] == [5000] * 16

    monkeypatch.setattr(answers, "answers", counted)
    asyncio.run(main())
    assert rows_at_once == [1] * 16


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((1, MOST_BYTES // 8 + 1), np.int64),
        np.full((1, MOST_BYTES // tensors.STRING_BYTES + 1), b"", object),
        np.zeros((1, MOST_BYTES, 0), np.float32),
    ],
    ids=["int64", "texts", "lists of nothing"],
)
def test_what_takes_more_than_its_message_counts_as_what_it_takes(array: NDArray[Any]) -> None:
    async def main() -> None:
        gateway, known = (
            gateway_of(lambda _: {"y": array}),
            known_as("raw", "string" if array.dtype == object else array.dtype.name),
        )
        with pytest.raises(NeverFitsError):
            await gateway.run_as_asked(one_row(known))

    asyncio.run(main())


def test_a_long_text_counts_with_its_bytes_while_it_is_used() -> None:
    async def main() -> None:
        long = np.array([[b"a" * (3 << 20)]], object)
        gateway, known = gateway_of(lambda _: {"y": long, "z": long}), known_as("raw", "string")
        result: Result | None = await gateway.run_as_asked(one_row(known))
        assert result is not None
        room = gateway._servers.room
        assert 6 << 20 <= room.held_bytes <= result.size < 7 << 20
        result = None
        await emptied(room)

    asyncio.run(main())


def test_what_is_told_of_a_version_is_made_once_however_many_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []

    def told(known: Known, _config: Config) -> int:
        made.append(known)
        return known.version

    async def main() -> None:
        gateway, versions = gateway_of(even(1)), [known_as("raw"), known_as("raw")]
        for known in versions:
            monkeypatch.setattr(gateway.knowledge, "_current", known)
            for _ in range(5):
                assert await gateway.about(told) == (known, 1)
        assert made == versions

    asyncio.run(main())


def test_answers_about_examples_are_held_until_they_are_written_and_take_turns() -> None:
    reply, held = bytes(5 << 20), []

    async def main() -> None:
        gateway = gateway_of(even(1))
        servers: Any = gateway._servers

        async def call(_method: str, _message: bytes, _seconds: float) -> bytes:
            await asyncio.sleep(0)
            return reply

        def written(given: bytes) -> int:
            held.append(servers.room.held_bytes)
            return len(given)

        servers.call = call
        asked = Examples("Classify", "serving_default", b"", 4)
        assert await asyncio.gather(*(gateway.examples(asked, written) for _ in range(4))) == [len(reply)] * 4
        assert servers.room.held_bytes == 0

    asyncio.run(main())
    assert held == [len(reply)] * 4


@pytest.mark.parametrize("version", [None, 1])
def test_who_waits_for_room_waits_no_longer_than_a_request_may_take(version: int | None) -> None:
    async def main() -> None:
        gateway, known = gateway_of(even(20_000), "--request-timeout-seconds=2"), known_as("raw")
        call = dataclasses.replace(one_row(known), version=version)
        # Of an answer like this it is known that it takes room.
        await gateway.run(call)
        await emptied(gateway._servers.room)
        gateway._servers.room.take(MOST_BYTES - 1000, 0)
        async with asyncio.timeout(10):
            with pytest.raises(TooSlowError):
                await gateway.run(call)

    asyncio.run(main())
