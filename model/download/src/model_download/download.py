"""A file from https: whole and of its digest, or not at all."""

from __future__ import annotations

import base64
import hashlib
import http.client
import re
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any

from model_download.errors import DownloadError, RefusedError, UnreachableError, VolumeError
from model_download.quantity import shown

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from model_download.keys import Keys

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
CHUNK_BYTES = 1 << 18
# Between two pieces of a reply; a server that says nothing for so long is asked anew.
SILENCE_SECONDS = 30.0
FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 30.0
PROGRESS_SECONDS = 30.0
# Statuses that another try may heal: time-out, too early, too many requests.
_PASSING = frozenset({408, 425, 429})
_PARTIAL_CONTENT = 206
_RANGE_NOT_SATISFIABLE = 416
_CONTENT_RANGE = re.compile(r"bytes ([0-9]+)-[0-9]+/(?:[0-9]+|\*)")


@dataclass(frozen=True)
class Source:
    """Where a file is, what it must be, and the limits of getting it; `pause` and `clock` are time's.

    `keys` names the settings in messages; `tell` gets a line of progress. `address` makes one that is asked instead of
    the URI, anew for each try: it may expire, and is a secret.
    """

    uri: str
    sha256: str
    keys: Keys
    tell: Callable[[str], object]
    address: Callable[[], str] | None = None
    ca_bundle: Path | None = None
    limit_bytes: int | None = None
    timeout_seconds: float = 3600.0
    silence_seconds: float = SILENCE_SECONDS
    clock: Callable[[], float] = time.monotonic
    pause: Callable[[float], object] = time.sleep

    @property
    def shown(self) -> str:
        """Return the URI without what may be a secret: user, password, query and fragment."""
        return without_secrets(self.uri)

    def asked(self) -> str:
        """Return what is asked for the file now."""
        return self.uri if self.address is None else self.address()


def without_secrets(uri: str) -> str:
    """Return a URI as it may be told.

    >>> without_secrets("https://me:secret@example.com/m.zip?token=1")
    'https://example.com/m.zip'
    """
    parts = urllib.parse.urlsplit(uri)
    return urllib.parse.urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


class _PassingError(Exception):
    """A failure another try may heal."""


class _ChangedError(_PassingError):
    """What has arrived does not go on where it ended: all of it is asked for anew."""


@dataclass
class _Progress:
    """What has arrived: the bytes in the file, their digest so far, and the mark of the version they are of."""

    file: IO[bytes]
    keys: Keys
    size_bytes: int = 0
    digest: Any = field(default_factory=hashlib.sha256)
    etag: str = ""
    is_resumed: bool = False

    def reset(self) -> None:
        """Forget what has arrived."""
        self.file.seek(0)
        self.file.truncate()
        self.size_bytes, self.digest, self.etag, self.is_resumed = 0, hashlib.sha256(), "", False

    def add(self, chunk: bytes) -> None:
        """Take in what arrived next."""
        try:
            self.file.write(chunk)
        except OSError as error:
            # Of the volume, not of the network: another try would not heal it.
            raise VolumeError(
                f"the {self.keys.what} cannot be written ({error.strerror}): see {self.keys.size_limit}"
            ) from error
        self.digest.update(chunk)
        self.size_bytes += len(chunk)


def download(source: Source, path: Path) -> None:
    """Write a file to `path`; what is there afterwards has the digest asked for.

    An interrupted download goes on where it ended, if the server can do that, or starts again, with pauses that grow,
    until the time is over. Raise UnreachableError then, RefusedError for another digest or more bytes than the
    limit, DownloadError for what another try cannot heal, VolumeError where `path` cannot be written.
    """
    deadline = source.clock() + source.timeout_seconds
    pause_seconds = FIRST_PAUSE_SECONDS
    # Unbuffered: what cannot be written is known at once.
    with path.open("w+b", buffering=0) as file:
        progress = _Progress(file, source.keys)
        while True:
            before = progress.size_bytes
            try:
                _receive(source, progress, deadline)
                _check_digest(source, progress)
            except _PassingError as error:
                if isinstance(error, _ChangedError):
                    progress.reset()
                elif progress.size_bytes > before:
                    pause_seconds = FIRST_PAUSE_SECONDS
                if source.clock() + pause_seconds >= deadline:
                    raise UnreachableError(
                        f"{source.shown} was not downloaded in {source.timeout_seconds:g} s: {error}: see that it can "
                        f"be reached from here, or raise {source.keys.timeout}"
                    ) from error
                source.tell(f"{source.shown}: {error}; {shown(progress.size_bytes)} are here, asking again")
                source.pause(pause_seconds)
                pause_seconds = min(2 * pause_seconds, LONGEST_PAUSE_SECONDS)
            else:
                return


def _receive(source: Source, progress: _Progress, deadline: float) -> None:
    try:
        asked = source.asked()
        with _opener(source, asked).open(_request(asked, progress), timeout=source.silence_seconds) as response:
            total = _start(source, progress, response)
            _copy(source, progress, response, deadline)
    except urllib.error.HTTPError as error:
        error.close()
        _judge_status(source, progress, error)
    except urllib.error.URLError as error:
        if isinstance(error.reason, ssl.SSLCertVerificationError):
            raise DownloadError(
                f"the certificate of {source.shown} is not trusted ({error.reason.verify_message}): give the "
                f"authority's certificate ({source.keys.ca_bundle})"
            ) from error
        raise _PassingError(f"it cannot be reached ({error.reason})") from error
    except http.client.InvalidURL as error:
        raise DownloadError(f"{source.shown} leads to a URI that cannot be read: correct {source.keys.uri}") from error
    except (OSError, http.client.HTTPException) as error:
        raise _PassingError(f"the download was interrupted ({type(error).__name__})") from error
    if total is not None and progress.size_bytes < total:
        raise _PassingError(f"the download was interrupted after {progress.size_bytes} of {total} bytes")


