"""Which models are served: names, paths, version policies and labels, from flags or a ModelServerConfig."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from serving_codec.status import ServingError, invalid_argument

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

PLATFORM = "tensorflow"
# ModelServerConfig's deprecated way to say so (model_server_config.proto, ModelType).
DEPRECATED_TENSORFLOW = 1
ABSOLUTE_PATH_OR_URI = re.compile(r"/|[A-Za-z][A-Za-z0-9+.-]*://")


@dataclass(frozen=True)
class Policy:
    """Which versions on disk are wanted: the `latest` highest, all of them (None), or `specific` ones."""

    latest: int | None = 1
    specific: frozenset[int] = frozenset()

    def wanted(self, found: Mapping[int, Path]) -> dict[int, Path]:
        """Return the versions to serve of those found."""
        if self.specific:
            return {number: path for number, path in found.items() if number in self.specific}
        chosen = sorted(found, reverse=True)[: self.latest]
        return {number: found[number] for number in chosen}

    def missing(self, found: Mapping[int, Path]) -> list[int]:
        """Return the versions named that are not there."""
        return sorted(self.specific - set(found))


@dataclass(frozen=True)
class ModelConfig:
    """One model: its name, the parent of its version directories, its policy, and its versions' labels."""

    name: str
    base_path: str
    policy: Policy = Policy()
    labels: Mapping[str, int] = field(default_factory=dict)


def from_proto(message: Any) -> list[ModelConfig]:
    """Return the models of a ModelServerConfig; raise INVALID_ARGUMENT in upstream's words.

    The order of the checks and their texts are those of model_servers/server_core.cc.
    """
    if message.WhichOneof("config") == "custom_model_config":
        raise invalid_argument("custom_model_config is not supported: use model_config_list")
    seen: set[str] = set()
    models = []
    for config in message.model_config_list.config:
        if config.name in seen:
            raise invalid_argument(f"Illegal to list model {config.name} multiple times in config list")
        seen.add(config.name)
        models.append(_model(config))
    return models


def _model(config: Any) -> ModelConfig:
    if not ABSOLUTE_PATH_OR_URI.match(config.base_path):
        raise invalid_argument(
            f"Expected model {config.name} to have an absolute path or URI; got base_path()={config.base_path}"
        )
    _check_platform(config)
    if config.HasField("logging_config"):
        # The stock binary has no logger either, and tells so in these words.
        raise ServingError(invalid_argument("").code, "No request-logger-creator provided.")
    return ModelConfig(config.name, config.base_path, _policy(config.model_version_policy), dict(config.version_labels))


def _check_platform(config: Any) -> None:
    if config.model_type and config.model_platform:
        raise invalid_argument(
            "Illegal setting both ModelServerConfig::model_type (deprecated) and ModelServerConfig::model_platform, "
            f"model name is {config.name}"
        )
    if not config.model_type and not config.model_platform:
        raise invalid_argument(
            "Illegal setting neither ModelServerConfig::model_type (deprecated) nor ModelServerConfig::model_platform, "
            f"model name is {config.name}"
        )
    if config.model_platform not in {"", PLATFORM} or config.model_type not in {0, DEPRECATED_TENSORFLOW}:
        raise invalid_argument(f"Model {config.name} requests unsupported platform {config.model_platform}")


def _policy(message: Any) -> Policy:
    match message.WhichOneof("policy_choice"):
        case "all":
            return Policy(latest=None)
        case "specific":
            return Policy(specific=frozenset(message.specific.versions))
        case _:
            return Policy(latest=message.latest.num_versions or 1)
