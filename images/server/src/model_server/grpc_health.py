"""grpc.health.v1 that means it: the names upstream has, and one for each model, which follows the model.

`""`, `ModelService` and `PredictionService` are SERVING while the process takes calls (model_servers/server.cc). A
model's name is SERVING while it has an available version. All are NOT_SERVING while the server drains.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from grpc_health.v1 import health_pb2

from serving_codec.status import Code, ServingError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from model_server.manager import Manager

SERVICE = "grpc.health.v1.Health"
OF_THE_PROCESS = ("", "ModelService", "PredictionService")
# How often a Watch looks: a model's state has no event that a loop could wait for.
WATCH_SECONDS = 0.2
Status = health_pb2.HealthCheckResponse


class Health:
    """What health checks are answered."""

    def __init__(self, manager: Manager) -> None:
        # For the life of the process.
        self._manager = manager
        # Until the end of it.
        self._drains = False

    def drain(self) -> None:
        """Answer NOT_SERVING from now on."""
        self._drains = True

    def check(self, service: str) -> Any:
        """Return the HealthCheckResponse of a service or model; raise NOT_FOUND for a name that is neither."""
        status = self._status(service)
        if status == Status.SERVICE_UNKNOWN:
            raise ServingError(Code.NOT_FOUND, f"unknown service {service[:64]}")
        return Status(status=status)

    def listed(self) -> Any:
        """Return the HealthListResponse of all names."""
        names = [*OF_THE_PROCESS, *self._manager.names()]
        return health_pb2.HealthListResponse(statuses={name: Status(status=self._status(name)) for name in names})

    async def watch(self, service: str) -> AsyncIterator[Any]:
        """Yield the status of a service or model now and whenever it has changed; SERVICE_UNKNOWN while it is none."""
        told = None
        while True:
            status = self._status(service)
            if status != told:
                told = status
                yield Status(status=status)
            await asyncio.sleep(WATCH_SECONDS)

    def _status(self, service: str) -> int:
        is_up: bool | None = True if service in OF_THE_PROCESS else self._manager.state_of(service)
        if is_up is None:
            return int(Status.SERVICE_UNKNOWN)
        return int(Status.SERVING if is_up and not self._drains else Status.NOT_SERVING)
