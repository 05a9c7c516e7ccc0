"""A model that describes itself is asked over gRPC, for the exact version, batching on or off."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tensorflow_serving.apis import get_model_metadata_pb2

from model_description import saved_model
from model_description.description import SIGNATURE, Description
from tests.contract import models
from tests.contract.conftest import Server
from tests.contract.test_predict import request

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PADDED = """
    max_batch_size { value: 8 }
    batch_timeout_micros { value: 1000 }
    allowed_batch_sizes: 4
    allowed_batch_sizes: 8
"""


def alone(_: Path) -> tuple[str, ...]:
    """Return the flags of a server without batching."""
    return ()


def batched(_: Path) -> tuple[str, ...]:
    """Return the flags of a server that batches by upstream's defaults."""
    return ("--enable_batching",)


def padded(folder: Path) -> tuple[str, ...]:
    """Return the flags of a server that pads batches to 4 or 8 rows."""
    (folder / "batching.txt").write_text(PADDED)
    return ("--enable_batching", f"--batching_parameters_file={folder / 'batching.txt'}")


def by_model(folder: Path) -> tuple[str, ...]:
    """Return the flags of a server that batches as each version's own file says."""
    for version in ("1", "2"):
        (folder / "models" / version / "batching_params.pbtxt").write_text(PADDED)
    return ("--enable_batching", "--enable_per_model_batching_parameters")


def described(folder: Path, key: str) -> bytes:
    """Export the line with a description and return the description."""
    description = Description(task="regression", labels=("é",), key=key)
    models.line(folder, 0.5)
    saved_model.describe(folder, description)
    return description.render()


@pytest.mark.lengthy
@pytest.mark.parametrize("flags_of", [alone, batched, padded, by_model])
def test_each_version_answers_with_its_own_description(
    command: str, tmp_path: Path, flags_of: Callable[[Path], tuple[str, ...]]
) -> None:
    wanted = {number: described(tmp_path / "models" / str(number), f"key {number}") for number in (1, 2)}
    config = (
        f'model_config_list {{ config {{ name: "line" base_path: "{tmp_path / "models"}" '
        'model_platform: "tensorflow" model_version_policy { all {} } } }'
    )
    (tmp_path / "models.txt").write_text(config)
    flags = (f"--model_config_file={tmp_path / 'models.txt'}", *flags_of(tmp_path))
    with Server(command, None, *flags) as server:
        server.wait_for_versions(*wanted)
        for number, description in wanted.items():
            for rows in (1, 3):
                asked: Any = request(SIGNATURE, request=[b""] * rows)
                asked.model_spec.version.value = number
                reply = server.prediction.Predict(asked, timeout=10)
                assert reply.model_spec.version.value == number
                assert reply.outputs["description"].string_val[:] == [description] * rows
        assert server.prediction.Predict(request(x=[1.0]), timeout=10).outputs["y"].float_val[:] == [2.5]


def test_metadata_shows_the_signature_and_rest_answers_it(command: str, tmp_path: Path) -> None:
    wanted = described(tmp_path / "1", "key")
    with Server(command, tmp_path) as server:
        asked = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
        asked.model_spec.name = "line"
        found = get_model_metadata_pb2.SignatureDefMap()
        server.prediction.GetModelMetadata(asked, timeout=10).metadata["signature_def"].Unpack(found)
        assert set(found.signature_def[SIGNATURE].inputs) == {"request"}
        assert SIGNATURE in server.get("/v1/models/line/metadata").json()["metadata"]["signature_def"]["signature_def"]
        reply = server.post({"signature_name": SIGNATURE, "instances": [""]})
        assert reply.json() == {"predictions": [wanted.decode()]}
