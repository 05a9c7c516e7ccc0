"""Every object is one that Kubernetes takes, from the oldest version the chart allows to the newest known here."""

from __future__ import annotations

import copy
import functools
import importlib.resources
import json
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
import referencing

from tests.chart.rendering import CASES, name_of, render_case

if TYPE_CHECKING:
    from tests.chart.rendering import Manifest, Rendered

VERSIONS = ("1.30", "1.37")
# The chart refuses image volumes below 1.31.
CASES_OF = {"1.30": sorted(set(CASES) - {"image-volume"}), "1.37": sorted(CASES)}
# Claims of devices, whose fields are the user's, were alpha in 1.30 and named what they are of otherwise.
CHANGED = {"1.30": "resourceClaims", "1.37": "nothing"}
# Kinds of other projects, which are not among Kubernetes' schemas.
FOREIGN = {"HTTPRoute"}


@functools.cache
def validator(version: str, kind: str, api_version: str) -> jsonschema.Draft202012Validator:
    """Return the strict validator of a kind, read once: kubernetes_validate.validate reads 1 MB for each object."""
    folder = importlib.resources.files("kubernetes_validate") / "kubernetes-json-schema" / f"v{version}.0-local-strict"
    group, _, plain = api_version.rpartition("/")
    name = "-".join(part for part in (kind.lower(), group.partition(".")[0], plain) if part)
    schema = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    return jsonschema.Draft202012Validator(schema, registry=definitions(version))


@functools.cache
def definitions(version: str) -> referencing.Registry[Any]:
    """Return what the schemas of a version refer to."""
    folder = importlib.resources.files("kubernetes_validate") / "kubernetes-json-schema" / f"v{version}.0-local-strict"
    content = json.loads((folder / "_definitions.json").read_text(encoding="utf-8"))
    resource = referencing.Resource.from_contents(content)
    empty: referencing.Registry[Any] = referencing.Registry()
    # Crawled once, or every reference would search it anew.
    registry: referencing.Registry[Any] = empty.with_resource("_definitions.json", resource).crawl()
    return registry


def problems(manifest: Manifest, version: str) -> list[str]:
    """Return what Kubernetes' schema of a version finds wrong with an object."""
    if manifest["kind"] in FOREIGN:
        return []
    errors = validator(version, manifest["kind"], manifest["apiVersion"]).iter_errors(manifest)
    found = [(error.json_path, error.message) for error in errors]
    return [f"{name_of(manifest)}: {path}: {words}" for path, words in found if CHANGED[version] not in path]


@pytest.mark.parametrize(("case", "version"), [(case, version) for version in VERSIONS for case in CASES_OF[version]])
def test_objects_have_the_shape_kubernetes_knows(case: str, version: str) -> None:
    assert [problem for item in render_case(case).manifests for problem in problems(item, version)] == []


def test_the_check_finds_a_misspelt_field(default: Rendered) -> None:
    manifest = copy.deepcopy(default.workload("server"))
    manifest["spec"]["template"]["spec"]["containers"][0]["resource"] = {}
    assert any("'resource' was unexpected" in problem for problem in problems(manifest, VERSIONS[0]))
