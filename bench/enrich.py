"""Rows a second through the enricher, without the tagger: ``python bench/enrich.py [ROWS]``.

A believable session: 200 symbols, 30,000 contracts, sizes and prices skewed, quotes around the price, one
print in a thousand late, one in two thousand a cancel. Prints its figures as JSON.
"""

from __future__ import annotations

import json
import random
import resource
import statistics
import sys
import time
from fractions import Fraction
from typing import Any

from phenix.engine.blocks import Block
from phenix.engine.enrich.calendar import Calendar
from phenix.engine.enrich.clock import utc_of, wall_of
from phenix.engine.enrich.enricher import Enricher
from phenix.engine.targets.arrays import Column

SESSION = 20260105
BATCH = 5_000


class NoRules:
    """A tagger that adds nothing."""

    version = "none"
    aa_floor = 100
    aa_spread = Fraction(1, 10)
    packages_are_neutral = True

    def tag(self, block: Block) -> dict[str, Column]:  # noqa: ARG002 - the enricher's protocol
        """Leave the rows as they are."""
        return {}


def session(rows: int, seed: int = 1) -> list[tuple[Any, ...]]:
    """Raw rows of one session, in seq order."""
    rng = random.Random(seed)
    contracts = []
    for n in range(30_000):
        spot = (n % 200 + 10) * 10_0000
        strike = int(spot * rng.uniform(0.8, 1.2)) // 10_000 * 10_000
        contracts.append(
            (
                f"S{'ABCDEFGHIJ'[n % 10]}{n % 200}".replace("0", "X"),
                20260116 + n % 3,
                strike,
                "CALL" if n % 2 else "PUT",
                spot,
            )
        )
    conditions = rng.choices((18, 0, 95, 130, 125, 131, 2, 40), (400, 200, 150, 150, 60, 39, 1, 0.5), k=rows)
    picks = [int(len(contracts) * rng.random() ** 3) for _ in range(rows)]
    start, span = utc_of(SESSION, 34_200_000), 23_400_000
    made = []
    for n in range(rows):
        root, expiration, strike, right, spot = contracts[picks[n]]
        ts = start + span * n // rows - (rng.randrange(60_000) if conditions[n] == 2 else 0)
        mid = 10_000 + picks[n] % 500 * 100
        bid, ask = mid - 300, mid + 300
        price = mid + rng.choice((-300, -100, 0, 300, 400))
        size = 1 + int(20 * rng.random() ** 4)
        made.append((
            n + 1, n, ts, wall_of(ts), SESSION, "regular", root, root, expiration, strike, right, price, size, bid, ask,
            ts - 5, conditions[n], 5 + n % 12, n, False, spot, 100, "file", picks[n] % 4000, ts,
        ))  # fmt: skip
    return made


def loop_ns() -> float:
    """CPU time of one turn of an empty loop now: how fast the box is while this runs (about 15 ns when idle)."""
    began = time.process_time()
    for _ in range(2_000_000):
        pass
    return (time.process_time() - began) / 2_000_000 * 1e9


def main() -> None:
    """Measure and print."""
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 300_000
    raws = session(rows)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    enricher = Enricher(Calendar.packaged(), NoRules(), lambda _date, _before, _after: (), lambda: 0)
    cancels = 0
    speeds = []
    for i in range(0, rows, BATCH):
        batch = raws[i : i + BATCH]
        began = time.process_time()
        cancels += len(enricher.enrich(batch).cancels)
        speeds.append(len(batch) / (time.process_time() - began))
    again = Enricher(Calendar.packaged(), NoRules(), lambda _date, before, after: raws[after : before - 1], lambda: 0)
    began = time.process_time()
    again.enrich(raws[-1:])
    rebuild = time.process_time() - began
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    detail = {
        "rows": rows, "rows_per_s_best": round(max(speeds)), "rebuild_rows_per_s": round(rows / rebuild),
        "cancels": cancels, "grown_bytes_per_row": round(grown * 1024 / rows), "loop_ns": round(loop_ns(), 1),
    }  # fmt: skip
    figure = {
        "id": "P3",
        "what": "enrichment without tagging, of CPU time, median batch",
        "value": round(statistics.median(speeds)),
        "unit": "rows/s",
        "detail": detail,
    }
    print(json.dumps([figure]))


if __name__ == "__main__":
    main()
