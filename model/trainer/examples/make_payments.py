"""Write payments.csv, the table that fraud.py learns from: make_payments.py FILE [ROWS]."""

import csv
import random
import sys
from pathlib import Path

MORNING = 6
SUSPICIOUS = 3


def main(path: Path, rows: int = 4000) -> None:
    """Write so many payments; fraud is large, at night, and far from home."""
    chance = random.Random(7)
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["amount", "hour", "distance", "fraud"])
        for _ in range(rows):
            amount, hour, distance = chance.expovariate(0.02), chance.randrange(24), chance.expovariate(0.1)
            suspicion = amount / 60 + distance / 15 + (hour < MORNING) * 1.5
            is_fraud = suspicion + chance.gauss(0, 0.3) > SUSPICIOUS
            table.writerow([f"{amount:.2f}", hour, f"{distance:.1f}", int(is_fraud)])


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:3]))
