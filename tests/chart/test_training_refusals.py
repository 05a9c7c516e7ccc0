"""What cannot be trained is refused when rendering, with the key, the reason and the way out."""

from __future__ import annotations

from typing import Any

import pytest

from tests.chart.rendering import RefusedError, every_helm, refusals, render

SHA256 = "a" * 64
FILES = {"fraud.py": "class Fraud: ..."}
CODE = {"module": "fraud", "code": FILES}
# training values, and how the sentence begins.
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "code-too-large": (
        {**CODE, "code": {"fraud.py": "x" * 262145}},
        "training.code has 262153 bytes but a release, which Helm keeps in a Secret, has room for 262144: put the code",
    ),
    "code-in-a-folder": (
        {**CODE, "code": {**FILES, "a/b.py": ""}},
        'training.code has "a/b.py" but its files are keys of a ConfigMap',
    ),
    "code-of-the-parameters-name": (
        {**CODE, "code": {**FILES, "training.json": ""}},
        "training.code has a file training.json but that is the file training is told its parameters in",
    ),
    "code-of-a-recipes-name": (
        {"code": {"mnist.py": ""}},
        "training.code has mnist.py but mnist is the name of a built-in recipe",
    ),
    "module-without-its-file": (
        {"module": "fraud", "code": {"churn.py": ""}},
        "training.module is fraud but training.code has churn.py and no fraud.py",
    ),
    "module-nowhere": (
        {"module": "fraud"},
        "training.module is fraud but the training image has fashion_mnist, mnist alone: add its file (--set-file",
    ),
    "parameter-text-out-of-bounds": (
        {"params": {"dropout": "1.0"}},
        "training.params.dropout is 1.0 but it is a number from 0 below 1",
    ),
    "parameter-text-not-whole": (
        {"params": {"epochs": "1.5"}},
        "training.params.epochs is 1.5 but it is a whole number from 1 to 10000",
    ),
    "parameter-of-the-environment": (
        {**CODE, "params": {"path": "x"}},
        "training.params.path cannot be given, for the environment variable PATH means something else",
    ),
    "parameter-of-the-contract": (
        {**CODE, "params": {"modelDir": "x"}},
        "training.params.modelDir cannot be given, for the environment variable MODEL_DIR means something else",
    ),
    "parameter-of-a-runtime": (
        {**CODE, "params": {"ld_preload": "x"}},
        "training.params.ld_preload cannot be given",
    ),
    "parameter-that-is-no-name": (
        {**CODE, "params": {"a-b": 1}},
        "training.params.a-b cannot be given, for a parameter is an environment variable and a Python name",
    ),
    "parameter-twice": (
        {"params": {"hiddenUnits": 3, "hidden_units": 4}},
        "training.params.hidden_units and training.params.hiddenUnits are the same parameter",
    ),
    "parameter-as-an-argument": (
        {"extraArgs": ["--epochs=9"]},
        'training.extraArgs has "--epochs=9", which the model key would not know of',
    ),
    "argument-of-a-program": (
        {"command": ["python3", "x.py"], "extraArgs": ["--checkpoint-steps=3"]},
        'training.extraArgs has "--checkpoint-steps=3" but training.command is a whole command',
    ),
    "data-in-two-places": (
        {"data": {"existingClaim": "a", "uri": "https://a/b", "sha256": SHA256}},
        "training.data.existingClaim and training.data.uri are both set",
    ),
    "path-without-a-claim": ({"data": {"path": "a"}}, "training.data.path is set but there is no claim"),
    "path-out-of-the-claim": (
        {"data": {"existingClaim": "a", "path": "../b"}},
        'training.data.path is "../b", which leads out of the claim',
    ),
    "uri-without-a-digest": (
        {"data": {"uri": "https://a/b"}},
        "training.data.uri is set but training.data.sha256 is empty",
    ),
    "uri-not-https": (
        {"data": {"uri": "http://a/b", "sha256": SHA256}},
        'training.data.uri is "http://a/b", which is not the address of a file over https or in a bucket',
    ),
    "digest-of-nothing": ({"data": {"sha256": SHA256}}, "training.data.sha256 is set but neither"),
    "gate-without-a-metric": ({"gates": [{"min": 1}]}, "training.gates[0] names no metric"),
    "gate-without-a-bound": ({"gates": [{"metric": "auc"}]}, "training.gates[0] holds auc to nothing"),
    "gate-with-a-word": (
        {"gates": [{"metric": "auc", "min": "high"}]},
        'training.gates[0].min is "high" but it is compared with a number',
    ),
    "gate-against-something": (
        {"gates": [{"metric": "auc", "notWorseThan": "best"}]},
        'training.gates[0].notWorseThan is "best" but a model is compared with the one in service',
    ),
    "gate-without-a-goal": (
        {"gates": [{"metric": "speed", "notWorseThan": "served"}]},
        "training.gates[0] compares speed with the model in service but its name does not tell",
    ),
    "margin-of-a-bound": (
        {"gates": [{"metric": "auc", "min": 0.5, "by": 0.1}]},
        "training.gates[0].by belongs to notWorseThan, which is not given",
    ),
    "goal-of-another-word": (
        {"gates": [{"metric": "speed", "notWorseThan": "served", "goal": "up"}]},
        'training.gates[0].goal is "up": write maximize or minimize',
    ),
    "claim-of-no-workspace": (
        {"workspace": {"enabled": False, "existingClaim": "a"}},
        "training.workspace.existingClaim is set but training.workspace.enabled is false",
    ),
}


