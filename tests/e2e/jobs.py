"""What a training Job's pods said: how each of their containers ended, with which words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.e2e.waiting import wait_for

if TYPE_CHECKING:
    from tests.e2e.release import Release

START_TIMEOUT_SECONDS = 120
RUN_TIMEOUT_SECONDS = 150


def pods(release: Release, job_name: str) -> list[Any]:
    """Return a Job's pods, oldest first."""
    found = release.core.list_namespaced_pod(release.namespace, label_selector=f"job-name={job_name}").items
    return sorted(found, key=lambda pod: pod.metadata.creation_timestamp)


def ends(pod: Any) -> dict[str, Any]:
    """Return how each container of a pod ended, by name: `exit_code`, `reason` and `message`."""
    statuses = [*(pod.status.init_container_statuses or ()), *(pod.status.container_statuses or ())]
    return {status.name: status.state.terminated for status in statuses if status.state.terminated is not None}


def failure(release: Release, container: str) -> Any:
    """Return how a container of the current Job's last pod ended, once the Job has failed."""
    job = release.wait_for_job("Failed")
    return ends(pods(release, job.metadata.name)[-1])[container]


def log(release: Release, container: str = "training") -> str:
    """Return a container's log of the current Job's last pod."""
    pod = pods(release, release.current_job().metadata.name)[-1].metadata.name
    return release.kubectl("logs", pod, f"--container={container}")


def wait_for_line(release: Release, text: str, timeout_seconds: float = START_TIMEOUT_SECONDS) -> Any:
    """Return the pod of the current Job whose training has told `text`."""

    def told() -> Any:
        job = release.current_job().metadata.name
        for pod in pods(release, job):
            states = {status.name: status.state for status in pod.status.init_container_statuses or ()}
            state = states.get("training")
            if state is None or (state.running is None and state.terminated is None):
                continue
            if text in release.kubectl("logs", pod.metadata.name, "--container=training"):
                return pod
        return None

    return wait_for(told, f"training tells {text!r}", timeout_seconds)


def run_now(release: Release, name: str) -> None:
    """Start a scheduled run as NOTES say it."""
    release.kubectl("create", "job", f"--from=cronjob/{release.named('training')}", name)


def wait_for_end(release: Release, name: str, condition: str) -> None:
    """Return when a Job has a condition."""

    def ended() -> bool:
        job = release.batch.read_namespaced_job(name, release.namespace)
        return condition in {state.type for state in job.status.conditions or () if state.status == "True"}

    wait_for(ended, f"{name} is {condition}", RUN_TIMEOUT_SECONDS)
