"""Names: predictable, short enough, and never those of another release."""

from __future__ import annotations

from tests.chart.rendering import at, render

# A label, and so the name of a Job's pod, holds 63 characters: 5 and a dash are the pod's own.
LONGEST_JOB_NAME = 63 - 6
LONGEST_RELEASE = "a" * 52


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
