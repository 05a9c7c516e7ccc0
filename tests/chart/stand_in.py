"""A stand-in for the api, which the commands and the pod of a release are tried on."""

from __future__ import annotations

import http.server
import json
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

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

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.reply(api.get(self.path))

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.reply(api.predict(body) if self.path == "/predict" else (404, {}))

        def reply(self, reply: Reply) -> None:
            status, body = reply
            self.send_response(status)
            self.send_header("X-Model-Version", api.answered_by)
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        def log_message(self, *_: object) -> None:
            """Keep the test's output to the test's own."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
