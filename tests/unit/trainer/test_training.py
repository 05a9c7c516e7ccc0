"""Fitting: lines for people, and a run that was interrupted ends like one that was not."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.unit.trainer.conftest import write_code
from trainer import Data, Recipe, loading
from trainer.checkpoints import in_use
from trainer.errors import InputError, StorageError
from trainer.training import Training, seed_everything

if TYPE_CHECKING:
    from pathlib import Path

EPOCHS = 5
# Lines, weights and metrics.
Told = tuple[list[str], list[np.ndarray], dict[str, float]]


class _InterruptedError(Exception):
    """What ends a run in the middle."""


class Interrupt(keras.callbacks.Callback):  # type: ignore[misc]
    """End a run at the start of an epoch, or after a number of steps of it."""

    def __init__(self, epoch: int, step: int = 0) -> None:
        super().__init__()
        self.at = epoch
        self.step = step
        self.now = 0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """See whether this is the epoch."""
        del logs
        self.now = epoch
        if epoch == self.at and not self.step:
            raise _InterruptedError

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """See whether this is the step."""
        del logs
        if self.now == self.at and self.step and batch + 1 >= self.step:
            raise _InterruptedError


@pytest.fixture
def recipe(code: Path) -> type[Recipe]:
    """Return the recipe `sums`."""
    return loading.load("sums", code)


def run(
    recipe: type[Recipe],
    folder: Path | None = None,
    interrupt: Interrupt | None = None,
    *,
    steps: int = 0,
    **values: Any,
) -> Told:
    """Return the lines, the weights and the metrics of one run, as a process of its own would have them."""
    # Dropout's own random states count as well.
    one = recipe(epochs=EPOCHS, batch_size=16, is_plain=False, **values)
    seed_everything(one.seed)
    keras.backend.clear_session()
    lines: list[str] = []
    data = one.data(None)
    model = one.model(data)
    training = Training(one, lines.append, checkpoint_dir=folder, checkpoint_steps=steps)
    try:
        training.fit(model, data, [interrupt] if interrupt else [])
    except _InterruptedError:
        return lines, [], {}
    return lines, model.get_weights(), dict(one.evaluate(model, data))


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> Told:
    """Return what a run told that nothing stopped."""
    return run(loading.load("sums", write_code(tmp_path_factory.mktemp("unbroken") / "code")))


def test_each_epoch_is_told_with_what_is_left(unbroken: Told) -> None:
    lines, _, _ = unbroken
    assert len(lines) == EPOCHS
    for number, line in enumerate(lines, 1):
        left = r" left \d+ s" if number < EPOCHS else ""
        assert re.fullmatch(rf"epoch {number}/{EPOCHS}: accuracy 0\.\d+ loss \d\.\d+ seconds \d+\.\d{left}", line), line


def test_equal_seeds_give_equal_weights_and_others_do_not(recipe: type[Recipe], unbroken: Told) -> None:
    first, again, other = unbroken[1], run(recipe)[1], run(recipe, seed=7)[1]
    for one, two in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, two)
    assert not np.array_equal(first[0], other[0])


@pytest.mark.lengthy
@pytest.mark.parametrize(
    ("interrupt", "steps", "told"),
    [
        pytest.param(Interrupt(3), 0, "resumed after epoch 3, from", id="between-epochs"),
        pytest.param(Interrupt(2, step=6), 3, "resumed after epoch 2 and 6 steps, from", id="in-an-epoch"),
        pytest.param(Interrupt(0), 0, "", id="before-the-first"),
    ],
)
def test_interrupted_run_ends_like_an_unbroken_one(
    recipe: type[Recipe], unbroken: Told, tmp_path: Path, interrupt: Interrupt, steps: int, told: str
) -> None:
    _, weights, metrics = unbroken
    assert run(recipe, tmp_path / "checkpoints", interrupt, steps=steps)[1] == []
    lines, resumed, reached = run(recipe, tmp_path / "checkpoints", steps=steps)
    assert [line for line in lines if line.startswith("resumed")] == [line for line in lines[:1] if told]
    assert not told or lines[0].startswith(told)
    for one, two in zip(resumed, weights, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-6, atol=1e-7)
    assert reached == pytest.approx(metrics, rel=1e-6)


@pytest.mark.lengthy
def test_run_that_was_done_trains_nothing_again(recipe: type[Recipe], tmp_path: Path) -> None:
    _, first, _ = run(recipe, tmp_path / "checkpoints")
    lines, again, _ = run(recipe, tmp_path / "checkpoints")
    assert [line.partition(",")[0] for line in lines] == [f"resumed after epoch {EPOCHS}"]
    np.testing.assert_array_equal(first[0], again[0])


@pytest.mark.lengthy
@pytest.mark.parametrize("damage", ["data", "index", "state"])
def test_damaged_checkpoint_is_named_and_the_one_before_counts(
    recipe: type[Recipe], tmp_path: Path, damage: str
) -> None:
    folder = tmp_path / "checkpoints"
    run(recipe, folder, Interrupt(3))
    newest = tf.train.latest_checkpoint(str(folder))
    if damage == "state":
        (folder / "checkpoint").write_text("nonsense", encoding="utf-8")
    else:
        suffix = ".index" if damage == "index" else ".data-00000-of-00001"
        for path in folder.glob(f"*{suffix}"):
            if path.name.startswith(newest.rpartition("/")[2]):
                path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    lines, weights, _ = run(recipe, folder)
    assert weights
    assert lines[-1].startswith(f"epoch {EPOCHS}/{EPOCHS}")
    if damage != "state":
        assert lines[0].startswith("checkpoint ckpt-3 is left out: ")
        assert lines[1].startswith("resumed after epoch 2")


@pytest.mark.lengthy
def test_checkpoint_of_another_network_is_left_out(recipe: type[Recipe], tmp_path: Path) -> None:
    run(recipe, tmp_path / "checkpoints", Interrupt(2))
    lines, weights, _ = run(recipe, tmp_path / "checkpoints", units=9)
    assert [line for line in lines if "is left out" in line]
    assert weights[0].shape == (3, 9)
    assert lines[-EPOCHS].startswith("epoch 1/")


def test_checkpoint_that_cannot_be_written_is_a_fault_of_storage(recipe: type[Recipe], tmp_path: Path) -> None:
    (tmp_path / "checkpoints").write_text("a file", encoding="utf-8")
    with pytest.raises(StorageError, match="checkpoints cannot be made"):
        run(recipe, tmp_path / "checkpoints")


def test_folder_of_a_run_is_held_by_one_at_a_time(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with in_use(folder), pytest.raises(StorageError, match="in use by another training"), in_use(folder):
        pass
    with in_use(folder):
        pass


def test_stream_is_read_anew_each_epoch_whatever_its_length(recipe: type[Recipe]) -> None:
    one = recipe(epochs=3)
    data = one.data(None)
    features, labels = data.train
    read: list[int] = []

    def batches() -> Any:
        read.append(1)
        for start in range(0, len(labels), 16):
            yield features[start : start + 16], labels[start : start + 16]  # type: ignore[index]

    spec = (tf.TensorSpec((None, 3), tf.float32), tf.TensorSpec((None, 1), tf.float32))
    stream = tf.data.Dataset.from_generator(batches, output_signature=spec)
    lines: list[str] = []
    model = one.model(data)
    Training(one, lines.append).fit(model, Data(train=stream, test=data.test))
    assert len(read) == 3
    assert float(one.evaluate(model, data)["loss"]) < 0.7


def test_model_that_is_not_compiled_is_refused(recipe: type[Recipe]) -> None:
    one = recipe()
    data = one.data(None)
    with pytest.raises(InputError, match="not compiled"):
        Training(one, lambda _: None).fit(keras.Sequential([keras.layers.Dense(1)]), data)


def test_data_that_does_not_fit_is_named() -> None:
    x, y = np.zeros((4, 2)), np.zeros(3)
    with pytest.raises(InputError, match="the features has 4 examples, 3 labels"):
        Data(train=(x, y), test=(x[:3], y))
    with pytest.raises(InputError, match="cannot be split"):
        Data.split(x[:1], y[:1])
