"""Objects under a prefix of a bucket: listed, read, written, and made where there is none; failures are StoreError."""

from __future__ import annotations

import contextlib
import functools
import io
import time
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, TypeVar

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, PreconditionError

from model_bucket import failures
from model_bucket.connection import Connection
from model_bucket.settings import SCHEME
from model_store.errors import StoreError, UnsuitableError, VerificationError
from model_store.names import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from _typeshed import WriteableBuffer
    from obstore.store import S3Store

    from model_bucket.settings import Settings

FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 15.0
READ_BYTES = 1 << 20
PART_BYTES = 8 << 20
# So many parts are in memory at once.
PARTS_AT_ONCE = 4
ResultType = TypeVar("ResultType")


@dataclass(frozen=True)
class Object:
    """An object by its path below the prefix; `e_tag` changes with its content."""

    path: str
    size_bytes: int
    e_tag: str
    modified: datetime


@dataclass(frozen=True)
class Patience:
    """How long an endpoint that does not answer is asked again, with pauses that grow; `tell` gets a line for each."""

    seconds: float = 0.0
    tell: Callable[[str], object] = lambda _: None
    clock: Callable[[], float] = time.monotonic
    pause: Callable[[float], object] = time.sleep


class _AbsentError(StoreError):
    """There is no such object."""


class Bucket:
    """A prefix of a bucket. Everything raises StoreError when the endpoint fails for longer than its patience."""

    def __init__(self, settings: Settings, patience: Patience | None = None) -> None:
        self._connection = Connection(settings)
        self._client: S3Store = self._connection.open(settings.bucket)
        self._prefix = f"{settings.prefix}/" if settings.prefix else ""
        self._patience = patience or Patience()
        self.uri = f"{SCHEME}://{settings.bucket}/{self._prefix}".rstrip("/")

    @property
    def endpoint(self) -> str:
        """Return the endpoint for messages."""
        return self._connection.shown

    def place(self, path: str) -> str:
        """Return the URI of a path below the prefix, for messages."""
        return f"{self.uri}/{shown(path)}" if path else self.uri

    def folders(self, path: str = "") -> list[str]:
        """Return the names there are directly below a path that have more below them, sorted."""
        full = (self._prefix + path).rstrip("/")
        found = self._ask("listed", path, lambda: obstore.list_with_delimiter(self._client, full or None))
        return sorted(prefix.rstrip("/").rpartition("/")[2] for prefix in found["common_prefixes"])

    def objects(self, path: str) -> list[Object]:
        """Return every object below a path, sorted by path; marks of folders, which some programs make, are none."""
        found = self._ask("listed", path, lambda: obstore.list(self._client, self._prefix + path).collect())
        return sorted(
            (
                Object(
                    meta["path"].removeprefix(self._prefix), meta["size"], meta["e_tag"] or "", meta["last_modified"]
                )
                for meta in found
                if not meta["path"].endswith("/")
            ),
            key=lambda found: found.path,
        )

    def read(self, path: str, maximum_bytes: int) -> bytes | None:
        """Return an object's content, None where there is none; raise VerificationError for one that is too large."""
        found = self.read_tagged(path, maximum_bytes)
        return None if found is None else found[0]

    def read_tagged(self, path: str, maximum_bytes: int) -> tuple[bytes, str] | None:
        """Return an object's content with its tag, likewise."""

        def call() -> tuple[bytes | None, str]:
            result = obstore.get(self._client, self._prefix + path)
            is_small = result.meta["size"] <= maximum_bytes
            return bytes(result.bytes()) if is_small else None, result.meta["e_tag"] or ""

        try:
            content, e_tag = self._ask("read", path, call)
        except _AbsentError:
            return None
        if content is None:
            raise VerificationError(f"{self.place(path)} has more than {maximum_bytes} bytes: it is none")
        return content, e_tag

    def stream(self, found: Object) -> io.BufferedReader:
        """Return an object to be read from start to end; raise VerificationError where it is gone."""
        try:
            result = self._ask("read", found.path, lambda: obstore.get(self._client, self._prefix + found.path))
        except _AbsentError as error:
            raise VerificationError(f"{self.place(found.path)} is missing, the manifest lists it") from error
        chunks = iter(result.stream(min_chunk_size=READ_BYTES))
        return io.BufferedReader(_Body(self.place(found.path), result.meta["size"], chunks))

    def write(self, path: str, file: IO[bytes]) -> None:
        """Write an object from a file, in the place of what is there."""

        def call() -> object:
            file.seek(0)
            return obstore.put(
                self._client, self._prefix + path, file, chunk_size=PART_BYTES, max_concurrency=PARTS_AT_ONCE
            )

        self._ask("written", path, call)

    def create(self, path: str, content: bytes) -> bool:
        """Write an object where there is none; tell whether what is there now is this content.

        Content nobody else writes makes it a claim: when a reply is lost, the next try finds what the first one wrote.
        Raise UnsuitableError where the endpoint says that it does not know the condition.
        """
        return self._put_if(path, content, None)

    def replace(self, path: str, content: bytes, e_tag: str) -> bool:
        """Write an object in the place of the one with this tag; tell whether what is there now is this content."""
        return self._put_if(path, content, e_tag)

    def remove(self, paths: list[str]) -> None:
        """Remove objects, in this order; those that are gone are gone."""
        for path in paths:
            with contextlib.suppress(_AbsentError):
                self._ask("removed", path, functools.partial(obstore.delete, self._client, self._prefix + path))

    def _put_if(self, path: str, content: bytes, e_tag: str | None) -> bool:
        def call() -> bool:
            try:
                obstore.put(
                    self._client,
                    self._prefix + path,
                    content,
                    mode="create" if e_tag is None else {"e_tag": e_tag},
                    use_multipart=False,
                )
            except (AlreadyExistsError, PreconditionError):
                return False
            except BaseError as error:
                if failures.of(error).is_unknown:
                    raise UnsuitableError(unconditional(self)) from error
                raise
            return True

        if self._ask("written", path, call):
            return True
        try:
            return self.read(path, len(content)) == content
        except VerificationError:
            return False

    def _ask(self, what: str, path: str, call: Callable[[], ResultType]) -> ResultType:
        """Return what a call returns, made as often as it takes; raise _AbsentError where there is no such object."""
        patience = self._patience
        deadline = patience.clock() + patience.seconds
        pause_seconds = FIRST_PAUSE_SECONDS
        while True:
            try:
                return call()
            except (BaseError, OSError, ValueError) as error:
                failure = failures.of(error)
                if failure.is_absent:
                    raise _AbsentError(self.place(path)) from error
                told = f"{self.place(path)} cannot be {what}: {failure.reason}"
                if not failure.is_passing or patience.clock() + pause_seconds > deadline:
                    raise StoreError(told) from error
                patience.tell(f"{told}; asking again")
                patience.pause(pause_seconds)
                pause_seconds = min(2 * pause_seconds, LONGEST_PAUSE_SECONDS)


