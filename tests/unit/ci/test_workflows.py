"""Workflows run sessions that exist, pin what they use, and may do no more than they need."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from ci import paths, tools
from ci.images import components

if TYPE_CHECKING:
    from pathlib import Path

WORKFLOWS = sorted((paths.ROOT / ".github" / "workflows").glob("*.yml"))
# YAML 1.1 reads the key `on` as true.
ON: Any = True


def workflow(path: Path) -> dict[Any, Any]:
    """Return a workflow as YAML has it."""
    read: dict[Any, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return read


def called_sessions(path: Path) -> set[str]:
    """Return the sessions for which a workflow calls session.yml, by name or by its matrix."""
    found: set[str] = set()
    for job in workflow(path)["jobs"].values():
        if job.get("uses") == "./.github/workflows/session.yml":
            named = job["with"]["session"]
            found |= set(job["strategy"]["matrix"]["session"]) if named == "${{ matrix.session }}" else {named}
    return {name.partition("(")[0] for name in found}


def noxfile_sessions() -> tuple[set[str], set[str]]:
    """Return the names of all sessions of noxfile.py, and of those a plain run has."""
    tree = ast.parse((paths.ROOT / "noxfile.py").read_text(encoding="utf-8"))
    named = {
        item.name
        for item in tree.body
        if isinstance(item, ast.FunctionDef) and any("nox.session" in ast.unparse(one) for one in item.decorator_list)
    }
    (chosen,) = (
        item.value
        for item in tree.body
        if isinstance(item, ast.Assign) and ast.unparse(item.targets[0]) == "nox.options.sessions"
    )
    return named, set(ast.literal_eval(chosen))


def test_pull_requests_run_what_a_plain_run_runs() -> None:
    called = called_sessions(paths.ROOT / ".github" / "workflows" / "checks.yml")
    # A part of lint, which asks for it.
    assert called == noxfile_sessions()[1] - {"manifests"}


def test_sessions_that_workflows_call_are_there() -> None:
    called = set().union(*(called_sessions(path) for path in WORKFLOWS))
    assert called <= noxfile_sessions()[0]


def long_sessions() -> list[str]:
    """Return the sessions that measure or run tests, and that a plain run has not."""
    tree = ast.parse((paths.ROOT / "noxfile.py").read_text(encoding="utf-8"))
    bodies = {item.name: ast.unparse(item) for item in tree.body if isinstance(item, ast.FunctionDef)}
    named, plain = noxfile_sessions()
    signs = ("pytest", "ci.bench", "on_cluster(")
    return sorted(name for name in named - plain if any(sign in bodies[name] for sign in signs))


def test_long_sessions_are_found() -> None:
    assert {"bench", "change", "contract", "soak", "training"} <= set(long_sessions())


@pytest.mark.parametrize("session", long_sessions())
def test_long_session_runs_when_its_subject_changes_and_nightly(session: str) -> None:
    path = paths.ROOT / ".github" / "workflows" / f"{session}.yml"
    assert called_sessions(path) == {session}
    triggers = workflow(path)[ON]
    assert triggers["schedule"]
    subjects = [subject.rstrip("*") for subject in triggers["pull_request"]["paths"]]
    assert len(subjects) > 1
    assert [subject for subject in subjects if not (paths.ROOT / subject).exists()] == []


def folders_of_long_sessions() -> set[str]:
    """Return the folders of tests that long sessions name, themselves or by a constant of noxfile.py."""
    tree = ast.parse((paths.ROOT / "noxfile.py").read_text(encoding="utf-8"))
    texts = {
        item.targets[0].id: strings(item.value)
        for item in tree.body
        if isinstance(item, ast.Assign) and isinstance(item.targets[0], ast.Name)
    }
    found: set[str] = set()
    for item in tree.body:
        if isinstance(item, ast.FunctionDef) and item.name in long_sessions():
            names = [node.id for node in ast.walk(item) if isinstance(node, ast.Name)]
            found |= strings(item).union(*(texts.get(name, set()) for name in names))
    return {text for text in found if text.startswith("tests/")}


def strings(tree: ast.AST) -> set[str]:
    """Return all strings in a piece of Python."""
    return {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}


def test_lengthy_tests_are_run_by_a_session_of_their_subject() -> None:
    lengthy = [
        path.relative_to(paths.ROOT).as_posix()
        for path in (paths.ROOT / "tests").glob("*/**/test_*.py")
        if "pytest.mark.lengthy" in path.read_text(encoding="utf-8") and path.name != "test_workflows.py"
    ]
    assert any(path.startswith("tests/contract/") for path in lengthy)
    folders = folders_of_long_sessions()
    assert [path for path in lengthy if not any(path.startswith(f"{folder}/") for folder in folders)] == []


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_actions_are_pinned_by_commit_with_their_version_beside(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    for line in re.findall(r"uses: (?!\./)(.*)", text):
        assert re.fullmatch(r"[\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line), line
    assert "uses: " in text


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_workflow_may_only_read_but_for_jobs_that_say_more(path: Path) -> None:
    assert workflow(path)["permissions"] == {"contents": "read"}
    writing = {name for name, job in workflow(path)["jobs"].items() if "write" in job.get("permissions", {}).values()}
    assert writing == ({"images", "publish"} if path.stem == "release" else set())


def test_sessions_have_a_go_that_can_build_what_they_need() -> None:
    (job,) = workflow(paths.ROOT / ".github" / "workflows" / "session.yml")["jobs"].values()
    (setup,) = [step for step in job["steps"] if step.get("uses", "").startswith("actions/setup-go@")]
    assert tuple(map(int, setup["with"]["go-version"].split("."))) >= tools.GO_MINIMUM


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_no_script_is_made_of_what_a_caller_gives(path: Path) -> None:
    scripts = [step["run"] for job in workflow(path)["jobs"].values() for step in job.get("steps", []) if "run" in step]
    assert [script for script in scripts if "${{" in script] == []


def test_released_images_are_those_that_are_built() -> None:
    release = workflow(paths.ROOT / ".github" / "workflows" / "release.yml")
    assert tuple(release["env"]["IMAGES"].split()) == components.COMPONENTS
