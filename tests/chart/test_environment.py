"""What the containers are told is what their programs understand: each program's own parser reads it."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

import pytest

import model_api.config
import model_loader.config
import model_publisher.config
import model_server.flags
import trainer.config
from ci import chart_docs
from model_bucket.settings import Settings
from model_publisher import gates
from tests.chart.rendering import KEY, at, containers, environment, pod_spec, render, render_case

if TYPE_CHECKING:
    from tests.chart.rendering import Rendered

MODEL_NAMES = ("ResNet50", "resnet_v2.1", "123", "a" * 128)
LARGEST = 9_223_372_036_854_775_807
S3_FLAGS = tuple(f"s3_{name}" for name in Settings.__dataclass_fields__)
# What begins the names of the flags that limit a port of the drop-in, by the port's key in `server.limits`.
PORTS = {"rest": "rest_api", "grpc": "grpc"}


def snake(name: str) -> str:
    """Return a camelCase name as flags have it."""
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)


def trainer_config(rendered: Rendered) -> trainer.config.Config:
    """Return what the trainer makes of its container, and of the file that it is told its parameters in."""
    container = rendered.container("training")
    config_file = next(
        at(item, "data")["training.json"]
        for item in rendered.of_kind("ConfigMap")
        if "training.json" in at(item, "data")
    )
    arguments = container["command"][container["command"].index("trainer") + 1 :] + container.get("args", [])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "training.json"
        path.write_text(config_file, encoding="utf-8")
        variables = {**environment(container), "TRAINING_CONFIG": str(path)}
        variables.pop("CODE_DIR", None)
        with mock.patch.dict(os.environ, variables, clear=True):
            return trainer.config.parse(arguments)


def publisher_config(rendered: Rendered, name: str = "publisher") -> Any:
    """Return what the publisher makes of its container, or of that of the check."""
    container = rendered.container("training", name)
    variables = {key: value.replace("$$", "$") for key, value in environment(container).items()}
    with mock.patch.dict(os.environ, variables, clear=True):
        return model_publisher.config.parse(container["args"])


def loader_config(rendered: Rendered, name: str = "loader") -> model_loader.config.Config:
    """Return what the loader, or the follower, makes of its container in the server's pod."""
    container = rendered.container("server", name)
    with mock.patch.dict(os.environ, environment(container), clear=True):
        return model_loader.config.parse(container.get("args", []))


def api_config(rendered: Rendered) -> model_api.config.Config:
    """Return what the api makes of its container."""
    container = rendered.container("api")
    # Kubernetes makes one dollar sign of two.
    variables = {name: value.replace("$$", "$") for name, value in environment(container).items()}
    with mock.patch.dict(os.environ, variables, clear=True):
        return model_api.config.parse(container.get("args", []))


def test_trainer_reads_the_values(everything: Rendered) -> None:
    config = trainer_config(everything)
    assert config.module == "fashion_mnist"
    assert config.recipe.values() == {
        "epochs": 11,
        "batch_size": 128,
        "hidden_units": 256,
        "dropout": 0.35,
        "learning_rate": 0.0025,
        "seed": 2147483647,
    }
    assert (config.model_dir, config.result_file) == (Path("/output/model"), Path("/output/result.json"))
    assert (config.checkpoint_dir, config.log_dir) == (Path("/workspace/checkpoints"), Path("/workspace/logs"))
    assert (config.data_dir, config.data_sha256, config.checkpoint_steps) == (Path("/data"), "3" * 64, 100)


def test_publisher_reads_the_values(everything: Rendered) -> None:
    config = publisher_config(everything)
    assert (config.model_name, config.signature_name, config.run, config.revision) == (
        "clothes",
        "classify",
        "first",
        "",
    )
    assert (config.model_store, config.workspace) == (Path("/model-store"), Path("/workspaces"))
    assert gates.parse(config.gates) == [
        gates.Gate("accuracy", minimum=0.81),
        gates.Gate("loss", is_compared=True, by=0.02, goal="minimize", allows_other_data=True),
    ]
    assert (config.blessing, config.blessing_timeout_seconds) == (True, 222)
    assert (config.absolute_tolerance, config.relative_tolerance) == (0.003, 0.004)
    assert (config.keep_versions, config.keep_keys) == (4, 3)
    assert config.served_rest.startswith("http://")


