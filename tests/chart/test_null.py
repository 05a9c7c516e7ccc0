"""A key set to null means what is not there, or is refused by its name: never zero, never an error of the template."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml

from ci import chart_docs
from tests.chart.rendering import RefusedError, template

if TYPE_CHECKING:
    from collections.abc import Iterator

# What a training and its models are made of, everything of it rendered.
GROUPS = ("training", "publisher", "tensorboard", "modelStore")
VALUES: dict[str, Any] = {
    "training": {"schedule": {"cron": "@daily"}},
    "tensorboard": {"enabled": True},
    "networkPolicy": {"enabled": True},
}
# Numbers that would be rendered as zero, and what makes no sense empty.
NEEDED = (
    "training.activeDeadlineSeconds",
    "training.backoffLimit",
    "training.blessing.enabled",
    "training.blessing.timeoutSeconds",
    "training.schedule.failedJobsHistoryLimit",
    "training.workspace.accessModes",
    "training.image.repository",
    "tensorboard.service.ports.http",
    "modelStore.verify.enabled",
)


def keys(values: dict[str, Any], prefix: str = "") -> Iterator[str]:
    """Yield the dotted key of every value and group."""
    for name, value in values.items():
        yield f"{prefix}{name}"
        if isinstance(value, dict):
            yield from keys(value, f"{prefix}{name}.")


def without(key: str) -> str:
    """Return VALUES with null at a dotted key, as YAML."""
    *groups, last = key.split(".")
    values: dict[str, Any] = yaml.safe_load(yaml.safe_dump(VALUES))
    at = values
    for name in groups:
        at = at.setdefault(name, {})
    at[last] = None
    return yaml.safe_dump(values)


@pytest.mark.parametrize("key", [key for group in GROUPS for key in keys({group: chart_docs.load_values()[group]})])
def test_null_is_rendered_or_refused_by_name(key: str) -> None:
    try:
        text = template(without(key))
    except RefusedError as error:
        assert f"missing property '{key.rpartition('.')[2]}'" in str(error), str(error)
    else:
        assert "<nil>" not in text


@pytest.mark.parametrize("helm", ["helm3", "helm4"])
@pytest.mark.parametrize("key", NEEDED)
def test_what_has_to_be_there_is_refused_by_its_name(key: str, helm: str) -> None:
    with pytest.raises(RefusedError, match=key.rpartition(".")[2]):
        template(without(key), helm=helm)
