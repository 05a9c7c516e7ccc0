"""saved_model.pb read and written without TensorFlow: its signatures, its description, and what is wrong with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from model_description import saved_model
from model_description.description import Description
from model_description.errors import DescriptionError, SavedModelError
from model_description.protos import serving_pb2

if TYPE_CHECKING:
    from pathlib import Path


def write(folder: Path, *tags: str) -> Path:
    """Write a SavedModel with one signature into each graph, tagged as told, and return its folder."""
    content = serving_pb2.SavedModel(saved_model_schema_version=1)
    for tag in tags:
        graph = content.meta_graphs.add()
        graph.meta_info_def.tags.extend(tag.split(","))
        for tensors, name in ((graph.signature_def[tag].inputs, "x"), (graph.signature_def[tag].outputs, "y")):
            tensors[name].dtype = serving_pb2.DT_FLOAT
            tensors[name].tensor_shape.dim.add(size=-1)
    folder.mkdir(exist_ok=True)
    (folder / "saved_model.pb").write_bytes(content.SerializeToString())
    return folder


def test_only_the_serving_graph_counts(tmp_path: Path) -> None:
    write(tmp_path, "train", "serve,gpu", "serve")
    saved_model.describe(tmp_path, Description(key="abc"))
    assert set(saved_model.read_signatures(tmp_path)) == {"serve"}
    content = serving_pb2.SavedModel.FromString((tmp_path / "saved_model.pb").read_bytes())
    assert [len(graph.graph_def.node) for graph in content.meta_graphs] == [0, 0, 4]


def test_model_that_says_nothing_has_no_description(tmp_path: Path) -> None:
    assert saved_model.read_description(write(tmp_path, "serve")) is None


def test_latest_description_is_read(tmp_path: Path) -> None:
    write(tmp_path, "serve")
    for key in ("first", "second"):
        saved_model.describe(tmp_path, Description(key=key))
    assert saved_model.read_description(tmp_path) == Description(key="second")
    assert [path.name for path in tmp_path.iterdir()] == ["saved_model.pb"]


def test_description_that_is_none_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "serve")
    saved_model.describe(tmp_path, Description(key="abc"))
    path = tmp_path / "saved_model.pb"
    path.write_bytes(path.read_bytes().replace(b'"format":1', b'"format":9'))
    with pytest.raises(DescriptionError, match="format: expected 1, the one known here, found 9"):
        saved_model.read_description(tmp_path)


def test_model_without_a_serving_graph_is_told_with_the_tags_it_has(tmp_path: Path) -> None:
    with pytest.raises(SavedModelError, match=r"has no graph with the tag 'serve'; it has {train}"):
        saved_model.read_signatures(write(tmp_path, "train"))


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SavedModelError, match=r"saved_model\.pb cannot be read: No such file"):
        saved_model.describe(tmp_path, Description())


def test_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "saved_model.pb").write_bytes(b"\x0a\xff")
    with pytest.raises(SavedModelError, match=r"saved_model\.pb is not a SavedModel"):
        saved_model.read_description(tmp_path)


def test_digest_of_the_weights_changes_with_any_of_their_bytes_and_nothing_else(tmp_path: Path) -> None:
    write(tmp_path, "serve")
    (tmp_path / "variables").mkdir()
    (tmp_path / "variables" / "variables.index").write_bytes(b"index")
    before = saved_model.weights_sha256(tmp_path)
    saved_model.describe(tmp_path, Description(key="abc"))
    assert saved_model.weights_sha256(tmp_path) == before
    (tmp_path / "variables" / "variables.index").write_bytes(b"indeX")
    assert saved_model.weights_sha256(tmp_path) != before
