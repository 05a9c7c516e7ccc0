"""What is asked of the current version is asked again where that was another by then."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from model_api.errors import InputError, ModelError
from model_api.gateway import Gateway


class Knowing:
    """A gateway that takes `kept` for current until it looks, and then knows `fresh`."""

    def __init__(self, kept: str, fresh: str) -> None:
        self.knowledge = SimpleNamespace(served=self._told(kept), fresh=self._told(fresh))
        self.looks: list[str] = []

    def _told(self, signature: str) -> Any:
        async def told() -> Any:
            self.looks.append(signature)
            return SimpleNamespace(signature=signature)

        return told


def asked(gateway: Any, accepted: str, error: Exception | None = None) -> str:
    """Return the signature that was answered, of a body that fits one alone."""

    async def ask(known: Any) -> str:
        if known.signature != accepted:
            raise error or InputError("expected something else")
        return str(known.signature)

    return asyncio.run(Gateway.for_current(gateway, ask))


def test_what_fits_the_next_version_is_answered_by_it() -> None:
    assert asked(Knowing("pixels", "words"), "words") == "words"


def test_what_fits_is_asked_once() -> None:
    gateway = Knowing("pixels", "words")
    assert asked(gateway, "pixels") == "pixels"
    assert gateway.looks == ["pixels"]


def test_what_fits_no_version_is_refused() -> None:
    with pytest.raises(InputError, match="something else"):
        asked(Knowing("pixels", "pixels"), "words")


def test_other_errors_are_nobodys_version() -> None:
    gateway = Knowing("pixels", "words")
    with pytest.raises(ModelError):
        asked(gateway, "words", ModelError("the model failed"))
    assert gateway.looks == ["pixels"]
