"""Everything a change must pass, and everything a person runs: `nox --list` names the sessions."""

from __future__ import annotations

import fcntl
import os
import sys
from pathlib import Path

import nox

ROOT = Path(__file__).parent
LOCKS = ROOT / "ci" / "locks"
IMAGES = ROOT / "images"
MODEL = ROOT / "model"
# Where a machine says from whom pip takes packages, and whom it trusts, uv is told the same.
UV_NAMES = {"PIP_INDEX_URL": "UV_DEFAULT_INDEX", "PIP_EXTRA_INDEX_URL": "UV_INDEX", "PIP_CERT": "SSL_CERT_FILE"}

# Sources of each shipped package, so that tests run on the tree and need no installation.
SOURCES = [
    *(MODEL / name / "src" for name in ("bucket", "codec", "description", "download", "http", "store", "trainer")),
    *(IMAGES / name / "src" for name in ("api", "loader", "publisher", "server")),
]
PYTHONPATH = ":".join(str(path) for path in (ROOT, *SOURCES))
TENSORFLOW = [
    *(LOCKS / name for name in ("test.txt", "clients.txt")),
    *(IMAGES / name / "requirements.txt" for name in ("tensorflow", "training", "server", "api")),
]
SLIM = [LOCKS / "test.txt", *(IMAGES / name / "requirements.txt" for name in ("api", "loader", "publisher"))]
# Packages that are tested where there is no TensorFlow.
UNTOUCHED_BY_TENSORFLOW = (
    "api",
    "bucket",
    "ci",
    "codec",
    "description",
    "download",
    "http",
    "loader",
    "publisher",
    "store",
)
# What makes a model, and what looks at it and publishes it.
TRAINER = ("tests/unit/trainer", "tests/publishing")
# Long scenarios of the end-to-end suite, which a change of templates, draining or the loader should run as well.
CHANGE = "tests/e2e/change"
# Training that takes minutes: killed and resumed, on a schedule, beside a board, of more data than memory; and what is
# not good enough to be published.
TRAINING = "tests/e2e/training"
# Models that nobody here trained, and everything a server can be told to do with one.
SERVING = "tests/e2e/serving"
# The release under Argo CD, which takes long to build, and where NetworkPolicies are enforced.
ARGO_CD = "tests/e2e/argocd"
NETWORK = "tests/e2e/network"
# The model store in a bucket, for which an S3 server is built.
S3 = "tests/e2e/s3"
# What has a session of its own.
APART = (CHANGE, TRAINING, SERVING, ARGO_CD, NETWORK, S3)
# Tests run side by side in so many processes; a module stays in one, with the server its tests share.
PROCESSES = "-n2"
SIDE_BY_SIDE = (PROCESSES, "--dist=loadfile")
RENDERING = ("tests/chart", PROCESSES, "--dist=worksteal")
NODE = ROOT / "ci" / "cluster" / "node" / "files"
SCRIPTS = [
    "ci/nox",
    ".ci/run",
    "ci/addons/network/run",
    *(
        str(NODE / name)
        for name in ("kind/import-images", "kind/node-dns", "kind/pod-network", "usr/local/bin/entrypoint")
    ),
]

nox.options.sessions = ["lint", "manifests", "unit", "chart", "e2e"]
nox.options.reuse_existing_virtualenvs = True
# Packages are linked from a cache: TensorFlow's environment is there in 10 s, where pip takes 40.
nox.options.default_venv_backend = "uv"
nox.options.error_on_missing_interpreters = True
nox.needs_version = ">=2026.10.20"


def install(session: nox.Session, *locks: Path) -> None:
    """Install hashed locks, once per content: a reused environment with equal locks is left alone."""
    folder = Path(session.virtualenv.location)
    stamp = folder / "installed.txt"
    wanted = "".join(lock.read_text(encoding="utf-8") for lock in locks)
    # Environments are shared with other checkouts that have these locks (ci/environments.py).
    with (folder / "installed.lock").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        if stamp.exists() and stamp.read_text(encoding="utf-8") == wanted:
            return
        as_pip = {theirs: os.environ[pips] for pips, theirs in UV_NAMES.items() if pips in os.environ}
        for lock in locks:
            # Compiled once: a hundred servers that are started import TensorFlow, and Python may be told to write
            # nothing.
            session.install(
                "--quiet",
                "--compile-bytecode",
                "--require-hashes",
                "--no-deps",
                "-r",
                str(lock),
                env={"UV_SYSTEM_CERTS": "true", **as_pip},
            )
        stamp.write_text(wanted, encoding="utf-8")


