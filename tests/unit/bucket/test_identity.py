"""The pods' own identity: a web identity's token is exchanged for credentials, as EKS has it."""

from __future__ import annotations

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
      <Expiration>2099-01-01T00:00:00Z</Expiration>
    </Credentials>
  </AssumeRoleWithWebIdentityResult>
</AssumeRoleWithWebIdentityResponse>
"""


class _Sts(HTTPServer):
    """Exchanges the token for the S3 server's credentials."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Exchange)
        self.asked: list[dict[str, list[str]]] = []


class _Exchange(Handler):
    server: _Sts

    def post(self) -> None:
        self.server.asked.append(urllib.parse.parse_qs(self.path.partition("?")[2] + "&" + self.body().decode()))
        self.reply(200, REPLY.format(access_key=ACCESS_KEY, secret_key=SECRET_KEY).encode())


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


def test_token_is_exchanged_for_credentials(
    place: Place, model: Path, tmp_path: Path, sts: _Sts, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "token").write_text(TOKEN, encoding="utf-8")
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(tmp_path / "token"))
    monkeypatch.setenv("AWS_ROLE_ARN", ROLE)
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", f"https://127.0.0.1:{sts.server_address[1]}")
    settings = Settings(place.server.endpoint, BUCKET, place.prefix, ca_bundle=certificate)
    # The server of the tests knows no sessions: what it refuses shows that it was asked with the one there is.
    with pytest.raises(StoreError, match="InvalidToken"):
        publish(BucketStore(Bucket(settings)), model)
    assert sts.asked[0]["Action"] == ["AssumeRoleWithWebIdentity"]
    assert (sts.asked[0]["RoleArn"], sts.asked[0]["WebIdentityToken"]) == ([ROLE], [TOKEN])


def test_pods_without_any_identity_are_told_what_to_give_them(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    # Nobody answers where an instance's metadata would be.
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", "http://169.254.169.254:1")
    with pytest.raises(StoreError, match=r"no credentials were found: name a Secret \(modelStore.s3.existingSecret\)"):
        place.store().find(Wanted("mnist"))