def _request(asked: str, progress: _Progress) -> urllib.request.Request:
    parts = urllib.parse.urlsplit(asked)
    # With credentials taken out, and without the fragment, which is not the server's business.
    plain = urllib.parse.urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, parts.query, ""))
    request = urllib.request.Request(  # noqa: S310 - the scheme was checked when the flag was read
        plain, headers={"Accept-Encoding": "identity", "User-Agent": "model-download"}
    )
    if parts.username is not None:
        pair = f"{urllib.parse.unquote(parts.username)}:{urllib.parse.unquote(parts.password or '')}"
        # Unredirected: another host has no business with it.
        request.add_unredirected_header("Authorization", f"Basic {base64.b64encode(pair.encode()).decode()}")
    if progress.size_bytes:
        request.add_header("Range", f"bytes={progress.size_bytes}-")
        if progress.etag:
            request.add_header("If-Range", progress.etag)
    return request


def _start(source: Source, progress: _Progress, response: http.client.HTTPResponse) -> int | None:
    """Be ready for a reply's body; return how many bytes there are in all, as far as it is said."""
    if response.status == _PARTIAL_CONTENT:
        match = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
        if match is None or int(match[1]) != progress.size_bytes:
            raise _ChangedError("the server does not go on where the download ended")
        progress.is_resumed = True
    elif progress.size_bytes:
        progress.reset()
    etag = response.headers.get("ETag", "")
    # Only a strong mark says that bytes are equal (RFC 9110, section 8.8.1).
    progress.etag = "" if etag.startswith("W/") else etag
    length = response.headers.get("Content-Length", "")
    total = progress.size_bytes + int(length) if re.fullmatch("[0-9]{1,18}", length) else None
    _check_size(source, total or 0)
    return total


def _copy(source: Source, progress: _Progress, response: http.client.HTTPResponse, deadline: float) -> None:
    told = source.clock()
    # read1 returns what is there: read would wait for a whole chunk, however slowly it drips.
    while chunk := response.read1(CHUNK_BYTES):
        _check_size(source, progress.size_bytes + len(chunk))
        progress.add(chunk)
        now = source.clock()
        if now >= deadline:
            raise _PassingError(f"it is slow: {shown(progress.size_bytes)} arrived")
        if now - told >= PROGRESS_SECONDS:
            source.tell(f"{source.shown}: {shown(progress.size_bytes)} are here")
            told = now


def _judge_status(source: Source, progress: _Progress, error: urllib.error.HTTPError) -> None:
    if error.code == _RANGE_NOT_SATISFIABLE and progress.size_bytes:
        raise _ChangedError("the server does not have the rest") from error
    if error.code in _PASSING or error.code >= http.HTTPStatus.INTERNAL_SERVER_ERROR:
        raise _PassingError(f"it answers {error.code}") from error
    raise DownloadError(f"{source.shown} answers {error.code}: see {source.keys.uri}, and who may read it") from error


def _check_size(source: Source, size_bytes: int) -> None:
    if source.limit_bytes is not None and size_bytes > source.limit_bytes:
        raise RefusedError(
            f"{source.shown} takes {shown(size_bytes)} or more, and what {source.keys.size_limit} leaves is "
            f"{shown(source.limit_bytes)}: raise it"
        )


def _check_digest(source: Source, progress: _Progress) -> None:
    found = progress.digest.hexdigest()
    if found == source.sha256:
        return
    if progress.is_resumed:
        raise _ChangedError("its pieces do not fit together")
    raise RefusedError(
        f"{source.shown} has the SHA-256 {found}, {source.keys.sha256} says {source.sha256}: "
        f"it is not the {source.keys.what} that was meant; correct the one or the other"
    )


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follow redirects to https only; between loopback hosts, where tests live, also to http."""

    def redirect_request(  # noqa: PLR0917 - urllib's
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        target, origin = urllib.parse.urlsplit(newurl), urllib.parse.urlsplit(req.full_url)
        is_local = {target.hostname, origin.hostname} <= LOOPBACK and origin.scheme == "http"
        if target.scheme != "https" and not (is_local and target.scheme == "http"):
            # Nobody else closes the answer then.
            fp.close()
            raise DownloadError(
                f"{without_secrets(req.full_url)} redirects to {without_secrets(newurl)}: only https is followed"
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener(source: Source, asked: str) -> urllib.request.OpenerDirector:
    try:
        # The system's authorities, or those of SSL_CERT_FILE, which OpenSSL reads itself.
        context = ssl.create_default_context()
        if source.ca_bundle is not None:
            context.load_verify_locations(source.ca_bundle)
    except (OSError, ssl.SSLError) as error:
        raise DownloadError(
            f"{source.keys.ca_bundle} ({source.ca_bundle}) cannot be read as PEM certificates ({error})"
        ) from error
    is_local = urllib.parse.urlsplit(asked).hostname in LOOPBACK
    return urllib.request.build_opener(
        # None: the proxies of the environment.
        urllib.request.ProxyHandler({} if is_local else None),
        urllib.request.HTTPSHandler(context=context),
        _Redirects(),
    )
