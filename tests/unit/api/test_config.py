"""What the gateway is started with, and what it refuses to start with."""

from __future__ import annotations

import pytest

from model_api import config


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--server=m..models:8500"], "'--server' ... expected host:port"),
        (["--server=.models:8500"], "'--server' ... expected host:port"),
        ([f"--server={'m' * 64}:8500"], "'--server' ... expected host:port"),
        (["--server=models"], "'--server' ... expected host:port"),
        (["--server-name=.models"], "'--server-name' ... expected a host's name, got '.models'"),
        (["--server-name=m..models"], "'--server-name' ... expected a host's name"),
        (["--request-timeout-seconds=nan"], "'--request-timeout-seconds' ... expected a number of"),
        (['--model-labels=["a", "a"]'], "'--model-labels' ... expected each label once"),
    ],
)
def test_value_that_cannot_work_is_one_sentence_and_2(
    flags: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        config.parse(flags)
    assert ended.value.code == 2
    flag, _, sentence = words.partition(" ... ")
    told = " ".join(capsys.readouterr().err.split())
    assert f"Invalid value for {flag}" in told
    assert sentence in told


@pytest.mark.parametrize("host", ["models", "models.default.svc", "10.0.0.1", "[::1]", "modèles.example.com"])
def test_hosts_are_taken_as_they_are(host: str) -> None:
    parsed = config.parse([f"--server={host}:8500,other:1", f"--server-name={host}"])
    assert (parsed.server, parsed.server_name) == ((f"{host}:8500", "other:1"), host)
