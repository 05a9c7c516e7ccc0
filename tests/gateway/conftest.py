"""Real models behind the real server and the real gateway, as processes."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from tests.contract.conftest import Server
from tests.gateway import zoo
from tests.gateway.processes import Api

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    OpenApi = Callable[..., Api]


@pytest.fixture(scope="session")
def zoo_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Yield one server of every model of the zoo, each by its own name."""
    root = tmp_path_factory.mktemp("zoo")
    zoo.make_all(root)
    configs = "".join(
        f'config {{ name: "{name}" base_path: "{root / name}" model_platform: "tensorflow" }} ' for name in zoo.MODELS
    )
    (root / "models.txt").write_text(f"model_config_list {{ {configs} }}", encoding="utf-8")
    flags = (f"--model_config_file={root / 'models.txt'}", "--prefer_tflite_model=true")
    with Server(f"{sys.executable} -m model_server", None, *flags, name="sigmoid") as server:
        yield server


@pytest.fixture(scope="session")
def api_of(zoo_server: Server) -> Iterator[OpenApi]:
    """Yield a way to have a gateway for a model of the zoo; one for each set of flags, kept until the end."""
    running: dict[tuple[str, ...], Api] = {}

    def open_api(model: str, *flags: str) -> Api:
        api = running.get((model, *flags))
        if api is None:
            api = running[(model, *flags)] = Api(zoo_server.grpc_port, model, *flags).__enter__()
        return api

    yield open_api
    for api in running.values():
        api.stop()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--write-models`, which writes docs/models.md anew."""
    parser.addoption("--write-models", action="store_true", help="write docs/models.md from what is answered")
