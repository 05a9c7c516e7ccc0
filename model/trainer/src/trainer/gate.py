"""The quality gate between training and publishing."""

from __future__ import annotations

from trainer.errors import GateError


def check(accuracy: float, minimum: float) -> None:
    """Raise GateError when the test accuracy is below the minimum, both 0..1."""
    # Written so that NaN fails.
    if not accuracy >= minimum:
        raise GateError(f"test accuracy {accuracy:.4f} is below the minimum {minimum:.4f}: nothing was published")
