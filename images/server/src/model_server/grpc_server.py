"""grpc.aio's server with a hole closed: a call to a path that is not UTF-8 ended the whole server.

Its main loop decodes the path of every call to a method nobody has registered, and an error there is the end of it
(grpcio 1.85, _cygrpc/aio/server.pyx.pxi, AioServer._server_main_loop). Our methods are all registered, so any other
call is answered here, whatever its path. tests/contract/test_grpc_limits.py sends one.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import grpc
from grpc._cython import cygrpc
from grpc.aio import _server

if TYPE_CHECKING:
    from collections.abc import Sequence

LOG = logging.getLogger(__name__)


class _Core(cygrpc.AioServer):  # type: ignore[misc]
    async def _request_call(self) -> Any:
        """Answer calls to methods that there are not; return when the server stops."""
        loop = asyncio.get_running_loop()
        answering: set[asyncio.Task[None]] = set()
        while True:
            state = await super()._request_call()
            task = loop.create_task(_refuse(cygrpc._ServicerContext(state, None, None, loop)))  # noqa: SLF001
            answering.add(task)
            task.add_done_callback(answering.discard)
            del state


async def _refuse(context: Any) -> None:
    try:
        await context.abort(grpc.StatusCode.UNIMPLEMENTED, "Method not found!")
    except grpc.aio.AbortError:
        pass
    except grpc.aio.BaseError:
        LOG.debug("a caller of an unknown method has left")


class Server(_server.Server):
    """A gRPC server on the running event loop; handlers must be registered, not generic."""

    def __init__(self, options: Sequence[tuple[str, Any]]) -> None:
        self._loop = cygrpc.get_working_loop()
        self._server = _Core(self._loop, None, (), None, tuple(options), None)
