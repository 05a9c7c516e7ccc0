"""Operations from libraries of their own, named in TF_OP_LIBRARIES (images/server/README.md)."""

from __future__ import annotations

from pathlib import Path

import pytest
import tensorflow as tf

from tests.contract.conftest import Server, run

pytestmark = pytest.mark.lengthy
# A library of operations that TensorFlow's wheel carries. (It registers them itself as well, which does no harm.)
LIBRARY = Path(tf.__file__).parent / "lite/experimental/microfrontend/python/ops/_audio_microfrontend_op.so"


def test_shared_object_is_loaded_before_the_models(command: str, base_path: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    shell = f"sh -c 'TF_OP_LIBRARIES={LIBRARY} exec \"$@\" 2>{log}' sh"
    with Server(f"{shell} {command}", base_path) as server:
        assert server.post({"instances": [1.0]}).json() == {"predictions": [2.5]}
    told = log.read_text()
    assert -1 < told.find(f"Loaded the operations of {LIBRARY}") < told.find("Successfully loaded servable version")


def test_python_module_may_load_the_operations(command: str, base_path: Path, tmp_path: Path) -> None:
    marker = tmp_path / "imported"
    (tmp_path / "own_operations.py").write_text(f"import pathlib\npathlib.Path({str(marker)!r}).touch()\n")
    shell = "sh -c 'export PYTHONPATH=$0:$PYTHONPATH TF_OP_LIBRARIES=own_operations; exec \"$@\"'"
    with Server(f"{shell} {tmp_path} {command}", base_path) as server:
        assert marker.exists()
        assert server.post({"instances": [1.0]}).json() == {"predictions": [2.5]}


@pytest.mark.parametrize("name", ["no_such_module", "/no/such.so"])
def test_named_library_that_cannot_be_loaded_ends_the_start(command: str, base_path: Path, name: str) -> None:
    code, _, told = run(command, f"--model_base_path={base_path}", TF_OP_LIBRARIES=name)
    assert code == 255
    assert f"INVALID_ARGUMENT: TF_OP_LIBRARIES names {name!r}, which cannot be loaded" in told


def own_package(folder: Path, name: str, source: str) -> str:
    """Write a Python module, and return a command's start that puts it before the server's own."""
    (folder / f"{name}.py").write_text(source)
    return f"sh -c 'export PYTHONPATH=$0:$PYTHONPATH; exec \"$@\" 2>{folder / 'log'}' {folder}"


def test_what_upstream_links_is_loaded_where_it_is_installed(command: str, base_path: Path, tmp_path: Path) -> None:
    shell = own_package(tmp_path, "tensorflow_text", f"import tensorflow\ntensorflow.load_library({str(LIBRARY)!r})\n")
    with Server(f"{shell} {command}", base_path):
        told = (tmp_path / "log").read_text()
    assert (
        -1 < told.find("Loaded the operations of tensorflow_text") < told.find("Successfully loaded servable version")
    )


def test_installed_library_of_another_tensorflow_is_told_and_the_rest_served(
    command: str, base_path: Path, tmp_path: Path
) -> None:
    shell = own_package(tmp_path, "tensorflow_text", "raise ImportError('undefined symbol: _ZN10tensorflow')\n")
    with Server(f"{shell} {command}", base_path) as server:
        assert server.post({"instances": [1.0]}).json() == {"predictions": [2.5]}
    told = (tmp_path / "log").read_text()
    assert "The operations of tensorflow_text are installed and cannot be loaded: undefined symbol: _ZN10ten" in told
