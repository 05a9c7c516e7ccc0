"""`python -m trainer`: load, build, fit, evaluate, gate, publish."""

from __future__ import annotations

import contextlib
import datetime
import importlib.metadata
import os
import platform
import signal
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, NoReturn

from trainer import config, gate, manifest
from trainer.datasets import DATASETS
from trainer.errors import StoreError, TrainerError
from trainer.store import ModelStore

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from trainer.config import Config
    from trainer.data import Data
    from trainer.fit import Metrics

PACKAGES = ("tensorflow", "tensorflow-cpu", "keras", "numpy")


def main(arguments: Sequence[str]) -> int:
    """Run the trainer; return 0, or a TrainerError's exit code after telling its sentence."""
    signal.signal(signal.SIGTERM, _stop)
    termination_log: Path | None = None
    try:
        options = config.parse(arguments, os.environ)
        termination_log = options.termination_log
        _run(options)
    except TrainerError as error:
        print(f"trainer: {error}", file=sys.stderr, flush=True)
        _leave_reason(termination_log, str(error))
        return error.exit_code
    return 0


def _run(options: Config) -> None:
    store = ModelStore(options.model_store, options.model_name, options.model_key)
    published = store.published_version()
    if published is not None:
        _tell(f"already published: {options.model_name}/{options.model_key}/{published}")
        return
    store.prepare()
    _train(options, store)


def _train(options: Config, store: ModelStore) -> None:
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
    version = _publish(options, store, model, data, metrics)
    _tell(f"published {options.model_name}/{options.model_key}/{version}")


def _publish(options: Config, store: ModelStore, model: Any, data: Data, metrics: Metrics) -> int:
    from trainer import export  # noqa: PLC0415

    with store.publication() as publication:
        export.write(model, data.test.images[: max(export.WARMUP_BATCH_SIZES)], publication.folder)
        facts = _facts(options, data, metrics, publication.version)
        (publication.folder / manifest.FILE_NAME).write_text(
            manifest.render(facts, publication.folder), encoding="utf-8"
        )
        return store.commit(publication)
    raise StoreError("the model was not published")  # pragma: no cover - publication() never swallows an error


def _facts(options: Config, data: Data, metrics: Metrics, version: int) -> dict[str, Any]:
    dataset = DATASETS[options.dataset]
    return {
        "model": options.model_name,
        "key": options.model_key,
        "version": version,
        "created": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "dataset": {"name": dataset.name, "sha256": data.sha256},
        "parameters": asdict(options.parameters),
        "metrics": {"test_accuracy": round(metrics.accuracy, 6), "test_loss": round(metrics.loss, 6)},
        "labels": list(dataset.labels),
        "input": {
            "shape": list(data.train.images.shape[1:]),
            "dtype": "float32",
            "minimum": 0.0,
            "maximum": 255.0,
        },
        "packages": {"python": platform.python_version(), **_installed(PACKAGES)},
    }


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
