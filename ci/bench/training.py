"""The trainer against `model.fit` with its defaults: same data, network and epochs, side by side in one run.

Prints seconds and test accuracy of each round and, for each recipe, the ratio of the medians; fails below the goal.
"""

from __future__ import annotations

import importlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from ci import paths

ROUNDS = 3
MINIMUM_RATIO = 2.0
# How far below model.fit's accuracy the trainer's may be: two runs of model.fit differ by as much.
ACCURACY_MARGIN = 0.01
EXAMPLES = paths.ROOT / "model" / "trainer" / "examples"
# Recipes by name: epochs of a round. Those of mnist are its own; with fewer, much of either way is TensorFlow's start.
RECIPES = {"mnist": 5, "fraud": 5}
# Ten times the README's table: of that one, most of either way is TensorFlow's start.
PAYMENTS = 40_000
WAYS = ("trainer", "model.fit")


def main() -> int:
    """Compare every recipe; return 1 where one is below its goal."""
    return int(not all(list(map(compare, RECIPES))))


def compare(recipe: str) -> bool:
    """Run the rounds, a process each, the two ways in turn; tell whether the goal was reached."""
    seconds: dict[str, list[float]] = {way: [] for way in WAYS}
    accuracies: dict[str, list[float]] = {way: [] for way in WAYS}
    for number in range(ROUNDS):
        for way in WAYS:
            command = [sys.executable, "-m", "ci.bench.training", recipe, way]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            took, accuracy = map(float, done.stdout.split()[-2:])
            seconds[way].append(took)
            accuracies[way].append(accuracy)
            print(f"{recipe}, round {number + 1}: {way}: {took:.1f} s, accuracy {accuracy:.4f}", flush=True)
    medians = {way: statistics.median(seconds[way]) for way in WAYS}
    reached = {way: statistics.median(accuracies[way]) for way in WAYS}
    ratio = medians["model.fit"] / medians["trainer"]
    print(f"{recipe}: model.fit / trainer: {ratio:.2f} (goal: {MINIMUM_RATIO} or more)")
    print(f"{recipe}: accuracy: {', '.join(f'{way} {value:.4f}' for way, value in reached.items())}")
    return ratio >= MINIMUM_RATIO and reached["trainer"] >= reached["model.fit"] - ACCURACY_MARGIN


def one(name: str, way: str) -> None:
    """Train once and print seconds and test accuracy."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from ci.images import datasets  # noqa: PLC0415
    from trainer import loading  # noqa: PLC0415
    from trainer.training import Training, seed_everything  # noqa: PLC0415

    folder = paths.cache() / "datasets"
    datasets.fetch(folder)
    os.environ["DATASETS_DIR"] = str(folder)
    recipe = loading.load(name, EXAMPLES)(epochs=RECIPES[name])
    if way == "trainer":
        seed_everything(recipe.seed)
    with tempfile.TemporaryDirectory() as table:
        importlib.import_module("make_payments").main(Path(table) / "payments.csv", PAYMENTS)
        data = recipe.data(Path(table) if name == "fraud" else None)
    model = recipe.model(data)
    start = time.monotonic()
    if way == "trainer":
        recipe.fit(model, data, Training(recipe, lambda _: None))
    else:
        features, labels = data.train
        model.fit(features, labels, epochs=recipe.epochs, batch_size=recipe.batch_size, verbose=0)
    print(time.monotonic() - start, recipe.evaluate(model, data)["accuracy"])


if __name__ == "__main__":
    if sys.argv[1:]:
        one(*sys.argv[1:3])
        raise SystemExit(0)
    raise SystemExit(main())
