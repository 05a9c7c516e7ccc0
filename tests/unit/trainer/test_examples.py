"""The documented examples train as they are, on data as their docstrings say."""

from __future__ import annotations

import csv
import importlib
import json
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from trainer import __main__ as command

EXAMPLES = Path(__file__).parents[3] / "model" / "trainer" / "examples"
sys.path.append(str(EXAMPLES))
RANDOM = np.random.default_rng(1)


def make_fraud(folder: Path) -> None:
    """Write the table of the README's first recipe."""
    module = importlib.import_module("make_payments")
    module.main(folder / "payments.csv", 1000)


def make_arrays(folder: Path) -> None:
    """Write data.npz."""
    x = RANDOM.normal(size=(200, 5)).astype(np.float32)
    np.savez(folder / "data.npz", x=x, y=x.sum(axis=1))


def make_tables(folder: Path) -> None:
    """Write CSV files of payments."""
    for name, rows in (("train-0", 200), ("train-1", 100), ("test-0", 60)):
        with (folder / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
            table = csv.writer(file)
            table.writerow(["amount", "hour", "distance", "fraud"])
            for amount, distance in RANDOM.exponential((50, 10), (rows, 2)):
                table.writerow([f"{amount:.2f}", 3.0, f"{distance:.1f}", int(amount + 5 * distance > 100)])


def make_records(folder: Path) -> None:
    """Write TFRecord files of vectors whose largest number is their class."""
    for name, rows in (("train-0", 200), ("train-1", 100), ("test-0", 60)):
        with tf.io.TFRecordWriter(str(folder / f"{name}.tfrecord")) as writer:
            for label in RANDOM.integers(3, size=rows):
                values = RANDOM.normal(0, 0.1, 4)
                values[label] += 1
                features = {
                    "x": tf.train.Feature(float_list=tf.train.FloatList(value=values)),
                    "label": tf.train.Feature(int64_list=tf.train.Int64List(value=[label])),
                }
                example = tf.train.Example(features=tf.train.Features(feature=features))
                writer.write(example.SerializeToString())


def make_pictures(folder: Path) -> None:
    """Write a folder of pictures for each class."""
    for label, brightness in (("cat", 60), ("dog", 190)):
        (folder / label).mkdir()
        for number in range(20):
            pixels = np.full((20, 20, 3), brightness) + RANDOM.normal(size=(20, 20, 3))
            keras.utils.save_img(folder / label / f"{number}.png", pixels, scale=False)


MAKERS = {
    "fraud": make_fraud,
    "arrays": make_arrays,
    "tables": make_tables,
    "records": make_records,
    "pictures": make_pictures,
}


@pytest.mark.parametrize("name", MAKERS)
def test_example_trains_as_it_is(name: str, tmp_path: Path, places: list[str]) -> None:
    data = tmp_path / "data"
    data.mkdir()
    MAKERS[name](data)
    flags = [f"--module={name}", f"--code-dir={EXAMPLES}", f"--data-dir={data}", "--epochs=2"]
    assert command.main([*places, *flags]) == 0
    told = json.loads((tmp_path / "output" / "result.json").read_text(encoding="utf-8"))
    assert told["task"] == ("regression" if name == "arrays" else "classification")
    assert told["example"]["inputs"]
    assert told["example"]["outputs"]
    assert np.isfinite(list(told["metrics"].values())).all()


def test_every_example_is_tested() -> None:
    assert {path.stem for path in EXAMPLES.glob("*.py")} - {"make_payments"} == set(MAKERS)


def test_first_recipe_is_short() -> None:
    code = [line for line in (EXAMPLES / "fraud.py").read_text(encoding="utf-8").splitlines() if line.strip()]
    assert len(code) < 30