@every_helm
@pytest.mark.parametrize("name", REFUSED)
def test_training_that_cannot_be_is_refused_with_the_way_out(name: str, helm: str) -> None:
    training, begin = REFUSED[name]
    (told,) = refusals({"training": training}, helm=helm)
    assert told.startswith(begin)


@pytest.mark.parametrize(
    ("params", "told"),
    [({"hiden": 3}, "hiden"), ({"epochs": 0}, "epochs"), ({"dropout": 1}, "dropout"), ({"seed": "abc"}, "seed")],
)
@every_helm
def test_parameters_of_a_built_in_recipe_are_held_to_its_declaration(
    params: dict[str, Any], told: str, helm: str
) -> None:
    with pytest.raises(RefusedError, match=told):
        render({"training": {"params": params}}, helm=helm)


def test_parameters_of_ones_own_are_ones_own() -> None:
    render({"training": {**CODE, "params": {"hiden": 3, "dropout": 7, "kind": "wide", "layers": [1, 2], "wide": True}}})


@pytest.mark.parametrize(
    ("values", "begin"),
    [
        (
            {"tensorboard": {"enabled": True}, "training": {"workspace": {"enabled": False}}},
            "tensorboard.enabled is true but there is no workspace",
        ),
        (
            {"tensorboard": {"enabled": True}, "training": {"enabled": False}},
            "tensorboard.enabled is true but there is no workspace",
        ),
        (
            {"tensorboard": {"enabled": True}, "training": {"workspace": {"accessModes": ["ReadWriteOncePod"]}}},
            "training.workspace.accessModes has ReadWriteOncePod but training and TensorBoard both mount the volume",
        ),
        (
            {
                "tensorboard": {"enabled": True, "nodeSelector": {"pool": "cpu"}},
                "training": {"nodeSelector": {"pool": "gpu"}},
                "modelStore": {"pvc": {"accessModes": ["ReadWriteMany"]}},
            },
            "tensorboard.nodeSelector asks for pool=cpu and training.nodeSelector for gpu but the workspace's",
        ),
    ],
)
def test_tensorboard_that_cannot_be_is_refused(values: dict[str, Any], begin: str) -> None:
    (told,) = refusals(values)
    assert told.startswith(begin)


def test_tensorboard_is_anywhere_beside_a_shared_workspace() -> None:
    render(
        {
            "tensorboard": {"enabled": True, "nodeSelector": {"pool": "cpu"}},
            "training": {"nodeSelector": {"pool": "gpu"}, "workspace": {"accessModes": ["ReadWriteMany"]}},
        }
    )