def python(session: nox.Session, *arguments: str) -> None:
    """Run Python on the tree's packages in the session's environment."""
    session.run("python", *arguments, env={"PYTHONPATH": PYTHONPATH})


def tool(session: nox.Session, *arguments: str) -> None:
    """Run `python -m ci ...`, which needs nothing but the standard library."""
    session.run(sys.executable, "-m", "ci", *arguments, *session.posargs, external=True)


def on_cluster(session: nox.Session, folder: str, addon: str = "") -> None:
    """Bring up the real cluster, with an addon where one is named, and run a folder's tests on it."""
    install(session, LOCKS / "e2e.txt", IMAGES / "api" / "requirements.txt")
    for command in (["ready"], *([["addon", addon]] if addon else [])):
        session.run(sys.executable, "-m", "ci", *command, external=True)
    python(session, "-m", "pytest", *chosen(session, folder))


def chosen(session: nox.Session, *folders: str) -> list[str]:
    """Return what pytest is told: the session's folders, or the tests named behind `--` instead, and options there."""
    names_tests = any((ROOT / argument.partition("::")[0]).exists() for argument in session.posargs)
    return [*(() if names_tests else folders), *session.posargs]


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, types, shell scripts and YAML."""
    install(session, LOCKS / "lint.txt")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    # What it knows of packages and of files that have not changed is kept with its environment: 1 s for 14.
    cache = f"--cache-dir={Path(session.virtualenv.location) / 'mypy'}"
    session.run("mypy", cache, "noxfile.py", "ci", "tests", *(str(path.relative_to(ROOT)) for path in SOURCES))
    session.run("shellcheck", *SCRIPTS, *(str(path) for path in sorted(IMAGES.glob("**/*.sh"))))
    session.run("yamllint", "--strict", ".")
    # It hands the scripts in workflows to the shellcheck of this environment.
    session.run(sys.executable, "-m", "ci", "workflows", external=True)
    session.notify("manifests")


@nox.session
def manifests(session: nox.Session) -> None:
    """Hold what the chart renders to kube-score and checkov, but for ci/lint/waived.toml (part of lint)."""
    install(session, LOCKS / "manifests.txt")
    python(session, "-m", "ci.lint.manifests")


@nox.session
@nox.parametrize("environment", ["slim", "tensorflow"])
def unit(session: nox.Session, environment: str) -> None:
    """Test the packages in the two environments they ship in: without TensorFlow, and with it and real servers."""
    suites = {
        "slim": (SLIM, [f"unit/{name}" for name in UNTOUCHED_BY_TENSORFLOW]),
        "tensorflow": (TENSORFLOW, ["unit/trainer", "unit/server", "contract", "gateway", "publishing"]),
    }
    locks, folders = suites[environment]
    install(session, *locks)
    paths = [f"tests/{folder}" for folder in folders]
    if session.posargs:
        python(session, "-m", "pytest", *paths, *session.posargs)
        return
    python(session, "-m", "pytest", *paths, *SIDE_BY_SIDE, "-m", "not timed and not lengthy")
    # What has a time to keep has nobody beside it who imports TensorFlow again and again.
    python(session, "-m", "pytest", *paths, *SIDE_BY_SIDE, "-m", "timed and not lengthy")


@nox.session
def contract(session: nox.Session) -> None:
    """Hold a model server alone to TensorFlow Serving's contract (`-- --server-command "..."` names another)."""
    install(session, *TENSORFLOW)
    python(session, "-m", "pytest", "tests/contract", *session.posargs)


@nox.session
def trainer(session: nox.Session) -> None:
    """Hold trainer and publisher to all they promise: killed at any step and gone on with, of data of any type."""
    install(session, *TENSORFLOW)
    python(session, "-m", "pytest", *chosen(session, *TRAINER))


@nox.session
def gateway(session: nox.Session) -> None:
    """Put every kind of model behind the real server and the real api, and ask by every protocol."""
    install(session, *TENSORFLOW)
    python(session, "-m", "pytest", "tests/gateway", *session.posargs)


@nox.session
def soak(session: nox.Session) -> None:
    """Load, fuzz and attack api and server for half an hour and print what was measured (`-- --minutes 1`: less)."""
    install(session, *TENSORFLOW)
    python(session, "-m", "pytest", "tests/soak", *session.posargs)


