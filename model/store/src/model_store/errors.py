"""What can be wrong with a store or with what it holds."""

from __future__ import annotations


class StoreError(Exception):
    """A store that cannot be read or written, told in one sentence that says what and where."""


class UnsuitableError(StoreError):
    """A store that can never do what is asked of it: another try does not help, another store does."""


class VerificationError(StoreError):
    """A version that is not what was published, or holds what no model holds; the sentence names the file."""


class TooLargeError(StoreError):
    """A version that is larger than there is room for; the sentence has both sizes."""
