"""Names: predictable, short enough, and never those of another release."""

from __future__ import annotations

import pytest

from tests.chart.rendering import at, environment, name_of, render

# A label, and so the name of a Job's pod, holds 63 characters: 5 and a dash are the pod's own.
LONGEST_JOB_NAME = 63 - 6
LONGEST_RELEASE = "a" * 52


MODEL_NAMES = ("ResNet50", "resnet_v2.1", "123", "MNIST", "my-model", "a" * 128)


def names(release: str, values: dict[str, object] | None = None) -> set[str]:
    """Return the names of a release's objects."""
    return {at(item, "metadata.name") for item in render(values, release=release).manifests}


def test_names_start_with_release_and_chart() -> None:
    job = at(render().workload("training"), "metadata.name")
    prefix = "mnist-tensorflow-model"
    assert names("mnist") == {
        prefix,
        job,
        f"{prefix}-api",
        f"{prefix}-model-store",
        f"{prefix}-server",
        f"{prefix}-server-headless",
        f"{prefix}-test",
        f"{prefix}-training",
        f"{prefix}-workspace",
        *(item["metadata"]["name"] for item in render().of_kind("ConfigMap")),
    }
    assert job.startswith(f"{prefix}-training-")
    assert len(job) == len(f"{prefix}-training-") + 8


def test_release_that_holds_the_charts_name_does_not_repeat_it() -> None:
    assert "my-tensorflow-model-api" in names("my-tensorflow-model")


def test_overrides_replace_the_name() -> None:
    assert "mnist-digits-api" in names("mnist", {"nameOverride": "digits"})
    assert "digits-api" in names("mnist", {"fullnameOverride": "digits"})


def test_long_names_fit_and_stay_apart() -> None:
    first, second = names(f"{LONGEST_RELEASE}x"), names(f"{LONGEST_RELEASE}y")
    assert not first & second
    assert max(len(name) for name in first) <= LONGEST_JOB_NAME


@pytest.mark.parametrize("name", MODEL_NAMES)
def test_model_may_be_called_what_tensorflow_serving_takes(name: str) -> None:
    rendered = render({"model": {"name": name}})
    server = rendered.container("server")
    assert {f"--model_name={name}", f"--model_base_path=/models/{name}"} <= set(server["args"])
    assert server["readinessProbe"]["httpGet"]["path"] == f"/v1/models/{name}/metadata"
    told = {environment(rendered.container(component))["MODEL_NAME"] for component in ("training", "api")}
    assert told == {environment(rendered.container("server", "loader"))["MODEL_NAME"]} == {name}
    for item in rendered.manifests:
        assert name not in {*at(item, "metadata.labels").values(), at(item, "metadata.name")}, name_of(item)