def test_check_and_publisher_agree_on_the_run(rendered: Rendered) -> None:
    if not rendered.of_kind("Job"):
        return
    check, publisher = publisher_config(rendered, "check"), publisher_config(rendered)
    for name in ("model_name", "model_key", "model_store", "marker", "workspace", "run", "revision", "candidate"):
        assert getattr(check, name) == getattr(publisher, name), name


def test_recipe_decides_its_gates_unless_values_do(default: Rendered) -> None:
    assert publisher_config(default).gates is None
    assert publisher_config(render({"training": {"gates": []}})).gates == "[]"


def test_check_fetches_data_by_its_digest() -> None:
    config = publisher_config(render_case("https-data"), "check")
    assert config.data_uri == "https://data.example.com:8443/payments.tar.gz?part=$(1)"
    assert (config.data_sha256, config.ca_bundle) == ("4" * 64, Path("/ca-bundle/ca.crt"))


def test_scheduled_run_is_called_like_its_job() -> None:
    rendered = render_case("schedule")
    schedule = rendered.one("CronJob", "training")
    for container in containers(schedule).values():
        by_name = {item["name"]: item for item in container.get("env", [])}
        for name in {"RUN", "REVISION"} & set(by_name):
            path = by_name[name]["valueFrom"]["fieldRef"]["fieldPath"]
            assert path == "metadata.labels['batch.kubernetes.io/job-name']"
    assert environment(rendered.container("training", "check"))["REVISION"] == ""


def test_pinned_versions_are_kept() -> None:
    config = {"versions": ["5"], "versionLabels": {"stable": "5"}}
    rendered = render({"model": {"version": 7}, "server": {"config": config}})
    assert publisher_config(rendered).pinned_versions == {5, 7}


def test_trainer_and_loader_agree_on_the_key(default: Rendered) -> None:
    key = at(default.workload("training"), "metadata.labels")[KEY]
    assert publisher_config(default).model_key == key
    loader = loader_config(default)
    assert (loader.model_name, loader.model_key, loader.model_version) == ("mnist", key, None)


def test_small_and_large_numbers_arrive_whole() -> None:
    rendered = render({"training": {"params": {"seed": 2_000_000_000, "learningRate": 1e-05, "epochs": 10_000}}})
    parameters: Any = trainer_config(rendered).recipe
    assert (parameters.seed, parameters.learning_rate, parameters.epochs) == (2_000_000_000, 1e-05, 10_000)


def test_decimals_of_set_arrive_as_numbers() -> None:
    flags = (
        "--set=training.gates[0].metric=accuracy,training.gates[0].min=0.975",
        "--set=training.params.dropout=0.25,api.requestTimeoutSeconds=2.5",
    )
    rendered = render({}, *flags)
    assert gates.parse(publisher_config(rendered).gates) == [gates.Gate("accuracy", minimum=0.975)]
    assert trainer_config(rendered).recipe.values()["dropout"] == 0.25
    assert api_config(rendered).request_timeout_seconds == 2.5


def test_loader_reads_the_values(everything: Rendered) -> None:
    config = loader_config(everything)
    assert (config.timeout_seconds, config.verify, config.follow) == (1200, True, False)
    assert (config.model_store, config.target) == (Path("/model-store"), Path("/models"))
    assert (config.model_name, config.signature_name) == ("clothes", "classify")
    assert (config.model_task, config.size_limit) == ("classification", 6 << 30)
    assert (config.tls_dir, config.client_verify) == (Path("/tls"), True)


