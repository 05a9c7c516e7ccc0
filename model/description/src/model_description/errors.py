"""What can be wrong with a model or its description."""

from __future__ import annotations


class DescriptionError(Exception):
    """A description that is none: the sentence says what was expected and where."""


class SavedModelError(Exception):
    """A SavedModel that cannot be read or described; the sentence names the file."""


class UnusableError(Exception):
    """A model the api cannot use, whatever is tried; the sentence says why and what would help."""
