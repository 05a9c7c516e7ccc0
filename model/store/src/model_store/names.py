"""Names of folders: which of them are versions, and how any of them is shown to people."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from model_store.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterable

# TensorFlow Serving keeps a version in 64 bits with a sign.
MAXIMUM_VERSION = 2**63 - 1
# What volumes have of their own.
_VOLUMES_OWN = frozenset({"lost+found"})
MAXIMUM_LISTED = 8
MAXIMUM_NAME_CHARACTERS = 80
MAXIMUM_SENTENCE_CHARACTERS = 1500


def version_of(name: str) -> int | None:
    """Return the version a folder's name stands for, None for one that is no version; `00003` is 3.

    >>> version_of("00003"), version_of("1" + chr(0xB2)), version_of("-1")
    (3, None, None)
    """
    # str.isdigit() and int() also take other scripts' digits, signs, blanks and underscores.
    if not re.fullmatch("[0-9]{1,64}", name):
        return None
    version = int(name)
    return version if version <= MAXIMUM_VERSION else None


def versions(names: Iterable[str]) -> dict[int, str]:
    """Return the names that are versions by their number, each once: of 3 and 00003 the plain one counts."""
    found: dict[int, str] = {}
    for name in names:
        version = version_of(name)
        if version is not None and (version not in found or name == str(version)):
            found[version] = name
    return found


def versions_told(complete: Iterable[int], partial: Iterable[int], mark: str) -> str:
    """Return a key's versions as part of a sentence; those that are `partial` lack the file that is the mark."""
    told = [
        f"version {listed(map(str, sorted(numbers, reverse=True)))}{lack}"
        for numbers, lack in ((list(complete), ""), (list(partial), f" without a {mark}"))
        if numbers
    ]
    return " and ".join(told)


def check_part(what: str, name: str) -> str:
    """Return a name that is one folder in a path; raise StoreError for any other."""
    if not name or name in {".", ".."} or "/" in name or "\0" in name:
        raise StoreError(f"{what} is {shown(name)!r}: expected the name of a folder, without '/'")
    return name


def is_ours(name: str) -> bool:
    """Tell whether a folder may be somebody's model: not hidden (`..data`, `.versions`), not the volume's own."""
    return not name.startswith(".") and name not in _VOLUMES_OWN


def shown(name: object) -> str:
    """Return a name or path as one line of printable text, whatever bytes it is made of."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
        for character in str(name)
    )


def listed(names: Iterable[str]) -> str:
    """Return names with commas between, the first few of many, each cut to a readable length."""
    every = list(names)
    told = ", ".join(shown(name[:MAXIMUM_NAME_CHARACTERS]) for name in every[:MAXIMUM_LISTED])
    return told + (f" and {len(every) - MAXIMUM_LISTED} more" if len(every) > MAXIMUM_LISTED else "")


def sentence(text: str) -> str:
    """Return text cut to a length that fits a log line and a termination message."""
    return text if len(text) <= MAXIMUM_SENTENCE_CHARACTERS else text[: MAXIMUM_SENTENCE_CHARACTERS - 3] + "..."
