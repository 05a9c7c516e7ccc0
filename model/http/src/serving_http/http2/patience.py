"""How many frames that bring nothing are taken of a peer: so many at once, so many a second after that."""

from __future__ import annotations

from serving_http.http2.frames import ENHANCE_YOUR_CALM, ConnectionFault

USELESS_FRAMES, USELESS_FRAMES_PER_SECOND = 10_000, 1_000
# A reset costs as many as a call may cost us.
RESET_COST = 5


class Patience:
    """What is left of it with one peer."""

    __slots__ = ("_left",)

    def __init__(self) -> None:
        self._left = USELESS_FRAMES

    def lose(self, cost: int) -> None:
        """Count a frame that brings nothing; raise ConnectionFault when there have been too many."""
        self._left -= cost
        if self._left < 0:
            raise ConnectionFault(ENHANCE_YOUR_CALM, "too many frames that bring nothing")

    def forgive(self, cost: int) -> None:
        """Take back what is counted of a frame that has a purpose after all."""
        self._left += cost

    def recover(self) -> None:
        """Know that a second has passed."""
        self._left = min(USELESS_FRAMES, self._left + USELESS_FRAMES_PER_SECOND)
