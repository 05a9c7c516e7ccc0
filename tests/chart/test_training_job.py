"""The training Job: run once, stopped in time, and not tried again where that cannot help."""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.chart.rendering import SERVING, at, containers, environment, name_of, pod_spec, render, render_case

if TYPE_CHECKING:
    from tests.chart.rendering import Manifest, Rendered


def test_bad_input_and_a_bad_model_fail_the_job_at_once(rendered: Rendered) -> None:
    for job in rendered.of_kind("Job"):
        policy = at(job, "spec.podFailurePolicy")
        codes = {rule["onExitCodes"]["containerName"]: rule["onExitCodes"]["values"] for rule in policy["rules"][:-1]}
        assert {rule["action"] for rule in policy["rules"][:-1]} == {"FailJob"}
        # 4, a fault of the store, is tried again.
        assert codes == {"check": [2], "training": [2], "publisher": [2, 3]}
        assert set(codes) <= set(containers(job))


def test_drained_node_is_no_failure(default: Rendered) -> None:
    policy = at(default.workload("training"), "spec.podFailurePolicy")
    condition = {"type": "DisruptionTarget", "status": "True"}
    assert policy["rules"][-1] == {"action": "Ignore", "onPodConditions": [condition]}
    # The API server accepts a failure policy with no other restart policy.
    assert pod_spec(default.workload("training"))["restartPolicy"] == "Never"


def test_limits_come_from_values(everything: Rendered) -> None:
    spec = at(everything.workload("training"), "spec")
    assert (spec["activeDeadlineSeconds"], spec["backoffLimit"], spec["suspend"]) == (1800, 4, True)


def test_job_stays_until_its_release_changes(rendered: Rendered) -> None:
    for job in rendered.of_kind("Job"):
        assert "ttlSecondsAfterFinished" not in job["spec"]
        assert not [name for name in job["metadata"].get("annotations", {}) if name.startswith("helm.sh/hook")]


def test_nothing_is_trained_when_training_is_off() -> None:
    rendered = render({"training": {"enabled": False, "schedule": {"cron": "@daily"}}})
    assert rendered.of_kind("Job", "CronJob") == []
    assert [name_of(item) for item in rendered.of_kind("PersistentVolumeClaim")] == [
        "PersistentVolumeClaim mnist-tensorflow-model-model-store"
    ]


def test_suspend_is_rendered_only_when_it_is_true(default: Rendered) -> None:
    # A queue that starts suspended Jobs writes the field: an upgrade must not write it again.
    assert "suspend" not in at(default.workload("training"), "spec")


def test_user_code_sees_nothing_of_the_store(rendered: Rendered) -> None:
    for item in rendered.of_kind("Job", "CronJob"):
        found = containers(item)
        mounts = {mount["name"] for mount in found["training"]["volumeMounts"]}
        assert not mounts & {"model-store", "candidate"}, name_of(item)
        assert not {"MODEL_STORE", "MARKER"} & set(environment(found["training"])), name_of(item)
        workspace = next(mount for mount in found["training"]["volumeMounts"] if mount["mountPath"] == "/workspace")
        assert workspace["subPathExpr"] == "runs/$(MODEL_KEY)/$(RUN)"


def test_steps_come_in_order_and_the_server_only_where_it_blesses() -> None:
    assert list(containers(render().workload("training"))) == ["check", "training", "server", "publisher"]
    unblessed = render({"training": {"blessing": {"enabled": False}}})
    assert list(containers(unblessed.workload("training"))) == ["check", "training", "publisher"]


def test_server_beside_the_publisher_is_the_releases_own(everything: Rendered) -> None:
    serving, blessing = everything.container("server"), everything.container("training", "server")
    for field in ("image", "imagePullPolicy", "resources", "securityContext", "env", "envFrom"):
        assert blessing[field] == serving[field], field
    assert blessing["restartPolicy"] == "Always"
    # A candidate that does not load must not hang the Job.
    assert not {"startupProbe", "readinessProbe", "livenessProbe"} & set(blessing)
    assert blessing["command"][-1] == serving["args"][-1]


def test_logs_of_the_job_are_those_of_training(rendered: Rendered) -> None:
    for job in rendered.of_kind("Job"):
        annotations = at(job, "spec.template.metadata.annotations")
        assert annotations["kubectl.kubernetes.io/default-container"] == "training"
        assert containers(job)["training"]["terminationMessagePolicy"] == "FallbackToLogsOnError"


