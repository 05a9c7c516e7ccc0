"""What the client's exceptions mean: a reason in a few words, and whether it may pass.

The client tells what happened in the text of its exceptions only. What is taken from it is listed here: never the whole
of it, for replies to a wrong signature repeat what was signed.
"""

from __future__ import annotations

import html
import re
from dataclasses import dataclass

from model_store.names import shown

_STATUS = re.compile(r"status code: ([0-9]{3})")
_CODE = re.compile(r"<Code>([A-Za-z0-9._-]{1,80})</Code>")
_MESSAGE = re.compile(r"<Message>([^<]{1,300})</Message>")
# Of the operating system, of TLS, of DNS.
_CAUSE = re.compile(r'message: "([^"]{1,200})"|(failed to lookup address[^"\n]{0,80})')
# Of rustls: an authority that is not known, another name, a certificate that has run out.
_CERTIFICATE = re.compile(r"InvalidCertificate\(\s*(?:Other\(\s*OtherError\(\s*)?([A-Za-z]{1,60})")
_URL = re.compile(r"Error performing [A-Z]+ (\S+?)[?\s]")
_DETAILS = "\n\nDebug source"
# Of instances' and containers' own metadata, where credentials are looked for last.
_METADATA = "http://169.254."
# The client does not tell addresses that carry a token.
_REDACTED = "REDACTED"
_EXCHANGE = "the service that exchanges the pods' token for credentials"
_ROLE = (
    "the role must trust the pods' service account (serviceAccount.name) and the token's audience: see "
    "modelStore.s3.webIdentity.roleArn and .audience, or serviceAccount.annotations where a cloud gives the identity"
)
_PASSING = frozenset({408, 409, 425, 429, 500, 502, 503, 504})
_NOT_FOUND = 404
_NOT_IMPLEMENTED = 501
_NO_CREDENTIALS = (
    "no credentials were found: name a Secret (modelStore.s3.existingSecret), or give the pods an identity "
    "(modelStore.s3.webIdentity, or a cloud's serviceAccount.annotations)"
)
_TRUST = "give the certificate of the authority that signed its own (modelStore.s3.caBundle)"


@dataclass(frozen=True)
class Failure:
    """Why a request failed; `status` is 0 where there was no reply."""

    reason: str
    status: int = 0
    code: str = ""
    is_passing: bool = False

    @property
    def is_absent(self) -> bool:
        """Tell whether it is only that there is no such object: a bucket that is not there is another matter."""
        return self.status == _NOT_FOUND and self.code in {"", "NoSuchKey"}

    @property
    def is_unknown(self) -> bool:
        """Tell whether the endpoint does not know what was asked of it."""
        return self.status == _NOT_IMPLEMENTED or self.code == "NotImplemented"


def of(error: Exception) -> Failure:
    """Return what an exception of the client means."""
    text = str(error)
    url = _URL.search(text)
    where = url[1] if url else ""
    if where == _REDACTED:
        where = _EXCHANGE
    if where.startswith(_METADATA):
        return Failure(_NO_CREDENTIALS)
    status = _STATUS.search(text)
    if status is not None and where == _EXCHANGE:
        return _of_exchange(int(status[1]), text)
    if status is not None:
        return _of_reply(int(status[1]), text)
    certificate = _CERTIFICATE.search(text)
    if certificate is not None:
        return Failure(f"{where} is not trusted ({certificate[1]}): {_TRUST}")
    cause = _CAUSE.search(text)
    told = shown(cause[1] or cause[2]) if cause else shown(_headline(text))
    if where:
        return Failure(f"{where} is not reached ({told})", is_passing="builder error" not in text)
    return Failure(told, is_passing=not isinstance(error, ValueError))


def _of_reply(status: int, text: str) -> Failure:
    code = _CODE.search(text)
    return Failure(f"it {_answer(status, text)}", status, code[1] if code else "", is_passing=status in _PASSING)


def _of_exchange(status: int, text: str) -> Failure:
    """Return what a reply without credentials means, whose status is none of the bucket's: 404 is no missing object."""
    is_passing = status in _PASSING
    reason = f"{_EXCHANGE} {_answer(status, text)}"
    return Failure(reason if is_passing else f"{reason}: {_ROLE}", is_passing=is_passing)


def _answer(status: int, text: str) -> str:
    code, message = _CODE.search(text), _MESSAGE.search(text)
    told = f"{code[1]}: {html.unescape(message[1])}" if code and message else (code[1] if code else "")
    return f"answers {status}" + (f" ({shown(told)})" if told else "")


def _headline(text: str) -> str:
    first = text.partition(_DETAILS)[0].strip().partition("\n")[0]
    return first.rpartition(" - ")[2][:200]
