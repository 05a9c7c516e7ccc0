"""Several models, policies, labels, reload (docs/serving-contract.md, section 4)."""

from __future__ import annotations

import contextlib
import shutil
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from google.protobuf import text_format
from tensorflow_serving.apis import get_model_status_pb2, model_management_pb2

from tests.contract import models
from tests.contract.conftest import Server, run
from tests.contract.test_predict import request
from tests.processes import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.lengthy
SECONDS = 30


def config(name: str, base_path: Path | str, more: str = "") -> str:
    """Return one model's entry in a ModelServerConfig."""
    return f'config {{ name: "{name}", base_path: "{base_path}", model_platform: "tensorflow" {more} }}'


def listed(*configs: str) -> str:
    """Return a ModelServerConfig in text."""
    return "model_config_list: { " + "\n".join(configs) + " }"


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a version directory that answers 0.5 * x + 2; copies of it are other versions and models."""
    return models.line(tmp_path_factory.mktemp("exported") / "1", 0.5)


def filled(folder: Path, exported: Path) -> Path:
    """Return a folder, filled with model a (versions 1, 2, 3) and model b (version 5)."""
    for name, number in (("a", 1), ("a", 2), ("a", 3), ("b", 5)):
        shutil.copytree(exported, folder / name / str(number))
    return folder


@contextlib.contextmanager
def served(command: str, base: Path) -> Iterator[Server]:
    """Yield a server of both: two versions of a with labels, the newest of b; the file is read again every second."""
    labels = 'version_labels { key: "stable" value: 2 } version_labels { key: "canary" value: 3 }'
    (base / "models.config").write_text(
        listed(
            config("a", base / "a", "model_version_policy { specific { versions: 2 versions: 3 } } " + labels),
            config("b", base / "b"),
        )
    )
    flags = (
        f"--model_config_file={base / 'models.config'}",
        "--model_config_file_poll_wait_seconds=1",
        "--allow_version_labels_for_unavailable_models",
        "--max_num_load_retries=0",
        f"--reload_config_root={base}",
    )
    with Server(command, None, *flags, name="a") as server:
        server.wait_for_versions(2, 3)
        yield server


@pytest.fixture
def base(tmp_path: Path, exported: Path) -> Path:
    """Return a folder of both models."""
    return filled(tmp_path, exported)


@pytest.fixture
def server(command: str, base: Path) -> Iterator[Server]:
    """Yield a server of both, which the test may change."""
    with served(command, base) as server:
        yield server


@pytest.fixture(scope="module")
def unchanged(command: str, exported: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Yield a server of both for tests that change nothing."""
    with served(command, filled(tmp_path_factory.mktemp("unchanged"), exported)) as server:
        yield server


def reload(server: Server, text: str, *metric_names: str) -> Any:
    """Ask for another configuration and return the answer."""
    asked = model_management_pb2.ReloadConfigRequest(metric_names=metric_names)
    text_format.Parse(text, asked.config)
    return server.models.HandleReloadConfigRequest(asked, timeout=60)


def test_models_policies_and_labels_are_served(unchanged: Server) -> None:
    assert unchanged.states("a") == {3: "AVAILABLE", 2: "AVAILABLE"}
    assert unchanged.states("b") == {5: "AVAILABLE"}
    for label, version in (("stable", 2), ("canary", 3)):
        reply = unchanged.get(f"/v1/models/a/labels/{label}/metadata")
        assert reply.json()["model_spec"]["version"] == str(version)
    assert unchanged.post({"instances": [1]}, "/v1/models/a/labels/stable:predict").json() == {"predictions": [2.5]}
    asked = request(name="a", x=[1.0])
    asked.model_spec.version_label = "stable"
    assert unchanged.prediction.Predict(asked, timeout=10).model_spec.version.value == 2
    # A label in a status path is ignored on REST; gRPC resolves it.
    assert len(unchanged.get("/v1/models/a/labels/stable").json()["model_version_status"]) == 2
    status = get_model_status_pb2.GetModelStatusRequest()
    status.model_spec.name, status.model_spec.version_label = "a", "canary"
    assert [one.version for one in unchanged.models.GetModelStatus(status, timeout=10).model_version_status] == [3]


def test_reload_replaces_models_and_tells_metrics(server: Server, base: Path, exported: Path) -> None:
    (base / "models.config").unlink()
    shutil.copytree(exported, base / "c" / "8")
    counter = ":tensorflow:cc:saved_model:load_attempt_count"
    reply = reload(server, listed(config("b", base / "b"), config("c", base / "c")), counter)
    assert reply.status.error_code == 0
    assert [(metric.name, metric.int64_value_increase) for metric in reply.metric] == [(counter, 1)]
    assert server.states("c") == {8: "AVAILABLE"}
    wait_for(lambda: server.states("a") == {3: "END", 2: "END"}, "a is unloaded", SECONDS)
    assert server.post({"instances": [1]}, "/v1/models/a:predict").status_code == 404