class _Body(io.RawIOBase):
    """An object's bytes as they come; one that ends early is a failure of its own, not another content."""

    def __init__(self, place: str, size_bytes: int, chunks: Iterator[bytes]) -> None:
        super().__init__()
        self._place = place
        self._left_bytes = size_bytes
        self._chunks = chunks
        self._chunk = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        if not self._chunk:
            self._chunk = memoryview(self._next())
        room = memoryview(buffer).cast("B")
        count = min(len(room), len(self._chunk))
        room[:count] = self._chunk[:count]
        self._chunk = self._chunk[count:]
        self._left_bytes -= count
        return count

    def _next(self) -> bytes:
        try:
            chunk = next(self._chunks, b"")
        except (BaseError, OSError, ValueError) as error:
            raise StoreError(f"{self._place} cannot be read: {failures.of(error).reason}") from error
        if not chunk and self._left_bytes > 0:
            raise StoreError(f"{self._place} cannot be read: it ended {self._left_bytes} bytes early")
        return bytes(chunk)


def unconditional(bucket: Bucket) -> str:
    """Return why a bucket is no store for publishers: nothing would keep two of them apart."""
    return (
        f"{bucket.uri} is no model store: {bucket.endpoint} does not heed If-None-Match, so that two publishers would "
        "overwrite each other's model: use an endpoint with conditional writes, or a volume (modelStore.type=pvc)"
    )
