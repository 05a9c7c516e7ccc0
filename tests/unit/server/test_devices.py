"""GPUs: nothing switches them off, and their memory is shared as the flags say."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from model_server import cpus, flags, startup

SOURCES = [Path(__file__).parents[3] / folder for folder in ("images/server/src", "model/trainer/src")]


@pytest.mark.parametrize(
    ("arguments", "fraction", "grows"),
    [([], 0.0, True), (["--per_process_gpu_memory_fraction=0.5"], 0.5, False)],
)
def test_memory_of_a_gpu_grows_unless_a_share_is_asked_for(arguments: list[str], fraction: float, grows: bool) -> None:  # noqa: FBT001 - a column of the table
    config = startup._session_config(flags.parse(["--model_name=m", "--model_base_path=/m", *arguments]))
    assert config.gpu_options.per_process_gpu_memory_fraction == fraction
    assert config.gpu_options.allow_growth is grows


@pytest.mark.parametrize(
    ("arguments", "threads"),
    [
        ([], (3, 3)),
        (["--tensorflow_intra_op_parallelism=5"], (5, 3)),
        (["--tensorflow_inter_op_parallelism=7"], (3, 7)),
        (["--tensorflow_session_parallelism=2"], (2, 2)),
    ],
)
def test_there_are_as_many_threads_as_cpus_the_container_may_use(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str], threads: tuple[int, int]
) -> None:
    monkeypatch.setattr(cpus, "usable", lambda: 3)
    config = startup._session_config(flags.parse(["--model_name=m", "--model_base_path=/m", *arguments]))
    assert (config.intra_op_parallelism_threads, config.inter_op_parallelism_threads) == threads


def test_nothing_hides_a_gpu() -> None:
    told = [
        path for source in SOURCES for path in source.rglob("*.py") if "CUDA_VISIBLE_DEVICES" in path.read_text("utf-8")
    ]
    assert told == []


def test_starting_leaves_the_visible_devices_alone() -> None:
    code = "import os, model_server.__main__ as m; m._quieten_tensorflow(); print(os.environ['CUDA_VISIBLE_DEVICES'])"
    environment = {**os.environ, "PYTHONPATH": ":".join(sys.path), "CUDA_VISIBLE_DEVICES": "0"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "0"
