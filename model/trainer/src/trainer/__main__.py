"""`python -m trainer`: read the recipe, get data, build, fit, evaluate, export."""

from __future__ import annotations

import signal
import sys
import tempfile
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from trainer import config, loading, quiet
from trainer.errors import TrainerError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trainer.config import Config

# What user code did wrong may be a passing fault: the Job tries again.
FAILED = 1


def main(arguments: Sequence[str]) -> int:
    """Run the trainer; return 0, or the exit code of a failure after telling its sentence."""
    signal.signal(signal.SIGTERM, _stop)
    try:
        # A recipe's module may import Keras.
        with quiet.importing():
            options = config.parse(arguments)
        _run(options)
    except TrainerError as error:
        return _fail(str(error), error.exit_code)
    except Exception as error:  # noqa: BLE001 - the recipe's own code may raise anything
        traceback.print_exc()
        return _fail(f"the recipe failed: {loading.where(error)}", FAILED)
    return 0


def _run(options: Config) -> None:
    recipe = options.recipe
    _tell(f"recipe: {options.module} {' '.join(f'{name}={value}' for name, value in recipe.values().items())}")
    # TensorFlow takes seconds to import, and what can be refused without it has been by now.
    with quiet.importing():
        from trainer import checkpoints, devices, result  # noqa: PLC0415

    devices.use_all(_tell)
    run = options.checkpoint_dir.parent if options.checkpoint_dir else None
    with checkpoints.in_use(run):
        result.clear(options.model_dir, options.result_file)
        _train(options)


def _train(options: Config) -> None:
    from trainer import describing, export, result  # noqa: PLC0415
    from trainer.training import Training, seed_everything  # noqa: PLC0415

    recipe = options.recipe
    seed_everything(recipe.seed)
    data = recipe.data(options.data_dir)
    _tell(f"data: {data.about()}")
    model = recipe.model(data)
    training = Training(
        recipe,
        _tell,
        checkpoint_dir=options.checkpoint_dir,
        checkpoint_steps=options.checkpoint_steps,
        log_dir=options.log_dir,
    )
    recipe.fit(model, data, training)
    metrics = recipe.evaluate(model, data)
    _tell(f"test: {' '.join(f'{name} {value:.4f}' for name, value in metrics.items())}")
    training.logs.conclude(recipe.values(), metrics)
    with tempfile.TemporaryDirectory(prefix=".exporting-", dir=options.model_dir.parent) as partial:
        folder = Path(partial) / "model"
        recipe.export(model, folder)
        content, rows = describing.result(recipe, model, data, metrics, folder)
        if options.data_sha256:
            content["data"]["sha256"] = options.data_sha256
        export.write_warmup(rows, folder)
        result.reveal(folder, options.model_dir, options.result_file, content)
    _tell(f"exported to {options.model_dir}")


def _tell(line: str) -> None:
    print(line, flush=True)


def _fail(reason: str, code: int) -> int:
    # Last, and by itself: Kubernetes takes a failed container's last lines for its termination message.
    print(f"trainer: {reason}", file=sys.stderr, flush=True)
    return code


def _stop(number: int, _frame: object) -> NoReturn:
    # An exception, so that what is half written is removed on the way out.
    raise SystemExit(128 + number)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