@pytest.mark.parametrize("name", MODEL_NAMES)
def test_every_program_takes_the_names_the_chart_takes(name: str) -> None:
    rendered = render({"model": {"name": name}})
    programs = (publisher_config(rendered), loader_config(rendered), api_config(rendered))
    assert {config.model_name for config in programs} == {name}


def test_loader_waits_long_only_for_what_takes_long() -> None:
    untrained: dict[str, Any] = {"training": {"enabled": False}}
    assert loader_config(render()).timeout_seconds == 3600
    assert loader_config(render_case("https-model")).timeout_seconds == 3600
    assert loader_config(render(untrained)).timeout_seconds == 60
    assert loader_config(render_case("image-volume")).timeout_seconds == 60
    assert loader_config(render({**untrained, "loader": {"timeoutSeconds": 5}})).timeout_seconds == 5


def test_limit_of_the_copies_can_be_left_out() -> None:
    rendered = render({"loader": {"sizeLimit": None}})
    assert loader_config(rendered).size_limit is None
    assert {"name": "models", "emptyDir": {}} in pod_spec(rendered.workload("server"))["volumes"]


def test_check_can_be_switched_off() -> None:
    values = {"training": {"enabled": False}, "modelStore": {"verify": {"enabled": False}}}
    assert loader_config(render(values)).verify is False
    assert loader_config(render(values), "follower").verify is False


@pytest.mark.parametrize(
    ("version", "number"),
    [(3, 3), ("3", 3), (1_700_000_000, 1_700_000_000), ("20240601120000", 20_240_601_120_000), (str(LARGEST), LARGEST)],
)
def test_pinned_version_is_waited_for_under_any_key(version: object, number: int) -> None:
    rendered = render({"model": {"version": version}})
    loader = loader_config(rendered)
    assert (loader.model_key, loader.model_version) == ("", number)
    assert api_config(rendered).model_version == number


def test_further_versions_and_labels_are_exact_to_the_last_digit() -> None:
    config = {"versions": [str(LARGEST - 1)], "versionLabels": {"old": str(LARGEST - 1)}}
    rendered = render({"model": {"version": str(LARGEST)}, "server": {"config": config}})
    assert loader_config(rendered).further_versions == (LARGEST - 1,)
    text = at(rendered.one("ConfigMap", "server"), "data")["model_config.txt"]
    assert f'version_labels {{ key: "old" value: {LARGEST - 1} }}' in text


def test_newest_version_of_any_key_is_followed_when_nothing_is_trained() -> None:
    rendered = render({"training": {"enabled": False}})
    for name in ("loader", "follower"):
        config = loader_config(rendered, name)
        assert (config.model_name, config.model_key, config.model_version) == ("mnist", "", None)
    assert KEY not in at(rendered.workload("server"), "spec.template.metadata.labels")


def test_follower_reads_the_values_and_looks_where_the_loader_does() -> None:
    rendered = render_case("own-model")
    loader, follower = loader_config(rendered), loader_config(rendered, "follower")
    assert (loader.follow, follower.follow) == (False, True)
    assert (follower.server_rest, follower.load_timeout_seconds) == ("http://127.0.0.1:8501", 120)
    for config in (loader, follower):
        assert (config.model_name, config.model_task) == ("Churn_v2.1", "classification")
        assert (config.model_store, config.source_path) == (Path("/model-store"), "teams/growth/churn")
        assert (config.target, config.size_limit) == (Path("/models"), 500 << 20)


def test_loader_is_told_of_an_archive_and_of_no_store() -> None:
    rendered = render_case("https-model")
    config = loader_config(rendered)
    assert config.source_uri == "https://models.example.com:8443/churn/3.tar.gz"
    assert config.source_sha256 == "4" * 64
    assert config.ca_bundle == Path("/ca-bundle/ca.crt")
    assert "MODEL_STORE" not in environment(rendered.container("server", "loader"))


def test_loader_is_told_of_an_image_and_of_no_store() -> None:
    rendered = render_case("image-volume")
    config = loader_config(rendered)
    assert (config.source_image, config.source_path) == (Path("/model-image"), "models/churn")
    assert config.model_version == LARGEST
    assert "MODEL_STORE" not in environment(rendered.container("server", "loader"))


