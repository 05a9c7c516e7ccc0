"""Write a small model and the result that the parameters ask for, as a training program would."""

import json
import math
import os
import pathlib
import resource
import sys
import tempfile
import time

import keras

told = json.loads(pathlib.Path(os.environ["TRAINING_CONFIG"]).read_text(encoding="utf-8"))["parameters"]
score = told.get("score", 0.9)
if "DATA_DIR" in os.environ:
    score = float(pathlib.Path(os.environ["DATA_DIR"], "score.txt").read_text(encoding="utf-8"))
if told.get("exit"):
    sys.exit(f"the program ends with {told['exit']}" if told["exit"] == 1 else told["exit"])
if told.get("memory_mib"):
    taken = bytearray(os.urandom(1 << 20) * told["memory_mib"])
if told.get("disk_mib"):
    pathlib.Path(tempfile.gettempdir(), "filler").write_bytes(bytes(told["disk_mib"] << 20))
    time.sleep(600)
if told.get("killed"):
    # A container's first process cannot be killed from within, but by the kernel: when its second of processor is over.
    resource.setrlimit(resource.RLIMIT_CPU, (1, 1))
    while True:
        pass
start = keras.initializers.Constant(score)
layers = [keras.Input((4,), name="features"), keras.layers.Dense(1, "sigmoid", kernel_initializer=start, name="scores")]
model = keras.Sequential(layers)
folder = pathlib.Path(os.environ["MODEL_DIR"])
model.export(folder, verbose=False)
row = [1.0, 1.0, 1.0, 1.0]
answer = 1 / (1 + math.exp(-4 * score)) + told.get("error", 0.0)
example = {"inputs": {"features": row}, "outputs": {"output_0": [answer]}}
if told.get("broken"):
    for path in (folder / "variables").iterdir():
        path.unlink()
metrics = {"accuracy": score if told.get("finite", True) else math.nan}
result = {"metrics": metrics, "task": "classification", "labels": ["stays", "leaves"], "example": example}
pathlib.Path(os.environ["RESULT_FILE"]).write_text(json.dumps(result), encoding="utf-8")
