"""What is remembered of versions, and what is not."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from model_api import config
from model_api import knowledge as module
from model_api.errors import ApiError
from model_api.knowledge import Knowledge
from model_description.protos import serving_pb2
from serving_codec.status import Code, ServingError


class Servers:
    """Servers that have the model's version 1 alone, and how often they were asked."""

    found = 1

    def __init__(self) -> None:
        self.asked: list[int] = []
        self.signatures = serving_pb2.SignatureDefMap()

    async def call(self, method: str, request: bytes, _seconds: float) -> bytes:
        """Answer GetModelMetadata of version 1."""
        assert method == "GetModelMetadata"
        version = serving_pb2.GetModelMetadataRequest.FromString(request).model_spec.version.value
        self.asked.append(version)
        await asyncio.sleep(0)
        if version > 1:
            raise ServingError(Code.NOT_FOUND, f"no version {version}")
        reply = serving_pb2.GetModelMetadataResponse()
        reply.model_spec.version.value = 1
        reply.metadata["signature_def"].value = self.signatures.SerializeToString()
        return reply.SerializeToString()


@pytest.fixture
def servers() -> Servers:
    """Return the servers."""
    return Servers()


def made(servers: Any) -> Knowledge:
    """Return what knows nothing yet."""
    return Knowledge(config.parse(["--server=servers:8500", "--model-name=m"]), servers)


def test_versions_nobody_has_are_told_and_not_kept(servers: Servers) -> None:
    async def ask() -> None:
        knowledge = made(servers)
        for version in range(2, 1002):
            with pytest.raises(ApiError, match=f"no version {version}"):
                await knowledge.of(version)
        await asyncio.sleep(0)
        assert not knowledge._versions

    asyncio.run(ask())


def test_a_version_is_looked_up_once_by_all_who_ask_and_a_failed_one_again(servers: Servers) -> None:
    async def ask() -> None:
        knowledge = made(servers)
        known = await asyncio.gather(*(knowledge.of(1) for _ in range(5)))
        assert len({id(one) for one in known}) == 1
        assert await knowledge.of(1) is known[0]
        failed = await asyncio.gather(*(knowledge.of(2) for _ in range(5)), return_exceptions=True)
        assert all(isinstance(error, ApiError) for error in failed)
        with pytest.raises(ApiError):
            await knowledge.of(2)

    asyncio.run(ask())
    assert servers.asked == [1, 2, 2]


def test_what_was_made_of_a_version_stays_while_its_servers_say_the_same(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "AGAIN_SECONDS", -1.0)

    async def ask() -> None:
        knowledge = made(servers)
        known = await knowledge.newest()
        assert await knowledge.newest() is known
        servers.signatures.signature_def["more"].method_name = "m"
        assert await knowledge.newest() is not known

    asyncio.run(ask())
