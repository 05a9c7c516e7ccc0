"""A connection through a cable that can be cut: neither side hears of it."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
from typing import Self


class Cable:
    """A client's socket, and a proxy between it and a port of the loopback that can stop forwarding without a word."""

    def __init__(self, port: int) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            self.client = socket.create_connection(listening.getsockname(), timeout=10)
            self._near, _ = listening.accept()
        self._far = socket.create_connection(("127.0.0.1", port), timeout=10)
        self._is_cut = threading.Event()
        self._forwarding = threading.Thread(target=self._forward, daemon=True)
        self._forwarding.start()

    def __enter__(self) -> Self:
        """Return at once."""
        return self

    def __exit__(self, *_: object) -> None:
        """Let go of everything."""
        self.cut()
        for end in (self.client, self._near, self._far):
            end.close()

    def cut(self) -> None:
        """Forward nothing more; both sides still see an open connection."""
        self._is_cut.set()
        self._forwarding.join()

    def is_let_go(self) -> bool:
        """Tell whether the far side has hung up on a cable that is cut."""
        self._far.settimeout(0)
        try:
            while self._far.recv(65536):
                pass
        except BlockingIOError:
            return False
        except ConnectionError:
            pass
        return True

    def _forward(self) -> None:
        ways = {self._near: self._far, self._far: self._near}
        with contextlib.suppress(OSError):
            while not self._is_cut.is_set():
                readable, _, _ = select.select(list(ways), [], [], 0.02)
                for end in readable:
                    data = end.recv(65536)
                    if not data:
                        return
                    ways[end].sendall(data)
