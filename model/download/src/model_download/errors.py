"""What can go wrong with getting a file, each told in one sentence."""

from __future__ import annotations


class FetchError(Exception):
    """A file that was not got; the sentence says what to do and shows no credentials."""


class UnreachableError(FetchError):
    """What was not there in time: another try may heal it."""


class RefusedError(FetchError):
    """What is there and is not what was asked for, now or on another try, until it changes."""


class ArchiveError(RefusedError):
    """An archive that is not unpacked: the sentence names the member, or the limit."""


class DownloadError(FetchError):
    """A download that another try cannot heal."""


class VolumeError(FetchError):
    """A file that cannot be written here."""
