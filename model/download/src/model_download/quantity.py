"""Numbers of bytes: Kubernetes' quantities read, MiB shown."""

from __future__ import annotations

import math
import re
from decimal import Decimal

# Suffix -> factor (Kubernetes' apimachinery, pkg/api/resource/quantity.go); fractions of a byte are rounded up there.
_FACTORS = {
    "n": Decimal(1).scaleb(-9),
    "u": Decimal(1).scaleb(-6),
    "m": Decimal(1).scaleb(-3),
    "": Decimal(1),
    **{suffix: Decimal(1000 ** (power + 1)) for power, suffix in enumerate("kMGTPE")},
    **{f"{suffix}i": Decimal(1024 ** (power + 1)) for power, suffix in enumerate("KMGTPE")},
}
_QUANTITY = re.compile(
    r"\+?(?P<number>[0-9]{1,30}(?:\.[0-9]{0,30})?|\.[0-9]{1,30})"
    r"(?:[eE](?P<exponent>[+-]?[0-9]{1,2})|(?P<suffix>[KMGTPE]i|[numkMGTPE]|))"
)
_MIB = 1 << 20


def parse(text: str) -> int:
    """Return the bytes of a Kubernetes quantity, rounded up; raise ValueError when it is none.

    >>> parse("1.5Gi"), parse("500M"), parse("1e3")
    (1610612736, 500000000, 1000)
    """
    match = _QUANTITY.fullmatch(text)
    if match is None:
        raise ValueError(f"expected a quantity of bytes, like 4Gi or 500M, got {text[:80]!r}")
    number = Decimal(match["number"])
    factor = _FACTORS[match["suffix"]] if match["exponent"] is None else Decimal(1).scaleb(int(match["exponent"]))
    return math.ceil(number * factor)


def shown(size_bytes: int) -> str:
    """Return a size as people read it.

    >>> shown(3 << 20), shown(1000)
    ('3.0 MiB', '1000 bytes')
    """
    return f"{size_bytes} bytes" if size_bytes < _MIB else f"{size_bytes / _MIB:.1f} MiB"
