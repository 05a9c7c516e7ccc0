"""Image references: registry, repository, then digest before tag before appVersion."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml

from ci import paths
from tests.chart.rendering import containers, name_of, pod_spec, render, render_case

if TYPE_CHECKING:
    from tests.chart.rendering import Rendered

DIGEST = "sha256:" + "b" * 64
APP_VERSION = yaml.safe_load((paths.CHART / "Chart.yaml").read_text(encoding="utf-8"))["appVersion"]


def test_defaults_are_tensorflow_serving_and_this_repositorys_images(default: Rendered) -> None:
    assert default.container("server")["image"] == "docker.io/tensorflow/serving:2.20.0"
    assert default.container("server", "loader")["image"] == f"tensorflow-model-loader:{APP_VERSION}"
    assert default.container("api")["image"] == f"tensorflow-model-api:{APP_VERSION}"
    assert default.container("training")["image"] == f"tensorflow-model-training:{APP_VERSION}"


@pytest.mark.parametrize(
    ("image", "reference"),
    [
        pytest.param({}, f"tensorflow-model-api:{APP_VERSION}", id="nothing"),
        pytest.param({"tag": "1"}, "tensorflow-model-api:1", id="tag"),
        pytest.param({"tag": "1", "digest": DIGEST}, f"tensorflow-model-api@{DIGEST}", id="digest-and-tag"),
        pytest.param(
            {"registry": "localhost:5001"}, f"localhost:5001/tensorflow-model-api:{APP_VERSION}", id="registry"
        ),
    ],
)
def test_reference_is_put_together(image: dict[str, Any], reference: str) -> None:
    assert render({"api": {"image": image}}).container("api")["image"] == reference


def test_global_registry_replaces_every_images_own() -> None:
    for item in render_case("drop-in-server").pod_makers():
        for container in containers(item).values():
            assert container["image"].startswith("mirror.example.com:5000/team/tensorflow-model-"), name_of(item)


def test_drop_in_server_changes_the_image_and_nothing_else() -> None:
    values = {"server": {"image": {"registry": "", "repository": "tensorflow-model-server", "tag": ""}}}
    server, drop_in = render().container("server"), render(values).container("server")
    assert drop_in["image"] == f"tensorflow-model-server:{APP_VERSION}"
    assert {**drop_in, "image": server["image"]} == server


def test_pull_secrets_of_chart_and_parent_are_joined() -> None:
    values = {
        "imagePullSecrets": [{"name": "own"}, {"name": "both"}],
        "global": {"imagePullSecrets": [{"name": "both"}]},
    }
    for item in render(values).pod_makers():
        assert pod_spec(item)["imagePullSecrets"] == [{"name": "both"}, {"name": "own"}], name_of(item)


def test_pull_policy_comes_from_values(everything: Rendered) -> None:
    policies = {name: everything.container(name)["imagePullPolicy"] for name in ("training", "server", "api")}
    assert policies == {"training": "Always", "server": "Always", "api": "Never"}
    assert everything.container("server", "loader")["imagePullPolicy"] == "Never"
