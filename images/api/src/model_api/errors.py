"""What can go wrong, and the HTTP status that says so."""

from __future__ import annotations

from typing import ClassVar


class ApiError(Exception):
    """A failure a caller is told of: `status` is HTTP's, the message a plain sentence."""

    status: ClassVar[int] = 500
    headers: ClassVar[dict[str, str]] = {}


class NotJsonError(ApiError):
    """A body that is not JSON, or not an object."""

    status: ClassVar[int] = 400


class NotFoundError(ApiError):
    """A path that does not exist."""

    status: ClassVar[int] = 404


class MethodError(ApiError):
    """A method the path does not have."""

    status: ClassVar[int] = 405

    def __init__(self, message: str, allowed: str) -> None:
        super().__init__(message)
        self.allowed = allowed


class TooLargeError(ApiError):
    """A body over the limit."""

    status: ClassVar[int] = 413


class InputError(ApiError):
    """JSON that is not what the model takes."""

    status: ClassVar[int] = 422


class UnavailableError(ApiError):
    """No server answers, or too many requests wait."""

    status: ClassVar[int] = 503
    headers: ClassVar[dict[str, str]] = {"retry-after": "1"}


class TooSlowError(ApiError):
    """No answer within the request's time."""

    status: ClassVar[int] = 504
