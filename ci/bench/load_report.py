"""What a load brought: latencies, answers by status, failures by kind."""

from __future__ import annotations

import math
from array import array
from collections import Counter
from dataclasses import dataclass, field

# Bits of a latency in microseconds that are kept: every number told is within 0.1 % of the measured one.
KEPT_BITS = 11
_HALF = 1 << (KEPT_BITS - 1)


class Latencies:
    """Latencies counted in buckets of 0.1 %, so that an hour of load takes no more memory than a second."""

    def __init__(self) -> None:
        self.count = 0
        self.longest_seconds = 0.0
        self._counts = array("Q")

    def add(self, seconds: float) -> None:
        """Count one."""
        self.count += 1
        self.longest_seconds = max(self.longest_seconds, seconds)
        bucket = bucket_of(int(seconds * 1e6))
        try:
            self._counts[bucket] += 1
        except IndexError:
            self._counts.extend([0] * (bucket + _HALF - len(self._counts)))
            self._counts[bucket] += 1

    def merge(self, other: Latencies) -> None:
        """Count all of another's."""
        self.count += other.count
        self.longest_seconds = max(self.longest_seconds, other.longest_seconds)
        self._counts.extend([0] * (len(other._counts) - len(self._counts)))
        for bucket, count in enumerate(other._counts):
            self._counts[bucket] += count

    def quantile(self, share: float) -> float:
        """Return the seconds within which this share (0..1) was answered (nearest rank); NaN without any.

        >>> latencies = Latencies()
        >>> for milliseconds in (1, 2, 3, 100):
        ...     latencies.add(milliseconds / 1000)
        >>> latencies.quantile(0.5)
        0.002
        """
        if not self.count:
            return math.nan
        rank = max(math.ceil(share * self.count), 1)
        seen = 0
        for bucket, count in enumerate(self._counts):
            seen += count
            if seen >= rank:
                return min(microseconds_of(bucket) / 1e6, self.longest_seconds)
        return self.longest_seconds


def bucket_of(microseconds: int) -> int:
    """Return the bucket of a latency: exact below 2 ms, its eleven leading bits above."""
    shift = max(microseconds.bit_length() - KEPT_BITS, 0)
    return (microseconds >> shift) + shift * _HALF


def microseconds_of(bucket: int) -> int:
    """Return the least latency of a bucket."""
    shift = max(bucket // _HALF - 1, 0)
    return (bucket - shift * _HALF) << shift


@dataclass
class Report:
    """The counts of a load, or of one second of it.

    `statuses` counts answers by HTTP status, `errors` requests without an answer by kind. `seconds` is how long
    requests were made and `in_time` how many answers came within: the rest came while the last were waited for.
    `processor_seconds` is what the generator itself took.
    """

    seconds: float = 0.0
    in_time: int = 0
    processor_seconds: float = 0.0
    latencies: Latencies = field(default_factory=Latencies)
    statuses: Counter[int] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)

    def merge(self, other: Report) -> None:
        """Count all of another's."""
        self.seconds += other.seconds
        self.in_time += other.in_time
        self.processor_seconds += other.processor_seconds
        self.latencies.merge(other.latencies)
        self.statuses.update(other.statuses)
        self.errors.update(other.errors)

    @property
    def answers(self) -> int:
        """Answers of any status."""
        return self.statuses.total()

    @property
    def requests(self) -> int:
        """Requests that were made or due."""
        return self.answers + self.errors.total()

    @property
    def failures(self) -> int:
        """Requests without an answer, and answers of status 400 or more."""
        return self.errors.total() + sum(count for status, count in self.statuses.items() if status >= 400)  # noqa: PLR2004

    @property
    def error_share(self) -> float:
        """Failures of all requests, 0..1; 1 where there was none to judge by."""
        return self.failures / self.requests if self.requests else 1.0

    @property
    def rate(self) -> float:
        """Answers a second."""
        return self.in_time / self.seconds if self.seconds else 0.0

    @property
    def processor_share(self) -> float:
        """What the generator took of one core, 0..1."""
        return self.processor_seconds / self.seconds if self.seconds else 0.0

    def milliseconds(self, share: float) -> float:
        """Return the milliseconds within which this share (0..1) was answered."""
        return self.latencies.quantile(share) * 1e3

    def line(self) -> str:
        """Return one line of it: rate, latencies and what went wrong."""
        parts = [f"{self.rate:,.0f} requests/s"]
        if self.latencies.count:
            parts += [f"p{share * 100:g} {self.milliseconds(share):.1f} ms" for share in (0.5, 0.99)]
            parts.append(f"max {self.latencies.longest_seconds * 1e3:.1f} ms")
        return ", ".join([*parts, *self._told(only_bad=True)])

    def table(self) -> str:
        """Return all of it, a fact a line."""
        shares = (0.5, 0.9, 0.99, 0.999)
        latencies = ", ".join(f"p{share * 100:g} {self.milliseconds(share):.2f}" for share in shares)
        return "\n".join(
            [
                f"requests/s   {self.rate:,.1f} ({self.answers:,} answers to {self.requests:,} requests)",
                f"latency, ms  {latencies}, max {self.latencies.longest_seconds * 1e3:.2f}",
                f"answers      {', '.join(self._told(only_bad=False)) or 'none'}",
                f"error share  {self.error_share:.4%}",
                f"generator    {self.processor_share:.0%} of a core",
            ]
        )

    def _told(self, *, only_bad: bool) -> list[str]:
        statuses = sorted(item for item in self.statuses.items() if item[0] >= 400 or not only_bad)  # noqa: PLR2004
        told = [f"{count:,} x {status}" for status, count in statuses]
        return [*told, *(f"{count:,} x {kind}" for kind, count in sorted(self.errors.items()))]
