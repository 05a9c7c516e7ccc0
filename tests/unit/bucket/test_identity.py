"""The pods' own identity: a web identity's token is exchanged for credentials, as AWS has it."""

from __future__ import annotations

import datetime
import ssl
import urllib.parse
from http.server import HTTPServer
from typing import TYPE_CHECKING

import pytest

from model_bucket.objects import Bucket
from model_bucket.settings import Settings
from model_bucket.store import BucketStore
from model_store import StoreError, Wanted
from tests.http_server import Handler, running
from tests.processes import wait_for
from tests.s3_server import ACCESS_KEY, BUCKET, SECRET_KEY
from tests.unit.bucket.conftest import publish

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.unit.bucket.conftest import Place

ROLE = "arn:aws:iam::123456789012:role/models"
TOKEN = "a.projected.token"  # noqa: S105 - of the test
REPLY = """\
<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
  <AssumeRoleWithWebIdentityResult>
    <Credentials>
      <AccessKeyId>{access_key}</AccessKeyId>
      <SecretAccessKey>{secret_key}</SecretAccessKey>
      <SessionToken>session</SessionToken>
      <Expiration>{expiration}</Expiration>
    </Credentials>
  </AssumeRoleWithWebIdentityResult>
</AssumeRoleWithWebIdentityResponse>
"""


REFUSAL = """\
<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
  <Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>
</ErrorResponse>
"""
ADVICE = "the role must trust the pods' service account (serviceAccount.name) and the token's audience: see "


class _Sts(HTTPServer):
    """Exchanges the token for the S3 server's credentials, or refuses with a status and a body."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Exchange)
        self.asked: list[dict[str, list[str]]] = []
        self.refusal: tuple[int, str] | None = None
        self.session_seconds = 3600

    def answer(self) -> tuple[int, str]:
        """Return status and body of a reply."""
        if self.refusal is not None:
            return self.refusal
        now = datetime.datetime.now(tz=datetime.UTC)
        end = now + datetime.timedelta(seconds=self.session_seconds)
        keys = {"access_key": ACCESS_KEY, "secret_key": SECRET_KEY, "expiration": f"{end:%Y-%m-%dT%H:%M:%SZ}"}
        return 200, REPLY.format(**keys)


class _Exchange(Handler):
    server: _Sts

    def post(self) -> None:
        self.server.asked.append(urllib.parse.parse_qs(self.path.partition("?")[2] + "&" + self.body().decode()))
        status, body = self.server.answer()
        self.reply(status, body.encode())


@pytest.fixture
def sts(certificate: Path) -> Iterator[_Sts]:
    """Yield a token service; a token goes to nobody without TLS."""
    server = _Sts()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, certificate.with_suffix(".key"))
    server.socket = context.wrap_socket(server.socket, server_side=True)
    with running(server):
        yield server


@pytest.fixture(autouse=True)
def no_secret(monkeypatch: pytest.MonkeyPatch, credentials: None) -> None:
    """Have no credentials in the environment."""
    del credentials
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)


@pytest.fixture
def token(tmp_path: Path, sts: _Sts, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the file of a token, in the environment that a pod with an identity has."""
    token = tmp_path / "token"
    token.write_text(TOKEN, encoding="utf-8")
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(token))
    monkeypatch.setenv("AWS_ROLE_ARN", ROLE)
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", f"https://127.0.0.1:{sts.server_address[1]}")
    return token


@pytest.fixture
def bucket(place: Place, certificate: Path, token: Path) -> Bucket:
    """Return the bucket as a pod with an identity speaks to it."""
    del token
    return Bucket(Settings(place.server.endpoint, BUCKET, place.prefix, ca_bundle=certificate))


def test_token_is_exchanged_for_credentials(bucket: Bucket, model: Path, sts: _Sts) -> None:
    # The server of the tests knows no sessions: what it refuses shows that it was asked with the one there is.
    with pytest.raises(StoreError, match="InvalidToken"):
        publish(BucketStore(bucket), model)
    assert sts.asked[0]["Action"] == ["AssumeRoleWithWebIdentity"]
    assert (sts.asked[0]["RoleArn"], sts.asked[0]["WebIdentityToken"]) == ([ROLE], [TOKEN])


def test_session_that_lasts_is_kept(bucket: Bucket, sts: _Sts) -> None:
    for _ in range(2):
        with pytest.raises(StoreError, match="InvalidToken"):
            bucket.objects("mnist")
    assert len(sts.asked) == 1


def test_session_near_its_end_is_replaced_with_the_token_there_is_then(bucket: Bucket, sts: _Sts, token: Path) -> None:
    # Five minutes before the end the client asks for another, at most once in a tenth of a second.
    sts.session_seconds = 299

    def is_asked_with(content: str) -> bool:
        with pytest.raises(StoreError, match="InvalidToken"):
            bucket.objects("mnist")
        return sts.asked[-1]["WebIdentityToken"] == [content]

    assert is_asked_with(TOKEN)
    token.write_text("a.rotated.token", encoding="utf-8")
    wait_for(lambda: is_asked_with("a.rotated.token"), "the rotated token is exchanged", 10)


@pytest.mark.parametrize(
    ("status", "code", "message", "told"),
    [
        pytest.param(
            403,
            "AccessDenied",
            "Not authorized to perform sts:AssumeRoleWithWebIdentity",
            "answers 403 (AccessDenied: Not authorized to perform sts:AssumeRoleWithWebIdentity)",
            id="role",
        ),
        pytest.param(
            400,
            "InvalidIdentityToken",
            "Couldn&#39;t retrieve verification key",
            "answers 400 (InvalidIdentityToken: Couldn't retrieve verification key)",
            id="provider",
        ),
    ],
)
def test_refused_exchange_names_what_must_be_trusted(
    bucket: Bucket, sts: _Sts, status: int, code: str, message: str, told: str
) -> None:
    sts.refusal = (status, REFUSAL.format(code=code, message=message))
    with pytest.raises(StoreError) as refused:
        bucket.objects("mnist")
    assert f"the service that exchanges the pods' token for credentials {told}: {ADVICE}" in str(refused.value)
    assert "modelStore.s3.webIdentity.roleArn and .audience" in str(refused.value)
    assert TOKEN not in str(refused.value)


def test_exchange_that_is_not_there_is_no_missing_object(bucket: Bucket, sts: _Sts) -> None:
    sts.refusal = (404, "")
    with pytest.raises(StoreError, match="exchanges the pods' token for credentials answers 404"):
        bucket.read("mnist/manifest.json", 1)


def test_pods_without_any_identity_are_told_what_to_give_them(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    # Nobody answers where an instance's metadata would be.
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", "http://169.254.169.254:1")
    with pytest.raises(StoreError, match=r"no credentials were found: name a Secret \(modelStore.s3.existingSecret\)"):
        place.store().find(Wanted("mnist"))