def test_reload_of_a_broken_model_fails_and_keeps_the_others(server: Server, base: Path) -> None:
    (base / "models.config").unlink()
    (base / "d" / "1").mkdir(parents=True)
    with pytest.raises(grpc.RpcError) as refused:
        reload(server, listed(config("b", base / "b"), config("d", base / "d")))
    assert refused.value.code() is grpc.StatusCode.UNKNOWN
    assert "1 model(s) did not become available: {{{name: d version: 1} due to error: NOT_FOUND" in str(
        refused.value.details()
    )
    assert server.post({"instances": [1]}, "/v1/models/b:predict").json() == {"predictions": [2.5]}


@pytest.mark.parametrize(
    ("text", "code", "told"),
    [
        ("custom_model_config {}", "INVALID_ARGUMENT", "Only ModelConfigList is currently supported"),
        (listed(config("x", "/x"), config("x", "/x")), "INVALID_ARGUMENT", "Illegal to list model x multiple times"),
        (listed(config("x", "x")), "INVALID_ARGUMENT", "Expected model x to have an absolute path or URI"),
        (
            listed('config { name: "x" base_path: "/x" }'),
            "INVALID_ARGUMENT",
            "Illegal setting neither ModelServerConfig::model_type (deprecated) nor ModelServerConfig::model_platform",
        ),
        (
            listed('config { name: "x" base_path: "/x" model_platform: "caffe" }'),
            "INVALID_ARGUMENT",
            "Model x requests unsupported platform caffe",
        ),
    ],
)
def test_bad_configuration_is_refused(unchanged: Server, text: str, code: str, told: str) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        reload(unchanged, text)
    assert refused.value.code() is grpc.StatusCode[code]
    assert told in str(refused.value.details())
    assert unchanged.states("b") == {5: "AVAILABLE"}


def test_label_of_an_unavailable_version_cannot_be_moved(server: Server, base: Path) -> None:
    (base / "models.config").unlink()
    policy = "model_version_policy { specific { versions: 2 versions: 3 } }"
    moved = config("a", base / "a", policy + ' version_labels { key: "stable" value: 1 }')
    with pytest.raises(grpc.RpcError) as refused:
        reload(server, listed(moved))
    assert refused.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert "Request to assign label to version 1 of model a, which is not currently available" in str(
        refused.value.details()
    )


def test_config_file_is_followed_and_a_broken_one_changes_nothing(server: Server, base: Path) -> None:
    path = base / "models.config"
    path.write_text("model_config_list {")
    path.write_text(listed(config("a", base / "a", "model_version_policy { all {} }")))
    wait_for(lambda: len(server.states("a")) == 3, "every version of a is known", SECONDS)
    wait_for(lambda: set(server.states("a").values()) == {"AVAILABLE"}, "and served", SECONDS)
    wait_for(lambda: server.states("b") == {5: "END"}, "b is unloaded", SECONDS)


def test_emptied_directory_unloads_and_a_missing_one_does_not(server: Server, base: Path) -> None:
    (base / "b").rename(base / "gone")
    shutil.copytree(base / "a" / "1", base / "a" / "4")
    shutil.rmtree(base / "a" / "2")
    # Model a is looked at every second; by the time it has noticed, b has been looked at too.
    wait_for(lambda: server.states("a").get(2) == "END", "version 2 of a has gone", SECONDS)
    assert server.states("b") == {5: "AVAILABLE"}
    (base / "b").mkdir()
    wait_for(lambda: server.states("b") == {5: "END"}, "all of b is unloaded", SECONDS)
    (base / "b").rmdir()
    (base / "gone").rename(base / "b")
    wait_for(lambda: server.states("b") == {5: "AVAILABLE"}, "b is back", SECONDS)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("model_config_list {", "INVALID_ARGUMENT: Invalid protobuf file: "),
        (
            listed(config("a", "{base}/a", 'version_labels { key: "stable" value: 3 }')),
            "FAILED_PRECONDITION: Request to assign label to version 3 of model a",
        ),
        (listed(config("a", "{base}/a", "logging_config {}")), "No request-logger-creator provided."),
    ],
)
def test_bad_config_file_ends_the_start(command: str, base: Path, text: str, told: str) -> None:
    (base / "models.config").write_text(text.replace("{base}", str(base)))
    code, _, found = run(command, f"--model_config_file={base / 'models.config'}", "--max_num_load_retries=0")
    assert code == 255
    assert "Failed to start server. Error: " in found
    assert told in found
