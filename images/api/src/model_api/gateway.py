"""What the gateway knows of its model, and how it asks it."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from model_api import body, messages, model
from model_api.batcher import Batcher
from model_api.errors import UnavailableError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from model_api.config import Config
    from model_api.servers import Servers

LOG = logging.getLogger(__name__)
METADATA_TIMEOUT_SECONDS = 2.0
# A probe's answer is good for this long, so that probes cost no more than a call every so often.
READY_SECONDS = 1.0


class Gateway:
    """One model behind the HTTP interface; knows arrays and the model, nothing of sockets."""

    def __init__(self, config: Config, servers: Servers) -> None:
        # For the life of the process.
        self._config = config
        self._servers = servers
        self._manifest = model.read_manifest(config.manifest)
        self._batcher = Batcher(self._ask, lambda: servers.count, config.batch_size, config.queue_size)
        self._learning = asyncio.Lock()
        # As versions change.
        self._model: model.Model | None = None
        # Between probes.
        self._ready_until = 0.0
        self.is_draining = False

    @property
    def version(self) -> int | None:
        """Return the version that answered last, if any has."""
        return self._model.version if self._model else None

    async def predict(self, content: bytes) -> dict[str, Any]:
        """Return the answer to a `/predict` body; raise an ApiError that says what is wrong."""
        known = self._model or await self._learn()
        images = body.parse(content, known.signature, self._config.max_images_per_request)
        scores, version = await self._batcher.submit(images.numbers, self._config.request_timeout_seconds)
        if version != known.version:
            known = await self._learn()
        classes = scores.argmax(axis=1)
        answers = [
            {"prediction": known.label(int(index)), "probability": f"{row[index]:.4f}"}
            for row, index in zip(scores, classes, strict=True)
        ]
        single: dict[str, Any] = answers[0]
        return single if images.is_single else {"predictions": answers}

    async def facts(self) -> dict[str, Any]:
        """Return what is known of the served model; raise UnavailableError when no server answers."""
        return (await self._learn()).facts()

    async def served_model(self) -> model.Model:
        """Return the served model; raise UnavailableError while none is known."""
        return self._model or await self._learn()

    async def check_ready(self) -> None:
        """Return when a server predicts; raise UnavailableError with the reason otherwise."""
        if self.is_draining:
            raise UnavailableError("shutting down")
        if time.monotonic() < self._ready_until:
            return
        known = await self._learn()
        blank = np.zeros((1, known.signature.size), known.signature.dtype)
        await self._ask(blank, METADATA_TIMEOUT_SECONDS)
        self._ready_until = time.monotonic() + READY_SECONDS

    async def _ask(self, images: NDArray[Any], seconds: float) -> tuple[NDArray[Any], int]:
        known = self._model or await self._learn()
        config = self._config
        request = model.predict_request(
            config.model_name, config.model_version, config.signature_name, known.signature, images
        )
        response = await self._servers.predict(request, seconds)
        return model.scores_of(response, known.signature, len(images)), response.model_spec.version.value

    async def _learn(self) -> model.Model:
        """Ask the server what the model takes; remember and return it."""
        async with self._learning:
            request = messages.GetModelMetadataRequest(metadata_field=["signature_def"])
            request.model_spec.name = self._config.model_name
            if self._config.model_version is not None:
                request.model_spec.version.value = self._config.model_version
            response = await self._servers.get_metadata(request.SerializeToString(), METADATA_TIMEOUT_SECONDS)
            signature = model.signature_of(response, self._config.signature_name)
            version = response.model_spec.version.value
            manifest = self._manifest if self._manifest.get("version", version) == version else {}
            learned = model.Model(self._config.model_name, version, signature, manifest)
            if learned != self._model:
                LOG.info(
                    "model %s version %s: input %s %s",
                    learned.name,
                    version,
                    signature.shape,
                    signature.dtype,
                )
            self._model = learned
            return learned
