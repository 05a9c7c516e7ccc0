"""The examples render as they stand, and what the chart says of itself is true."""

from __future__ import annotations

import base64
from typing import Any

import pytest
import yaml

from ci import chart_docs, paths
from tests.chart.rendering import every_helm, pod_spec, render_text
from tests.chart.test_kubernetes_schema import VERSIONS, problems

EXAMPLES = {path.name.removesuffix("-values.yaml"): path for path in sorted((paths.CHART / "examples").glob("*.yaml"))}
ABOUT: dict[str, Any] = yaml.safe_load((paths.CHART / "Chart.yaml").read_text(encoding="utf-8"))


def test_there_is_an_example_for_each_of_those_who_ask() -> None:
    assert set(EXAMPLES) == {"air-gapped", "argo-cd", "gpu", "laptop", "own-model", "production"}
    for path in EXAMPLES.values():
        assert path.read_text(encoding="utf-8").startswith("# "), path.name


@every_helm
@pytest.mark.parametrize("example", EXAMPLES)
def test_example_renders_alike_by_every_helm(example: str, helm: str) -> None:
    values = EXAMPLES[example].read_text(encoding="utf-8")
    assert render_text(values, helm=helm).manifests == render_text(values).manifests


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("example", EXAMPLES)
def test_example_is_what_kubernetes_takes(example: str, version: str) -> None:
    rendered = render_text(EXAMPLES[example].read_text(encoding="utf-8"))
    assert [problem for item in rendered.manifests for problem in problems(item, version)] == []


def images(example: str) -> set[str]:
    """Return the images of an example's pods."""
    pods = [pod_spec(item) for item in render_text(EXAMPLES[example].read_text(encoding="utf-8")).pod_makers()]
    return {one["image"] for pod in pods for one in [*pod.get("initContainers", []), *pod["containers"]]}


def test_no_image_of_an_air_gapped_cluster_is_elsewhere() -> None:
    assert {image.partition("/")[0] for image in images("air-gapped")} == {"mirror.example.com:5000"}


def test_a_second_server_is_never_waited_for_on_a_node_with_one_gpu() -> None:
    rendered = render_text(EXAMPLES["gpu"].read_text(encoding="utf-8"))
    server = rendered.workload("server")["spec"]
    assert server["strategy"]["rollingUpdate"] == {"maxSurge": 0, "maxUnavailable": 1}
    gpus = [one for one in rendered.workload("training")["spec"]["template"]["spec"]["initContainers"]
            if "nvidia.com/gpu" in one["resources"].get("limits", {})]  # fmt: skip
    assert [one["name"] for one in gpus] == ["training"]


def test_chart_says_whose_it_is_and_shows_without_internet() -> None:
    assert {"home", "sources", "maintainers", "icon"} <= set(ABOUT)
    kind, _, picture = ABOUT["icon"].partition(";base64,")
    assert kind == "data:image/svg+xml"
    assert base64.b64decode(picture, validate=True).startswith(b"<svg ")


def test_images_that_are_announced_are_those_of_the_values() -> None:
    announced = {item["name"]: item["image"] for item in yaml.safe_load(ABOUT["annotations"]["artifacthub.io/images"])}
    values = chart_docs.load_values()
    components = {name for name, group in values.items() if isinstance(group, dict) and "image" in group}
    assert set(announced) == components
    for name, image in announced.items():
        tag = values[name]["image"]["tag"] or ABOUT["appVersion"]
        assert image.endswith(f"{values[name]['image']['repository']}:{tag}"), name
