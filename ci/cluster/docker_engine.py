"""Docker Engine: found, or installed and started on a bare Debian or Ubuntu machine."""

from __future__ import annotations

import functools
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ci import paths
from ci.steps import TAIL_LINES, StepError, run, step, succeeds
from ci.waiting import first_true

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

PACKAGES = {
    "dockerd": "docker.io",
    "containerd": "containerd",
    "runc": "runc",
    "iptables": "iptables",
    "mmdebstrap": "mmdebstrap",
}
START_TIMEOUT_SECONDS = 90
POLL_SECONDS = 0.2
# include/uapi/linux/capability.h
CAP_SYS_RESOURCE = 24
CONTAINERD_SOCKET = Path("/run/containerd/containerd.sock")
DOCKER_PID_FILE = Path("/var/run/docker.pid")
SHIM = Path(__file__).with_name("runc_bounded.py")


def ensure() -> None:
    """Return when Docker Engine answers, installing and starting it where that is possible.

    Started daemons live in sessions of their own and log into the cache folder. Daemons that were killed are
    started again. Raise StepError with the way out on machines where this is not ours to do.
    """
    if answers():
        _restart_where_its_runtime_is_gone()
        return
    if sys.platform != "linux" or os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise StepError(
            "Docker Engine does not answer",
            why="it is not running, or this user may not use it",
            hint="start Docker (Desktop, or sudo systemctl start docker), or run this as root on Debian or Ubuntu",
        )
    with step("start Docker Engine"):
        _install()
        if Path("/run/systemd/system").is_dir():
            run(["systemctl", "start", "docker"])
        else:
            _start_daemons()
        _wait()


def _restart_where_its_runtime_is_gone() -> None:
    """Start an engine again whose runtime went with the checkout that started it: it could start no container."""
    told = run([client(), "info", "--format={{(index .Runtimes .DefaultRuntime).Path}}"]).strip()
    if not told.startswith("/") or Path(told).exists() or not DOCKER_PID_FILE.exists():
        return
    with step(f"restart Docker Engine, whose runtime {told} is gone"):
        daemon = int(DOCKER_PID_FILE.read_text(encoding="utf-8"))
        os.kill(daemon, signal.SIGTERM)
        _until(lambda: not Path(f"/proc/{daemon}").exists(), "dockerd", "stop")
        _start_daemons()
        _wait()


def answers() -> bool:
    """Tell whether a Docker Engine answers."""
    docker = shutil.which("docker")
    return docker is not None and succeeds([docker, "info"])


@functools.cache
def client() -> str:
    """Return the path of a docker client that can build with BuildKit; raise StepError when there is none."""
    found = dict.fromkeys([shutil.which("docker"), "/usr/bin/docker", "/usr/local/bin/docker"])
    for candidate in found:
        if candidate and Path(candidate).exists() and _has_buildkit(candidate):
            return candidate
    raise StepError(
        "no docker client here can build with BuildKit",
        why="the newer client needs its buildx plugin",
        hint="install docker-buildx-plugin (or Debian's docker.io, whose client has BuildKit built in)",
    )


def lacks_capability(status: str, capability: int) -> bool:
    """Tell whether the bounding set in the text of /proc/self/status lacks a capability (by its number)."""
    line = next(line for line in status.splitlines() if line.startswith("CapBnd:"))
    return not int(line.split()[1], 16) >> capability & 1


def _has_buildkit(docker: str) -> bool:
    # A client of version 23 or newer without buildx refuses with an error; older ones have BuildKit built in.
    done = subprocess.run(
        [docker, "build", "--help"],
        env={**os.environ, "DOCKER_BUILDKIT": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode == 0 and "--secret" in done.stdout


def _install() -> None:
    missing = [package for program, package in PACKAGES.items() if shutil.which(program) is None]
    if not missing:
        return
    apt = {"DEBIAN_FRONTEND": "noninteractive"}
    run(["apt-get", "update", "-qq"], env=apt)
    run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", "ca-certificates", *missing], env=apt)


def _start_daemons() -> None:
    if not succeeds(["ctr", "version"]):
        _spawn("containerd", ["containerd"])
        _until(CONTAINERD_SOCKET.exists, "containerd")
    _forget_dead_daemon()
    options: list[str] = []
    if lacks_capability(Path("/proc/self/status").read_text(encoding="utf-8"), CAP_SYS_RESOURCE):
        # kind's privileged containers ask for every capability; the shim leaves out what this host cannot grant.
        options = [f"--add-runtime=bounded={_kept_shim()}", "--default-runtime=bounded"]
    _spawn("dockerd", ["dockerd", f"--containerd={CONTAINERD_SOCKET}", *options])


def _kept_shim() -> Path:
    """Copy the shim to the cache: the engine goes on calling it by its path after this checkout is gone."""
    kept = paths.cache() / SHIM.name
    kept.unlink(missing_ok=True)
    shutil.copy2(SHIM, kept)
    return kept


def _forget_dead_daemon() -> None:
    """Remove the pid file of a dockerd that was killed: a new one would take any process of that number for it."""
    if not DOCKER_PID_FILE.exists():
        return
    number = DOCKER_PID_FILE.read_text(encoding="utf-8").strip()
    command = Path("/proc") / number / "comm"
    if not command.exists() or command.read_text(encoding="utf-8").strip() != "dockerd":
        DOCKER_PID_FILE.unlink()


def _spawn(name: str, command: Sequence[str]) -> None:
    log = _log(name)
    # What runs in containers is not as patient as a run that prepares them beside another.
    patience = os.getpriority(os.PRIO_PROCESS, 0)
    command = ["nice", "-n", str(-patience), *command] if patience > 0 else command
    print(f"  $ {' '.join(command)}  (log: {log})", flush=True)
    with log.open("ab") as output:
        subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            cwd="/",
        )


def _wait() -> None:
    client.cache_clear()
    _until(answers, "dockerd")


def _until(condition: Callable[[], bool], name: str, what: str = "start") -> None:
    if not first_true(condition, START_TIMEOUT_SECONDS, POLL_SECONDS)[0]:
        tail = _log(name).read_text(encoding="utf-8", errors="replace").splitlines()[-TAIL_LINES:]
        raise StepError(
            f"{name} did not {what} within {START_TIMEOUT_SECONDS} s",
            why="\n".join(tail),
            hint=f"read {_log(name)}",
        )


def _log(name: str) -> Path:
    return paths.cache() / f"{name}.log"