@nox.session
def chart(session: nox.Session) -> None:
    """Render the chart with every values case and hold it to its properties."""
    install(session, LOCKS / "chart.txt")
    python(session, "-m", "pytest", *RENDERING, "-m", "not lengthy", *session.posargs)


@nox.session
def helms(session: nox.Session) -> None:
    """Hold the chart to the oldest Helm 3 that it supports, which is built for this."""
    install(session, LOCKS / "chart.txt")
    python(session, "-m", "pytest", *RENDERING, "-m", "lengthy", *session.posargs)


@nox.session
def e2e(session: nox.Session) -> None:
    """Bring up a real cluster and prove the path from data to prediction on it."""
    install(session, LOCKS / "e2e.txt", IMAGES / "api" / "requirements.txt")
    session.run(sys.executable, "-m", "ci", "ready", external=True)
    suite = (
        "-m",
        "pytest",
        "tests/e2e",
        *(f"--ignore={folder}" for folder in APART),
    )
    if session.posargs:
        python(session, *suite, *session.posargs)
        return
    # Most of the time is waiting, which may be done side by side. Steady traffic has the machine for itself: beside
    # somebody's training two processors serve none.
    python(session, *suite, "-m", "not traffic", *SIDE_BY_SIDE)
    python(session, *suite, "-m", "traffic")


@nox.session
def change(session: nox.Session) -> None:
    """Change a release on the real cluster in every way under steady traffic, and count what is lost: nothing."""
    on_cluster(session, CHANGE)


@nox.session
def training(session: nox.Session) -> None:
    """Train on the real cluster: gated, killed and resumed, on a schedule, by one's own programs, beside a board."""
    on_cluster(session, TRAINING)


@nox.session
def serving(session: nox.Session) -> None:
    """Serve others' models on the real cluster, from wherever they are, with all that a server can be told to do."""
    on_cluster(session, SERVING)


@nox.session
def argocd(session: nox.Session) -> None:
    """Put Argo CD into the real cluster and let it install, heal, change and delete a release."""
    on_cluster(session, ARGO_CD, addon="argocd")


@nox.session
def network(session: nox.Session) -> None:
    """Enforce NetworkPolicies in the real cluster, and see who reaches whom."""
    try:
        on_cluster(session, NETWORK, addon="network-policies")
    finally:
        # Whatever else is tested there goes on as in a cluster that enforces none.
        session.run(sys.executable, "-m", "ci", "addon", "network-policies", "--remove", external=True)


@nox.session
def s3(session: nox.Session) -> None:
    """Keep models in a bucket of a real S3 server on the real cluster, which is killed and comes back."""
    on_cluster(session, S3)


@nox.session(venv_backend="none")
def demo(session: nox.Session) -> None:
    """Go from nothing to a printed prediction on a real cluster (`-- --provider kind|minikube|existing`)."""
    tool(session, "demo")


@nox.session(venv_backend="none")
def down(session: nox.Session) -> None:
    """Remove the cluster, the registry and the routes the demo and the tests made."""
    tool(session, "down")


@nox.session(venv_backend="none")
def images(session: nox.Session) -> None:
    """Build the images and print their sizes (`-- --push REGISTRY` pushes them, `-- --gpu` is for GPUs)."""
    tool(session, "images")


@nox.session
def bench(session: nox.Session) -> None:
    """Measure side by side and print ratios (`-- training` runs one; `-- load --url URL` loads your own release)."""
    is_load = session.posargs[:1] == ["load"]
    install(session, *([LOCKS / "load.txt"] if is_load else [*TENSORFLOW, LOCKS / "peers-floors.txt"]))
    python(session, "-m", "ci.bench", *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """Generate the chart's schema and reference from values.schema.yaml."""
    install(session, LOCKS / "chart.txt")
    python(session, "-m", "ci.chart_docs", *session.posargs)


@nox.session
def protos(session: nox.Session) -> None:
    """Generate the messages of every package that has some from its .proto files."""
    install(session, LOCKS / "protos.txt")
    for source in SOURCES:
        # Paths from the source folder, so that a generated module says the same on every machine.
        with session.chdir(source):
            for proto in sorted(source.glob("*/protos/*.proto")):
                path = str(proto.relative_to(source))
                session.run("python", "-m", "grpc_tools.protoc", "-I.", "--python_out=.", "--pyi_out=.", path)


@nox.session(venv_backend="none")
def lock(session: nox.Session) -> None:
    """Resolve every requirement file again and pin it with hashes (`-- --upgrade` takes newer versions)."""
    tool(session, "lock")
