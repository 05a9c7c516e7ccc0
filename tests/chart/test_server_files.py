"""Files of the model server: what values say is what tensorflow_model_server reads, whichever image it is."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from ci import paths
from tests.chart.rendering import RefusedError, at, environment, pod_spec, render

if TYPE_CHECKING:
    from tests.chart.rendering import Rendered

BATCHING = {
    "enabled": True,
    "maxBatchSize": 256,
    "batchTimeoutMicros": 0,
    "allowedBatchSizes": [8, 256],
}
TLS = {"secretName": "server-tls"}
DROP_IN = {"registry": "", "repository": "tensorflow-model-server", "tag": ""}
PINNED = {"version": "1790000000"}


def files(values: dict[str, Any]) -> dict[str, str]:
    """Return the files of the server by name."""
    found = [item for item in render(values).of_kind("ConfigMap") if item["metadata"]["name"].endswith("-server")]
    return {name: text for item in found for name, text in item["data"].items()}


def arguments(rendered: Rendered) -> list[str]:
    """Return the server's flags."""
    listed: list[str] = rendered.container("server")["args"]
    return listed


def test_monitoring_is_there_unless_it_is_turned_off() -> None:
    text = files({})["monitoring_config.txt"]
    assert text.split() == [
        "prometheus_config", "{", "enable:", "true", "path:", '"/monitoring/prometheus/metrics"', "}",
    ]  # fmt: skip
    assert "--monitoring_config_file=/etc/tensorflow-serving/monitoring_config.txt" in arguments(render({}))
    off = {"server": {"monitoring": {"enabled": False}}}
    assert files(off) == {}
    assert not [flag for flag in arguments(render(off)) if "monitoring" in flag]


def test_batching_parameters_are_messages_around_numbers() -> None:
    text = files({"server": {"batching": BATCHING}})["batching_parameters.txt"]
    assert text.splitlines() == [
        "max_batch_size { value: 256 }",
        "batch_timeout_micros { value: 0 }",
        "allowed_batch_sizes: 8",
        "allowed_batch_sizes: 256",
    ]
    flags = arguments(render({"server": {"batching": BATCHING}}))
    assert "--enable_batching=true" in flags
    assert "--batching_parameters_file=/etc/tensorflow-serving/batching_parameters.txt" in flags


def test_warm_up_rows_are_the_trainers() -> None:
    source = (paths.ROOT / "model" / "trainer" / "src" / "trainer" / "export.py").read_text(encoding="utf-8")
    sizes = re.search(r"^WARMUP_BATCH_SIZES = \(.*, (\d+)\)$", source, re.MULTILINE)
    assert sizes is not None
    few = {"batchSize": 1, "maxInputsPerRequest": 1}
    render({"server": {"batching": {"enabled": True, "maxBatchSize": int(sizes[1])}}, "api": few})
    with pytest.raises(RefusedError, match=f"the model's {sizes[1]} warm-up rows"):
        render({"server": {"batching": {"enabled": True, "maxBatchSize": int(sizes[1]) - 1}}, "api": few})


def test_versions_and_labels_make_a_model_config() -> None:
    values = {
        "model": PINNED,
        "server": {"config": {"versions": [1780000000], "versionLabels": {"stable": 1790000000, "old": "1780000000"}}},
    }
    text = files(values)["model_config.txt"]
    assert 'model_platform: "tensorflow"' in text
    assert 'base_path: "/models/mnist"' in text
    assert 'version_labels { key: "old" value: 1780000000 }' in text
    assert 'version_labels { key: "stable" value: 1790000000 }' in text
    rendered = render(values)
    flags = arguments(rendered)
    assert "--model_config_file=/etc/tensorflow-serving/model_config.txt" in flags
    assert "--allow_version_labels_for_unavailable_models=true" in flags
    assert not [flag for flag in flags if flag.startswith(("--model_name", "--model_base_path"))]
    variables = environment(rendered.container("server", "loader"))
    assert (variables["MODEL_VERSION"], variables["FURTHER_VERSIONS"]) == ("1790000000", "1780000000")


def test_pinned_version_is_the_one_the_api_calls() -> None:
    assert environment(render({"model": PINNED}).container("api"))["MODEL_VERSION"] == "1790000000"


def test_keys_of_certificates_are_for_the_pods_user_alone() -> None:
    rendered = render({"server": {"tls": {**TLS, "clientVerify": True, "clientSecretName": "api-tls"}}})
    modes = {
        (component, volume["name"]): (volume.get("secret") or volume["projected"])["defaultMode"]
        for component in ("server", "api")
        for volume in pod_spec(rendered.workload(component))["volumes"]
        if "tls" in volume["name"]
    }
    # By the group that fsGroup gives them, and nobody else.
    assert modes == {("server", "tls"): 0o440, ("api", "server-tls"): 0o440}


def test_tls_reaches_both_ends_and_no_key_of_the_server_reaches_the_api() -> None:
    rendered = render({"server": {"tls": {**TLS, "clientVerify": True, "clientSecretName": "api-tls"}}})
    assert "--ssl_config_file=/ssl-config/ssl_config.txt" in arguments(rendered)
    api = environment(rendered.container("api"))
    assert api["SERVER_CA"] == "/server-tls/ca.crt"
    assert api["SERVER_NAME"] == "mnist-tensorflow-model-server"
    assert api["SERVER_CLIENT_KEY"] == "/server-tls/tls.key"
    (volume,) = [item for item in pod_spec(rendered.workload("api"))["volumes"] if item["name"] == "server-tls"]
    keys = {
        source["secret"]["name"]: [item["key"] for item in source["secret"]["items"]]
        for source in volume["projected"]["sources"]
    }
    assert keys == {"server-tls": ["ca.crt"], "api-tls": ["tls.crt", "tls.key"]}


def test_private_keys_are_in_no_manifest_and_in_memory_only() -> None:
    rendered = render({"server": {"tls": TLS}})
    volumes = {item["name"]: item for item in pod_spec(rendered.workload("server"))["volumes"]}
    assert volumes["ssl-config"]["emptyDir"]["medium"] == "Memory"
    assert not rendered.of_kind("Secret")


def test_other_files_are_other_pods_and_equal_files_are_not() -> None:
    def annotations(values: dict[str, Any]) -> Any:
        return at(render(values).workload("server"), "spec.template.metadata").get("annotations")

    plain = annotations({})
    assert plain == annotations({"server": {"replicaCount": 2}})
    assert plain != annotations({"server": {"batching": BATCHING}})
    assert plain != annotations({"server": {"monitoring": {"path": "/metrics"}}})


@pytest.mark.parametrize(
    "server",
    [{"batching": BATCHING}, {"tls": TLS}, {"config": {"versionLabels": {"stable": 1790000000}}}, {}],
    ids=["batching", "tls", "config", "monitoring"],
)
def test_files_and_flags_are_the_same_for_either_image(server: dict[str, Any]) -> None:
    upstream = {"model": PINNED, "server": server}
    drop_in = {"model": PINNED, "server": {**server, "image": DROP_IN}}
    assert files(upstream) == files(drop_in)
    assert arguments(render(upstream)) == arguments(render(drop_in))