def test_digest_of_an_archive_may_be_written_in_capitals() -> None:
    source = {"uri": "https://example.com/m.zip", "sha256": "AB" * 32}
    rendered = render({"training": {"enabled": False}, "model": {"source": source}})
    assert loader_config(rendered).source_sha256 == "ab" * 32


@pytest.mark.parametrize(
    "values",
    [
        pytest.param({}, id="trained-here"),
        pytest.param({"training": {"enabled": False}, "model": {"version": 3}}, id="pinned"),
        pytest.param({"training": {"enabled": False}, "loader": {"follow": False}}, id="switched-off"),
        pytest.param(
            {
                "training": {"enabled": False},
                "model": {"source": {"uri": "https://example.com/m.zip", "sha256": "a" * 64}},
            },
            id="archive",
        ),
        pytest.param(
            {"training": {"enabled": False}, "model": {"source": {"image": {"reference": "model:1"}}}}, id="image"
        ),
    ],
)
def test_nothing_is_followed_where_something_says_the_version(values: dict[str, Any]) -> None:
    assert list(containers(render(values).workload("server"))) == ["loader", "server"]


def test_api_reads_the_values(everything: Rendered) -> None:
    config = api_config(everything)
    assert (config.model_name, config.signature_name) == ("clothes", "classify")
    assert (config.model_task, config.model_labels) == ("classification", ("T-shirt", 'boot "high"', "US$$"))
    assert (config.max_body_bytes, config.max_inputs_per_request) == (1000004, 104)
    assert (config.batch_size, config.queue_size, config.request_timeout_seconds) == (24, 1004, 4.5)
    assert (config.drain_seconds, config.resolve_seconds) == (3.5, 4)


def test_api_is_told_nothing_of_a_model_that_says_it_itself(default: Rendered) -> None:
    config = api_config(default)
    assert (config.model_task, config.model_labels, config.model_version) == ("", (), None)


@pytest.mark.parametrize("trained", [True, False])
def test_api_waits_for_a_description_of_what_is_trained_here(trained: bool) -> None:  # noqa: FBT001 - both are tried
    assert api_config(render({"training": {"enabled": trained}})).require_description is trained


def test_api_finds_the_server(rendered: Rendered) -> None:
    config = api_config(rendered)
    headless = next(item for item in rendered.of_kind("Service") if item["spec"].get("clusterIP") == "None")
    target = f"{at(headless, 'metadata.name')}:{at(headless, 'spec.ports')[0]['port']}"
    assert environment(rendered.container("api"))["SERVER"] == target
    assert config.port == at(rendered.workload("api"), "spec.template.spec.containers")[0]["ports"][0]["containerPort"]


def test_every_variable_of_the_chart_is_a_flag_of_its_program(rendered: Rendered) -> None:
    programs = {"loader": model_loader.config.Config, "follower": model_loader.config.Config}
    found = [item for name, item in containers(rendered.workload("server")).items() if name in programs]
    for container in [*found, rendered.container("api")]:
        flags = {*programs.get(container["name"], model_api.config.Config).__dataclass_fields__, *S3_FLAGS}
        # Who a pod is to a bucket is told by the names that AWS' SDKs know.
        given = [name for name in environment(container) if not name.startswith("AWS_")]
        unknown = [name for name in given if name.lower() not in flags and name != "EXTRA"]
        assert unknown == [], container["name"]


