"""`python -m trainer`: load, build, fit, evaluate, gate, publish."""

from __future__ import annotations

import contextlib
import datetime
import importlib.metadata
import os
import platform
import signal
import sys
from typing import TYPE_CHECKING, Any, NoReturn

from model_store import DirectoryStore, StoreError
from trainer import config, gate
from trainer.datasets import DATASETS
from trainer.errors import TrainerError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from model_store import Publisher
    from trainer.config import Config
    from trainer.data import Data
    from trainer.fit import Metrics

PACKAGES = ("tensorflow", "tensorflow-cpu", "keras", "numpy")


def main(arguments: Sequence[str]) -> int:
    """Run the trainer; return 0, or the exit code of a failure after telling its sentence."""
    signal.signal(signal.SIGTERM, _stop)
    try:
        _run(config.parse(arguments))
    except (TrainerError, StoreError) as error:
        print(f"trainer: {error}", file=sys.stderr, flush=True)
        _leave_reason(config.termination_log(arguments), str(error))
        return error.exit_code if isinstance(error, TrainerError) else TrainerError.exit_code
    return 0


def _run(options: Config) -> None:
    publisher = DirectoryStore(options.model_store).publisher(options.model_name, options.model_key)
    # First: a trainer that was killed after another one published leaves its directory, too.
    publisher.remove_abandoned()
    published = publisher.published_version()
    if published is not None:
        _tell(f"already published: {options.model_name}/{options.model_key}/{published}")
        return
    publisher.prepare()
    _train(options, publisher)


def _train(options: Config, publisher: Publisher) -> None:
    # TensorFlow takes seconds to import: only after everything that can be refused without it.
    from trainer import data as data_module  # noqa: PLC0415

    data = data_module.load(DATASETS[options.dataset], options.data_dir / options.dataset)
    _tell(f"data: {options.dataset}, {len(data.train.images)} training and {len(data.test.images)} test images")
    _quieten_tensorflow()
    from trainer import fit, network  # noqa: PLC0415

    fit.seed_everything(options.parameters.seed)
    model = network.build(options.parameters, data.train.images.shape[1:], len(DATASETS[options.dataset].labels))
    fit.fit(model, data.train, options.parameters, _tell)
    metrics = fit.evaluate(model, data.test)
    _tell(f"test: loss {metrics.loss:.4f} accuracy {metrics.accuracy:.4f} on {len(data.test.images)} images")
    gate.check(metrics.accuracy, options.min_accuracy)
    version = _publish(options, publisher, model, data, metrics)
    _tell(f"published {options.model_name}/{options.model_key}/{version}")


def _publish(options: Config, publisher: Publisher, model: Any, data: Data, metrics: Metrics) -> int:
    from model_description import saved_model  # noqa: PLC0415
    from trainer import describing, export, serving  # noqa: PLC0415

    created = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    with publisher.publication() as publication:
        folder = publication.folder
        export.write(model, data.test.images[: max(export.WARMUP_BATCH_SIZES)], folder)
        weights_sha256 = saved_model.weights_sha256(folder)
        description = describing.describe(options, model, data, metrics, weights_sha256=weights_sha256, created=created)
        saved_model.describe(folder, description)
        serving.check(folder, description)
        packages = {"python": platform.python_version(), **_installed(PACKAGES)}
        return publisher.commit(publication, created=created, packages=packages)


def _installed(packages: Sequence[str]) -> dict[str, str]:
    found = {}
    for package in packages:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[package] = importlib.metadata.version(package)
    return found


def _quieten_tensorflow() -> None:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")


def _tell(line: str) -> None:
    print(line, flush=True)


def _leave_reason(path: Path | None, reason: str) -> None:
    if path is not None and path.exists():
        with contextlib.suppress(OSError):
            path.write_text(reason, encoding="utf-8")


def _stop(number: int, _frame: object) -> NoReturn:
    # An exception, so that what is half written is removed on the way out.
    raise SystemExit(128 + number)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
