"""Models made of small files, stores of them, and the loader's flags for them."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from model_description.protos import serving_pb2

if TYPE_CHECKING:
    from pathlib import Path

KEY = "0123456789ab"


class MakeModel(Protocol):
    """Writes a SavedModel into a folder and returns the folder."""

    def __call__(
        self,
        folder: Path,
        *,
        signature: str = "serving_default",
        outputs: tuple[int, ...] = (10,),
        weights: bytes = b"",
    ) -> Path:
        """Write one with an output of each number of classes."""


class Publish(Protocol):
    """Publishes a version of the model mnist and returns its folder."""

    def __call__(self, key: str = KEY, version: int = 1, *, number: int = 2, **facts: Any) -> Path:
        """Write it with a manifest of format `number`."""


@pytest.fixture
def make_model() -> MakeModel:
    """Return a function that writes a SavedModel that takes images and returns scores."""

    def make(
        folder: Path, *, signature: str = "serving_default", outputs: tuple[int, ...] = (10,), weights: bytes = b""
    ) -> Path:
        saved_model = serving_pb2.SavedModel(saved_model_schema_version=1)
        graph = saved_model.meta_graphs.add()
        graph.meta_info_def.tags.append("serve")
        definition = graph.signature_def[signature]
        tensors = {
            "pixels": definition.inputs["pixels"],
            **{f"scores_{number}": definition.outputs[f"scores_{number}"] for number in range(len(outputs))},
        }
        for tensor, shape in zip(
            tensors.values(), ((-1, 28, 28), *((-1, classes) for classes in outputs)), strict=True
        ):
            tensor.name, tensor.dtype = "tensor:0", serving_pb2.DT_FLOAT
            for size in shape:
                tensor.tensor_shape.dim.add(size=size)
        (folder / "variables").mkdir(parents=True)
        (folder / "saved_model.pb").write_bytes(saved_model.SerializeToString())
        (folder / "variables" / "variables.index").write_bytes(b"index" + weights)
        return folder

    return make


@pytest.fixture
def publish(tmp_path: Path, make_model: MakeModel) -> Publish:
    """Return a function that publishes in the store of `flags`, without the package that reads it."""

    def published(key: str = KEY, version: int = 1, *, number: int = 2, **facts: Any) -> Path:
        folder = make_model(tmp_path / "store" / "mnist" / key / str(version))
        files = [
            {
                "path": path.relative_to(folder).as_posix(),
                "size_bytes": path.stat().st_size,
                "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            }
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        ]
        content = {
            "format": number,
            "model": "mnist",
            "key": key,
            "version": version,
            "created": "2026-01-02T03:04:05Z",
            "packages": {},
            **facts,
            "files": files,
        }
        covered = files if number == 1 else content
        canonical = json.dumps(covered, sort_keys=True, separators=(",", ":"))
        content["digest"] = hashlib.sha256(canonical.encode()).hexdigest()
        (folder / "manifest.json").write_text(json.dumps(content))
        return folder

    return published


@pytest.fixture
def flags(tmp_path: Path) -> list[str]:
    """Return flags for a model that should be there already."""
    (tmp_path / "store").mkdir(exist_ok=True)
    (tmp_path / "reason").touch()
    return [
        f"--model-store={tmp_path / 'store'}",
        f"--target={tmp_path / 'models'}",
        f"--termination-log={tmp_path / 'reason'}",
        "--timeout-seconds=0",
        "--poll-seconds=0",
    ]
