"""What the containers are told is what their programs understand: each program's own parser reads it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import model_api.config
import model_loader.config
import trainer.config
from model_loader.store import Wanted
from tests.chart.rendering import KEY, SERVING, at, environment, render
from trainer.config import Parameters

if TYPE_CHECKING:
    from tests.chart.rendering import Rendered


def trainer_config(rendered: Rendered) -> trainer.config.Config:
    """Return what the trainer makes of its container."""
    container = rendered.container("training")
    return trainer.config.parse(container.get("args", []), environment(container))


def loader_config(rendered: Rendered, component: str) -> model_loader.config.Config:
    """Return what the loader makes of its container in a component's pod."""
    container = rendered.container(component, "loader")
    return model_loader.config.parse(container.get("args", []), environment(container))


def api_config(rendered: Rendered) -> model_api.config.Config:
    """Return what the api makes of its container."""
    container = rendered.container("api")
    return model_api.config.parse(container.get("args", []), environment(container))


def test_trainer_reads_the_values(everything: Rendered) -> None:
    config = trainer_config(everything)
    assert config.parameters == Parameters(
        epochs=11, batch_size=128, hidden_units=256, dropout=0.35, learning_rate=0.0025, seed=2147483647
    )
    assert (config.dataset, config.min_accuracy) == ("fashion-mnist", 0.81)
    assert (config.model_name, config.model_store) == ("clothes", Path("/model-store"))
    assert config.data_dir == Path("/training-data")


def test_trainer_and_loaders_agree_on_the_key(default: Rendered) -> None:
    key = at(default.workload("training"), "metadata.labels")[KEY]
    assert trainer_config(default).model_key == key
    for component in SERVING:
        assert loader_config(default, component).wanted == Wanted("mnist", key, None)


def test_small_and_large_numbers_arrive_whole() -> None:
    rendered = render({"training": {"params": {"seed": 2_000_000_000, "learningRate": 1e-05, "epochs": 10_000}}})
    parameters = trainer_config(rendered).parameters
    assert (parameters.seed, parameters.learning_rate, parameters.epochs) == (2_000_000_000, 1e-05, 10_000)


def test_decimals_of_set_arrive_as_numbers() -> None:
    flags = "--set=training.minAccuracy=0.975,training.params.dropout=0,api.requestTimeoutSeconds=2.5"
    rendered = render({}, flags)
    assert trainer_config(rendered).min_accuracy == 0.975
    assert trainer_config(rendered).parameters.dropout == 0
    assert api_config(rendered).request_timeout_seconds == 2.5


@pytest.mark.parametrize("component", SERVING)
def test_loader_reads_the_values(everything: Rendered, component: str) -> None:
    config = loader_config(everything, component)
    assert (config.timeout_seconds, config.verify) == (1200, True)
    assert (config.model_store, config.target) == (Path("/model-store"), Path("/models"))
    assert config.manifest_only is (component == "api")


@pytest.mark.parametrize("component", SERVING)
def test_check_can_be_switched_off(component: str) -> None:
    rendered = render({"modelStore": {"verify": {"enabled": False}}})
    assert loader_config(rendered, component).verify is False


@pytest.mark.parametrize("version", [3, "3", 1_700_000_000])
def test_pinned_version_is_waited_for_under_any_key(version: object) -> None:
    rendered = render({"model": {"version": version}})
    for component in SERVING:
        assert loader_config(rendered, component).wanted == Wanted("mnist", "", int(str(version)))


def test_newest_version_of_any_key_is_served_when_nothing_is_trained() -> None:
    rendered = render({"training": {"enabled": False}})
    for component in SERVING:
        assert loader_config(rendered, component).wanted == Wanted("mnist", "", None)
        assert KEY not in at(rendered.workload(component), "spec.template.metadata.labels")


def test_api_reads_the_values(everything: Rendered) -> None:
    config = api_config(everything)
    assert (config.model_name, config.signature_name) == ("clothes", "classify")
    assert (config.max_body_bytes, config.max_images_per_request) == (1000004, 104)
    assert (config.batch_size, config.queue_size, config.request_timeout_seconds) == (24, 1004, 4.5)
    assert config.drain_seconds == 4


def test_api_finds_server_and_manifest(rendered: Rendered) -> None:
    config = api_config(rendered)
    headless = next(item for item in rendered.of_kind("Service") if item["spec"].get("clusterIP") == "None")
    assert config.server == f"{at(headless, 'metadata.name')}:{at(headless, 'spec.ports')[0]['port']}"
    assert config.manifest == Path("/models") / config.model_name / "manifest.json"
    assert config.port == at(rendered.workload("api"), "spec.template.spec.containers")[0]["ports"][0]["containerPort"]


def test_server_serves_what_the_loader_hands_over(everything: Rendered) -> None:
    container = everything.container("server")
    assert container["command"] == ["tensorflow_model_server"]
    assert container["args"] == [
        "--port=8500",
        "--rest_api_port=8501",
        "--model_name=clothes",
        "--model_base_path=/models/clothes",
        "--file_system_poll_wait_seconds=33",
        "--enable_batching=true",
        "--batching_parameters_file=/etc/tensorflow-serving/batching_parameters.txt",
        "--monitoring_config_file=/etc/tensorflow-serving/monitoring_config.txt",
        "--ssl_config_file=/ssl-config/ssl_config.txt",
        "--tensorflow_intra_op_parallelism=3",
    ]
