"""Status lines (RFC 9110, 15), made once."""

from __future__ import annotations

from http import HTTPStatus

LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus}
BAD_REQUEST = 400
METHOD_NOT_ALLOWED = 405
REQUEST_TIMEOUT = 408
TOO_LARGE = 413
TARGET_TOO_LONG = 414
EXPECTATION_FAILED = 417
HEADERS_TOO_LARGE = 431
INTERNAL_ERROR = 500
UNAVAILABLE = 503
VERSION_NOT_SUPPORTED = 505
