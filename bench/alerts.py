"""P6: what a print costs among 2,000 saved alerts, in batches of 1,000 and of 50.

The alerts are as people write them: chips, symbols, thresholds, sides, dates, arithmetic between fields, with ``or``
and ``not``; all different. The rows are those of ``chips.py``, tagged just before. A batch is handed over as rows:
building its columns is part of the figure. The row target evaluates the same alerts on some of the same rows, one by
one, in the same run.
"""

from __future__ import annotations

import json
import random
import statistics
import sys
import time

from chips import enriched

from phenix.engine.blocks import Block
from phenix.engine.bundle import Bundle, load_bundle
from phenix.engine.flow import INDEX
from phenix.engine.many import Many
from phenix.engine.predicate import Predicate, compile_predicate

ALERTS = 2_000
ROWS = 50_000


def alerts(bundle: Bundle, symbols: list[str], count: int, seed: int = 3) -> list[str]:
    """Different alert texts."""
    rng = random.Random(seed)
    chips = [chip.id for chip in bundle.chips]

    def symbol() -> str:
        return symbols[int(len(symbols) * rng.random() ** 2)]

    narrow = (
        lambda: (
            f"@{rng.choice(('whales', 'sizable', 'unusual', 'urgent', 'grenade', 'blocks', 'large_size', 'high_sig'))}"
        ),
        lambda: f"symbol = {symbol()}",
        lambda: f"symbol in {{{', '.join(sorted({symbol() for _ in range(rng.randint(2, 12))}))}}}",
        lambda: f"value >= {rng.choice((100, 150, 200, 250, 300, 500, 750, 1000, 2500))}k",
        lambda: f"size >= {rng.choice((250, 500, 750, 1000, 2000, 5000))}",
        lambda: f"sig_score >= 0.{rng.randint(75, 95)}",
        lambda: f"vol_oi_ratio >= {rng.choice((2, 2.5, 3, 5, 10))}",
        lambda: f"day_volume >= {rng.choice((2, 3, 5))} * oi",
    )
    wide = (
        lambda: f"@{rng.choice(chips)}",
        lambda: f"not @{rng.choice(chips)}",
        lambda: f"symbol not in {{{', '.join(sorted({symbol() for _ in range(3)}))}}}",
        lambda: f"dte <= {rng.choice((0, 1, 2, 5, 7, 14, 21, 30, 45))}",
        lambda: f"dte in {rng.choice((7, 14, 21, 30))}..{rng.choice((45, 60, 90, 180))}",
        lambda: f"side in {{{rng.choice(('AA, ASK', 'AA', 'BID', 'ASK', 'BID, MID'))}}}",
        lambda: f"right = {rng.choice(('call', 'put'))}",
        lambda: f"sentiment = {rng.choice(('bullish', 'bearish'))}",
        lambda: f"abs(otm_pct) <= {rng.choice((1, 2, 3, 5, 10, 15))}%",
        lambda: f"otm_pct > {rng.choice((0, 2, 5, 10, 20))}%",
        lambda: f"repeat3m >= {rng.choice((2, 3, 5, 10, 20))}",
        lambda: f"price >= ask + {rng.choice(('0.01', '0.05', '0.10'))}",
        lambda: f"price <= bid - {rng.choice(('0.01', '0.02', '0.05'))}",
        lambda: f"symbol_vol_1m >= {rng.choice((2, 2.5, 3, 4))} * symbol_vol_baseline_15m",
        lambda: f"value / spot >= {rng.choice((5, 10, 50))}",
        lambda: f"time_et < {rng.choice(('10:00', '10:30', '11:00', '15:30'))} ET",
        lambda: rng.choice(("iso", "monthly", "not multi_leg", "opening", "floor", "late", "not iso", "cross")),
        lambda: rng.choice(("oi is null", "spot_age_ms <= 3s", "side is not null", "expiration < 2026-01-18")),
    )
    found: dict[str, None] = {}
    while len(found) < count:
        parts = [rng.choice(narrow)(), *(rng.choice(wide)() for _ in range(rng.choice((1, 2, 2, 3, 4))))]
        if rng.random() < 0.25:
            parts[0] = f"({parts[0]} or {rng.choice(narrow)()})"
        if rng.random() < 0.1:
            parts[-1] = f"not ({parts[-1]} and {rng.choice(wide)()})"
        found[" and ".join(parts)] = None
    return list(found)


def main() -> None:
    """Measure and print."""
    bundle, _ = load_bundle()
    assert bundle is not None
    rows = enriched(int(sys.argv[1]) if len(sys.argv) > 1 else ROWS)
    bundle.tag(rows)
    symbols = sorted({row[INDEX["symbol"]] for row in rows})
    predicates: list[Predicate] = []
    began = time.perf_counter()
    for text in alerts(bundle, symbols, ALERTS):
        predicate = compile_predicate([("alert", text)], bundle)
        assert isinstance(predicate, Predicate), (text, predicate)
        predicates.append(predicate)
    parsed = time.perf_counter() - began
    began = time.perf_counter()
    many: Many[int] = Many(bundle.params, bundle.bits)
    for n, predicate in enumerate(predicates):
        many.add(n, predicate.core)
    added = time.perf_counter() - began
    began = time.perf_counter()
    many.matches(Block.of_rows(rows[:1]), 2**53)
    laid_out = time.perf_counter() - began
    many.remove(0)
    many.add(0, predicates[0].core)
    began = time.perf_counter()
    many.matches(Block.of_rows(rows[:1]), 2**53)
    again = time.perf_counter() - began

    figures: list[dict[str, object]] = []
    for size in (1_000, 50):
        seconds, hits = [], 0
        for start in range(0, len(rows) if size > 100 else len(rows) // 5, size):
            batch = rows[start : start + size]
            bundle.tag(batch)  # as it was the moment before
            began = time.perf_counter()
            found = many.matches(Block.of_rows(batch), 2**53)
            seconds.append((time.perf_counter() - began) / len(batch))
            hits += len(found.rows)
        detail = {"hits_per_print": round(hits / (len(seconds) * size), 2), "best_us": round(min(seconds) * 1e6, 2)}
        figures.append({"what": f"{ALERTS:,} alerts, batches of {size:,}", "value": statistics.median(seconds) * 1e6,
                        "unit": "us/print", "detail": detail})  # fmt: skip
    some = rows[:: len(rows) // 300][:300]
    began = time.perf_counter()
    by_row = [[predicate.matches(row, 2**53) for predicate in predicates] for row in some]
    one_by_one = (time.perf_counter() - began) / len(some)
    by_many = many.matches(Block.of_rows(some), 2**53)
    pairs = sorted((n, i) for i, answers in enumerate(by_row) for n, hit in enumerate(answers) if hit)
    order = by_many.keys
    assert pairs == sorted((order[a], b) for a, b in zip(by_many.conditions, by_many.rows, strict=True))
    figures.append(
        {"what": f"{ALERTS:,} alerts, each by the row target", "value": one_by_one * 1e6, "unit": "us/print"}
    )
    figures.append({"what": f"{ALERTS:,} alerts compiled from their text", "value": parsed * 1e3, "unit": "ms"})
    figures.append({"what": f"{ALERTS:,} alerts laid out together", "value": (added + laid_out) * 1e3, "unit": "ms"})
    figures.append({"what": "laid out again after one changed", "value": again * 1e3, "unit": "ms"})
    print(json.dumps([{"id": "P6", **f} for f in figures]))


if __name__ == "__main__":
    main()