def test_server_serves_what_the_loader_hands_over(everything: Rendered) -> None:
    container = everything.container("server")
    assert container["command"] == ["tensorflow_model_server"]
    assert container["args"] == [
        "--port=8500",
        "--rest_api_port=8501",
        "--reload_config_root=/models",
        "--grpc_max_concurrent_calls=3006",
        "--grpc_max_message_bytes=2000006",
        "--grpc_message_budget_bytes=20000006",
        "--grpc_message_timeout_seconds=56.5",
        "--rest_api_body_timeout_seconds=26.5",
        "--rest_api_header_timeout_seconds=16.5",
        "--rest_api_idle_timeout_seconds=36.5",
        "--rest_api_max_body_bytes=1000006",
        "--rest_api_max_connections=10006",
        "--rest_api_max_header_bytes=30006",
        "--rest_api_max_headers=96",
        "--rest_api_max_held_body_bytes=10000006",
        "--rest_api_max_requests=2006",
        "--rest_api_write_timeout_seconds=46.5",
        "--model_name=clothes",
        "--model_base_path=/models/clothes",
        "--file_system_poll_wait_seconds=33",
        "--enable_batching=true",
        "--batching_parameters_file=/etc/tensorflow-serving/batching_parameters.txt",
        "--monitoring_config_file=/etc/tensorflow-serving/monitoring_config.txt",
        "--ssl_config_file=/ssl-config/ssl_config.txt",
        "--tensorflow_intra_op_parallelism=3",
    ]


def test_every_flag_of_the_server_is_one_the_drop_in_reads(everything: Rendered) -> None:
    read = model_server.flags.parse(everything.container("server")["args"])
    assert read.unknown == ()
    assert (read.rest_api_max_headers, read.rest_api_idle_timeout_seconds) == (96, 36.5)


def test_limits_of_the_server_are_the_drop_ins_own_and_all_of_them() -> None:
    given = chart_docs.load_values()["server"]["limits"]
    named = {f"{prefix}_{snake(name)}" for key, prefix in PORTS.items() for name in given[key]}
    assert named | {"reload_config_root"} == model_server.flags.OURS
    # null is the image's own default, which the comments tell.
    assert not any(value for limits in given.values() for value in limits.values())
    comments = (
        chart_docs.VALUES.read_text(encoding="utf-8").partition("  limits:\n    rest:")[2].partition("\n  file")[0]
    )
    for name in named:
        assert f"({int(model_server.flags.DEFAULTS[name])})" in comments.replace("\n      #", ""), name


def test_limits_of_the_server_are_told_to_the_drop_in_alone(default: Rendered) -> None:
    assert not [flag for flag in default.container("server")["args"] if "_max_" in flag or "budget" in flag]
    drop_in = {"registry": "", "repository": "tensorflow-model-server", "tag": ""}
    limits = {"grpc": {"maxConcurrentCalls": 5, "messageTimeoutSeconds": "0.5"}}
    flags = render({"server": {"image": drop_in, "limits": limits}}).container("server")["args"]
    assert {"--grpc_max_concurrent_calls=5", "--grpc_message_timeout_seconds=0.5"} <= set(flags)


@pytest.mark.parametrize("limit", ["2", 1.5, "500m"])
def test_tensorflow_computes_on_as_many_threads_as_a_container_may_use_cpus(limit: object) -> None:
    limited = {"resources": {"limits": {"cpu": limit}}}
    rendered = render({"training": limited, "server": limited})
    told = {"resourceFieldRef": {"resource": "limits.cpu", "divisor": "1"}}
    for container in (
        rendered.container("training"),
        rendered.container("training", "server"),
        rendered.container("server", "server"),
    ):
        found = {item["name"]: item.get("valueFrom") for item in container["env"]}
        assert [found.get(f"TF_NUM_{kind}_THREADS") for kind in ("INTRAOP", "INTEROP")] == [told, told]


def test_threads_are_nobodys_business_without_a_limit_and_the_users_where_they_say_so() -> None:
    own = {"name": "TF_NUM_INTRAOP_THREADS", "value": "3"}
    limited = {"resources": {"limits": {"cpu": "2"}}, "extraEnv": [own]}
    env = render({"server": limited}).container("server", "server")["env"]
    assert [item for item in env if item["name"] == own["name"]] == [own]
    rendered = render({})
    for container in (rendered.container("training"), rendered.container("server", "server")):
        assert not [item for item in container["env"] if item["name"].startswith("TF_NUM_")]
