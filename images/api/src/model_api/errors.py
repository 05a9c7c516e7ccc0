"""What can go wrong, and the HTTP status that says so."""

from __future__ import annotations

import logging
import traceback
from typing import ClassVar

from serving_codec.status import Code, ServingError

LOG = logging.getLogger(__name__)


class ApiError(Exception):
    """A failure a caller is told of: `status` is HTTP's, the message a plain sentence."""

    status: ClassVar[int] = 500
    headers: ClassVar[dict[str, str]] = {}


class NotJsonError(ApiError):
    """A body that is not JSON, or not an object."""

    status: ClassVar[int] = 400


class NotFoundError(ApiError):
    """A path, model or version that does not exist."""

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


class MediaTypeError(ApiError):
    """A body of a kind the model does not take."""

    status: ClassVar[int] = 415


class InputError(ApiError):
    """Something well formed that is not what the model takes."""

    status: ClassVar[int] = 422


class ModelError(ApiError):
    """A model that cannot be used as asked, or an answer that is none; asking again does not help."""


class UnavailableError(ApiError):
    """No server answers, or too many requests wait; asking again helps."""

    status: ClassVar[int] = 503
    headers: ClassVar[dict[str, str]] = {"retry-after": "1"}


class NotReadyError(ApiError):
    """The answer of a probe: not now, and the reason."""

    status: ClassVar[int] = 503


class TooSlowError(ApiError):
    """No answer within the request's time."""

    status: ClassVar[int] = 504


def release(error: BaseException) -> None:
    """Have an error, and those it comes from, keep nothing of what their functions were working on.

    One that is kept, or that its own frames refer to, would hold a model's answer until the collector comes by.
    """
    found: BaseException | None = error
    while found is not None:
        traceback.clear_frames(found.__traceback__)
        found = found.__cause__ or found.__context__


def of_serving(error: ServingError) -> ApiError:
    """Return what a caller of /predict is told of a server's error; one table for every status."""
    details = error.message.splitlines()[0][:300] if error.message else error.code.name
    match error.code:
        case Code.DEADLINE_EXCEEDED:
            return TooSlowError("the model did not answer in time")
        case Code.INVALID_ARGUMENT | Code.OUT_OF_RANGE:
            return InputError(f"the model refused the request: {details}")
        case Code.UNAVAILABLE | Code.RESOURCE_EXHAUSTED | Code.ABORTED | Code.CANCELLED:
            return UnavailableError(f"no server answers: {details}")
        case Code.NOT_FOUND:
            return UnavailableError(f"the model cannot be asked now: {details}")
        case _:
            # FAILED_PRECONDITION, UNIMPLEMENTED, INTERNAL and the like: the same request fails again.
            LOG.error("the server answered %s: %s", error.code.name, details)
            return ModelError(f"the model failed: {details}")
