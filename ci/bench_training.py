"""The trainer against `model.fit` with its defaults: same data, network and epochs, side by side in one run.

Prints seconds and test accuracy of each round and the ratio of the medians.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time

ROUNDS = 5
EPOCHS = 2
MINIMUM_RATIO = 2.0


def main() -> int:
    """Run the rounds, a process each, the two ways in turn; return 0."""
    seconds: dict[str, list[float]] = {"trainer": [], "model.fit": []}
    accuracies: dict[str, list[float]] = {"trainer": [], "model.fit": []}
    for number in range(ROUNDS):
        for way, rounds in seconds.items():
            command = [sys.executable, "-m", "ci.bench_training", way]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            took, accuracy = map(float, done.stdout.split()[-2:])
            rounds.append(took)
            accuracies[way].append(accuracy)
            print(f"round {number + 1}: {way}: {took:.1f} s for {EPOCHS} epochs, accuracy {accuracy:.4f}", flush=True)
    medians = {way: statistics.median(took) for way, took in seconds.items()}
    print(f"model.fit / trainer: {medians['model.fit'] / medians['trainer']:.2f} (wanted: {MINIMUM_RATIO} or more)")
    print(
        f"accuracy: trainer {statistics.median(accuracies['trainer']):.4f},"
        f" model.fit {statistics.median(accuracies['model.fit']):.4f}"
    )
    return 0


def one(way: str) -> None:
    """Train once and print seconds and test accuracy."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
    from ci import datasets, paths  # noqa: PLC0415
    from trainer import data, fit, network  # noqa: PLC0415
    from trainer.config import Parameters  # noqa: PLC0415
    from trainer.datasets import DATASETS  # noqa: PLC0415

    folder = paths.cache() / "datasets"
    datasets.fetch(folder)
    loaded = data.load(DATASETS["mnist"], folder / "mnist")
    parameters = Parameters(EPOCHS, batch_size=32, hidden_units=512, dropout=0.2, learning_rate=0.001, seed=42)
    if way == "trainer":
        fit.seed_everything(parameters.seed)
    model = network.build(parameters, (28, 28), 10)
    start = time.monotonic()
    if way == "trainer":
        fit.fit(model, loaded.train, parameters, lambda _: None)
    else:
        model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
        model.fit(loaded.train.images, loaded.train.labels, epochs=EPOCHS, verbose=0)
    print(time.monotonic() - start, fit.evaluate(model, loaded.test).accuracy)


if __name__ == "__main__":
    if sys.argv[1:]:
        one(sys.argv[1])
        raise SystemExit(0)
    raise SystemExit(main())
