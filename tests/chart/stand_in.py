"""A stand-in for the api, which the commands and the pod of a release are tried on."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tests import http_server

if TYPE_CHECKING:
    from collections.abc import Iterator

Reply = tuple[int, dict[str, Any]]

SEVEN: Reply = (200, {"prediction": "7", "probability": "0.9987"})
AWAY: Reply = (503, {"error": "no server answers"})
EXAMPLE = {"request": {"input": [0, 128, 255, 1.5]}, "response": SEVEN[1]}


class Api:
    """What the stand-in answers to /predict, in order (the last for ever), and the bodies it was sent."""

    def __init__(self, replies: list[Reply], *, example: Any = EXAMPLE, answered_by: str = "3", **facts: Any) -> None:
        self.replies = replies
        self.answered_by = answered_by
        self.model = {"name": "mnist", "version": 3, "problem": None, "inputs": {"image": {}}, "example": example}
        self.model |= facts
        self.ready: Reply = (200, {"name": "mnist", "ready": True})
        self.bodies: list[Any] = []

    def predict(self, body: bytes) -> Reply:
        """Return the next reply to a body."""
        self.bodies.append(json.loads(body))
        return self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]

    def get(self, path: str) -> Reply:
        """Return the reply to a path."""
        return {"/v1/model": (200, self.model), "/v2/models/mnist/ready": self.ready}.get(path, (404, {}))


@contextmanager
def listening(api: Api) -> Iterator[str]:
    """Serve the stand-in on a free port while the block runs; yield its URL."""

    class Handler(http_server.Handler):
        def get(self) -> None:
            self.answer(api.get(self.path))

        def post(self) -> None:
            body = self.body()
            self.answer(api.predict(body) if self.path == "/predict" else (404, {}))

        def answer(self, reply: Reply) -> None:
            status, body = reply
            self.reply(status, json.dumps(body).encode(), X_Model_Version=api.answered_by)

    with http_server.serving(Handler) as url:
        yield url
