"""The training Job: run once, stopped in time, and not tried again where that cannot help."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.chart.rendering import COMPONENTS, SERVING, at, pod_spec, render

if TYPE_CHECKING:
    from tests.chart.rendering import Rendered


def test_bad_input_and_a_bad_model_fail_the_job_at_once(default: Rendered) -> None:
    policy = at(default.workload("training"), "spec.podFailurePolicy")
    assert policy["rules"][0] == {
        "action": "FailJob",
        "onExitCodes": {"containerName": COMPONENTS["training"].container, "operator": "In", "values": [2, 3]},
    }


def test_drained_node_is_no_failure(default: Rendered) -> None:
    policy = at(default.workload("training"), "spec.podFailurePolicy")
    condition = {"type": "DisruptionTarget", "status": "True"}
    assert policy["rules"][1] == {"action": "Ignore", "onPodConditions": [condition]}
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
    rendered = render({"training": {"enabled": False}})
    assert rendered.of_kind("Job") == []


def test_rollout_may_wait_as_long_as_training_may_take(rendered: Rendered) -> None:
    limits = [at(job, "spec.activeDeadlineSeconds") for job in rendered.of_kind("Job")]
    for component in SERVING:
        assert at(rendered.workload(component), "spec.progressDeadlineSeconds") >= 600 + max(limits, default=0)