def data_mount(data: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return how user code mounts its data, and the volume that is in."""
    job = render({"training": {"data": data}}).workload("training")
    (mount,) = [item for item in containers(job)["training"]["volumeMounts"] if item["mountPath"] == "/data"]
    (volume,) = [item for item in pod_spec(job)["volumes"] if item["name"] == mount["name"]]
    return mount, volume


def test_data_of_a_claim_is_the_folder_that_values_name_and_is_only_read() -> None:
    mount, volume = data_mount({"existingClaim": "pictures", "path": "2026/june"})
    assert mount == {"name": "data", "mountPath": "/data", "subPath": "2026/june", "readOnly": True}
    assert volume["persistentVolumeClaim"] == {"claimName": "pictures", "readOnly": True}
    assert "subPath" not in data_mount({"existingClaim": "pictures"})[0]


def test_fetched_data_is_that_of_its_digest_and_is_only_read() -> None:
    digest = "0123456789abcdef" * 4
    mount, _ = data_mount({"uri": "https://data.example.com/june.tar.gz", "sha256": digest})
    assert mount == {"name": "workspace", "mountPath": "/data", "subPath": f"data/{digest}", "readOnly": True}


def test_schedule_makes_jobs_one_at_a_time_under_the_same_key() -> None:
    rendered = render_case("schedule")
    schedule, job = rendered.one("CronJob", "training"), rendered.workload("training")
    spec = at(schedule, "spec")
    assert (spec["schedule"], spec["concurrencyPolicy"]) == ("0 3 * * *", "Forbid")
    assert spec["startingDeadlineSeconds"] == 3600
    assert "suspend" not in spec
    keys = [environment(containers(item)["publisher"])["MODEL_KEY"] for item in (schedule, job)]
    assert keys[0] == keys[1]
    # A Job of a schedule has 11 characters more.
    assert len(at(schedule, "metadata.name")) <= 52


def test_server_follows_the_key_that_a_schedule_trains() -> None:
    rendered = render_case("schedule")
    follower = environment(rendered.container("server", "follower"))
    assert follower["MODEL_KEY"] == environment(rendered.container("training", "publisher"))["MODEL_KEY"]
    assert "follower" not in containers(render().workload("server"))


def test_code_and_parameters_are_in_a_map_of_their_digest() -> None:
    rendered, other = render_case("recipe"), render({"training": {"params": {"epochs": 6}}})
    (files,) = [item for item in rendered.of_kind("ConfigMap") if "training.json" in item["data"]]
    assert set(files["data"]) == {"fraud.py", "payments.csv", "training.json"}
    told = json.loads(files["data"]["training.json"])
    assert told["parameters"] == {
        "epochs": 3,
        "hidden_layers": [64, 32],
        "learning_rate": 0.01,
        "kind": "wide",
        "is_weighted": True,
        "code": "007",
    }
    (others,) = [item for item in other.of_kind("ConfigMap") if "training.json" in item["data"]]
    assert others["metadata"]["name"] != files["metadata"]["name"]
    volumes = {volume["name"]: volume for volume in pod_spec(rendered.workload("training"))["volumes"]}
    assert volumes["code"]["configMap"]["name"] == volumes["files"]["configMap"]["name"] == files["metadata"]["name"]


def test_program_is_run_as_it_is_written() -> None:
    rendered = render_case("program")
    command = rendered.container("training")["command"]
    assert command[-4:] == ["python3", "-m", "churn.train", "--note=$$(NOT_A_VARIABLE)"]
    assert rendered.container("training")["image"] == "registry.example.com/team/churn:3"
    variables = environment(rendered.container("training"))
    assert (variables["DEPTH"], variables["DATA_DIR"]) == ("3", "/data")
    volumes = {volume["name"]: volume for volume in pod_spec(rendered.workload("training"))["volumes"]}
    assert volumes["data"]["persistentVolumeClaim"] == {"claimName": "churn-data", "readOnly": True}
    assert volumes["workspace"] == {"name": "workspace", "emptyDir": {"sizeLimit": "1Gi"}}


def test_gpu_is_asked_for_by_training_alone() -> None:
    rendered = render_case("gpu")
    pod = pod_spec(rendered.workload("training"))
    limits = {name: item["resources"]["limits"] for name, item in containers(rendered.workload("training")).items()}
    assert limits["training"]["nvidia.com/gpu"] == 1
    assert not [name for name in limits if name != "training" and "nvidia.com/gpu" in limits[name]]
    assert (pod["runtimeClassName"], pod["nodeSelector"]) == ("nvidia", {"nvidia.com/gpu.present": "true"})
    assert pod["tolerations"] == [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]


@pytest.mark.parametrize(("store", "workspace"), list(itertools.product(["ReadWriteOnce", "ReadWriteMany"], repeat=2)))
def test_pods_of_one_node_volumes_never_lock_each_other_out(store: str, workspace: str) -> None:
    rendered = render(
        {
            "modelStore": {"pvc": {"accessModes": [store]}},
            "training": {"workspace": {"accessModes": [workspace]}},
            "tensorboard": {"enabled": True},
        }
    )
    terms = {name: company(rendered.workload(name)) for name in ("training", "server", "tensorboard")}
    labels = {name: at(rendered.workload(name), "spec.template.metadata.labels") for name in terms}
    for name, wanted in terms.items():
        # One company at most, so that no two of them can be met on two nodes; a pod is of those it looks for.
        assert len(wanted) <= 1, name
        assert all(term.items() <= labels[name].items() for term in wanted), name
    assert bool(terms["server"]) == (store == "ReadWriteOnce")
    assert bool(terms["training"]) == ("ReadWriteOnce" in {store, workspace})
    assert bool(terms["tensorboard"]) == (workspace == "ReadWriteOnce")
    if terms["tensorboard"]:
        assert terms["tensorboard"] == terms["training"]


def company(workload: Manifest) -> list[dict[str, str]]:
    """Return the labels of the pods a workload's pods must share a node with."""
    affinity = pod_spec(workload).get("affinity", {}).get("podAffinity", {})
    rules = affinity.get("requiredDuringSchedulingIgnoredDuringExecution", [])
    return [rule["labelSelector"]["matchLabels"] for rule in rules]


def test_rollout_may_wait_as_long_as_training_may_take(rendered: Rendered) -> None:
    limits = [at(job, "spec.activeDeadlineSeconds") for job in rendered.of_kind("Job")]
    for component in SERVING:
        assert at(rendered.workload(component), "spec.progressDeadlineSeconds") >= 600 + max(limits, default=0)
