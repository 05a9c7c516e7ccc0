"""Base64 as TensorFlow Serving reads it (absl::Base64Unescape)."""

from __future__ import annotations

import binascii
import contextlib

from serving_codec.status import invalid_argument

# ASCII's white space, which is skipped wherever it stands, and the other sign of padding.
_AS_ONE_LINE = {ord(space): None for space in " \t\n\v\f\r"} | {ord("."): "="}
_GROUP = 4


def decode(text: str) -> bytes:
    """Return the bytes of base64 data in the standard alphabet; raise INVALID_ARGUMENT for what is none.

    It may be broken into lines. Padding may be left out, or be of dots; where there is some there must be enough.
    """
    if text == _padded(text):
        with contextlib.suppress(ValueError):
            return binascii.a2b_base64(text, strict_mode=True)
    # Rare, and 10 times as slow.
    line = text.translate(_AS_ONE_LINE)
    padded = _padded(line)
    if line not in {padded, padded.rstrip("=")}:
        raise invalid_argument("Unable to base64 decode")
    try:
        return binascii.a2b_base64(padded, strict_mode=True)
    except ValueError as error:
        raise invalid_argument("Unable to base64 decode") from error


def _padded(text: str) -> str:
    """Return a text with the padding its data needs, which Python's strict mode does not count."""
    data = text.rstrip("=")
    return data + "=" * (-len(data) % _GROUP)
