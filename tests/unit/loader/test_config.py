"""Flags and environment variables: one meaning each, and a sentence that names what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, strategies

from model_bucket.settings import Settings
from model_loader import config
from model_loader.errors import LoaderError

DIGEST = "ab" * 32


@pytest.mark.parametrize("word", ["true", "on", "yes", "y", "1", "TRUE", "On"])
def test_words_for_yes_turn_verification_on(monkeypatch: pytest.MonkeyPatch, word: str) -> None:
    monkeypatch.setenv("VERIFY", word)
    assert config.parse([]).verify is True


@pytest.mark.parametrize("word", ["false", "off", "no", "n", "0", "False"])
def test_words_for_no_turn_verification_off(monkeypatch: pytest.MonkeyPatch, word: str) -> None:
    monkeypatch.setenv("VERIFY", word)
    assert config.parse([]).verify is False


@pytest.mark.parametrize("flag", ["verify", "follow", "client-verify"])
@pytest.mark.parametrize("word", ["t", "tru", "enabled", "2", "1²", "none", " "])
def test_any_other_word_is_refused_by_the_flags_name(monkeypatch: pytest.MonkeyPatch, flag: str, word: str) -> None:
    monkeypatch.setenv(flag.upper().replace("-", "_"), word)
    with pytest.raises(LoaderError, match=f"--{flag}"):
        config.parse([])


def test_verification_is_on_and_following_off_unless_told() -> None:
    parsed = config.parse([])
    assert (parsed.verify, parsed.follow) == (True, False)


def test_every_flag_is_an_environment_variable_of_the_same_name(monkeypatch: pytest.MonkeyPatch) -> None:
    given_ = {
        "MODEL_STORE": "/store",
        "MODEL_NAME": "churn",
        "MODEL_VERSION": "9223372036854775807",
        "FURTHER_VERSIONS": "3,4",
        "SIGNATURE_NAME": "score",
        "MODEL_TASK": "regression",
        "SOURCE_PATH": "team/churn",
        "SOURCE_IMAGE": "/image",
        "CA_BUNDLE": "/ca.crt",
        "TARGET": "/target",
        "SIZE_LIMIT": "4Gi",
        "TIMEOUT_SECONDS": "5",
        "VERIFY": "off",
        "SERVER_REST": "http://127.0.0.1:9999/",
        "LOAD_TIMEOUT_SECONDS": "6",
        "POLL_SECONDS": "0.5",
        "TLS_DIR": "/tls",
        "SSL_CONFIG": "/ssl.txt",
        "S3_ENDPOINT": "https://s3.example.com/",
        "S3_BUCKET": "models",
        "S3_PREFIX": "/team/",
        "S3_REGION": "eu-central-1",
        "S3_PATH_STYLE": "true",
        "S3_CA_BUNDLE": "/s3.crt",
        "CLIENT_VERIFY": "on",
        "TERMINATION_LOG": "/log",
    }
    for name, value in given_.items():
        monkeypatch.setenv(name, value)
    assert config.parse([]) == config.Config(
        model_store=Path("/store"),
        s3=Settings("https://s3.example.com", "models", "team", "eu-central-1", True, Path("/s3.crt")),  # noqa: FBT003
        model_name="churn",
        model_key="",
        model_version=9223372036854775807,
        further_versions=(3, 4),
        signature_name="score",
        model_task="regression",
        source_path="team/churn",
        source_uri="",
        source_sha256="",
        source_image=Path("/image"),
        ca_bundle=Path("/ca.crt"),
        target=Path("/target"),
        size_limit=4 << 30,
        timeout_seconds=5.0,
        verify=False,
        follow=False,
        server_rest="http://127.0.0.1:9999",
        load_timeout_seconds=6.0,
        poll_seconds=0.5,
        tls_dir=Path("/tls"),
        ssl_config=Path("/ssl.txt"),
        client_verify=True,
        termination_log=Path("/log"),
    )


def test_help_shows_each_flag_with_its_variable(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        config.parse(["--help"])
    assert stopped.value.code == 0
    shown = capsys.readouterr().out
    s3 = [f"s3_{name}" for name in Settings.__dataclass_fields__]
    for name in (*(name for name in config.Config.__dataclass_fields__ if name != "s3"), *s3):
        assert f"--{name.replace('_', '-')}" in shown
        assert name.upper() in shown


@pytest.mark.parametrize(
    "flag",
    [
        "--model-version=-1",
        "--model-version=0",
        "--model-version=1²",
        "--model-version=٣",
        "--model-version=1_0",
        "--model-version=9223372036854775808",
        "--further-versions=1,,2",
        "--timeout-seconds=soon",
        "--timeout-seconds=nan",
        "--poll-seconds=-1",
        "--model-name=",
        "--model-name=..",
        "--model-name=a/b",
        "--model-name=a\0b",
        "--model-store=a\0b",
        "--model-task=guess",
        "--size-limit=4 GB",
        "--size-limit=0",
        "--size-limit=\N{ARABIC-INDIC DIGIT ONE}Gi",
        "--source-sha256=abc",
        "--source-uri=http://example.com/m.zip",
        "--source-uri=ftp://example.com/m.zip",
        "--source-uri=https:///m.zip",
        "--source-uri=https://[bad/m.zip",
        "--source-uri=https://example.com/a b.zip",
        "--server-rest=https://127.0.0.1:8501",
    ],
)
def test_bad_value_is_refused_by_the_flags_name(flag: str) -> None:
    with pytest.raises(LoaderError, match=flag.partition("=")[0]):
        config.parse([flag])


@pytest.mark.parametrize("flag", ["--nothing", "--manifest-only"])
def test_unknown_flag_is_named(flag: str) -> None:
    with pytest.raises(LoaderError, match=flag):
        config.parse([flag])


@pytest.mark.parametrize(
    "arguments",
    [
        ["--source-uri=https://example.com/m.zip", f"--source-sha256={DIGEST}", "--source-path=x"],
        ["--source-uri=https://example.com/m.zip", f"--source-sha256={DIGEST}", "--source-image=/x"],
        ["--source-uri=https://example.com/m.zip"],
        [f"--source-sha256={DIGEST}"],
        ["--source-path=x", "--model-key=k"],
        ["--follow=on", "--model-version=3"],
        ["--follow=on", "--source-uri=https://example.com/m.zip", f"--source-sha256={DIGEST}"],
    ],
    ids=" ".join,
)
def test_flags_that_contradict_each_other_are_refused(arguments: list[str]) -> None:
    with pytest.raises(LoaderError, match=r"give one|needs both"):
        config.parse(arguments)


def test_a_secret_in_a_uri_is_not_repeated() -> None:
    with pytest.raises(LoaderError) as refused:
        config.parse(["--source-uri=ftp://me:hunter2@example.com/m.zip?token=hunter2"])
    assert "hunter2" not in str(refused.value)


@given(strategies.text(max_size=20))
def test_any_version_is_a_number_or_refused(text: str) -> None:
    try:
        version = config.parse([f"--model-version={text}"]).model_version
    except LoaderError as error:
        assert "--model-version" in str(error)
    else:
        assert (str(version) if version is not None else "") == text.lstrip("0")
