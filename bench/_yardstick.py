"""How fast this box is just now, next to the reference box: one fixed loop whose speed there is known.

Boxes drift by a factor of two and more, within a run too. The loop is plain Python that no change of
Phenix touches: 22 closures, one a chip, over rows. ``python -m bench`` times it before and after each
script; a script whose figures are calls may time it around each of them, with :func:`median_run`.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any, Final

__all__ = ["REFERENCE", "measure", "median_run", "scaled"]

REFERENCE: Final = 380_000
"""Rows a second of the loop on the reference box: 22 chips as a closure each."""
_CHIPS: Final = 22
_ROWS: Final = 5_000

Row = tuple[int, int, int, float, float, int, bool]


def measure(seconds: float = 1.0) -> float:
    """Rows a second, now: the quickest of the rounds in that time, as the scripts report theirs."""
    rng = random.Random(1)
    rows = [_row(rng) for _ in range(_ROWS)]
    chips = [_chip(place) for place in range(_CHIPS)]
    shortest = float("inf")
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        began = time.process_time()
        for row in rows:
            mask = 0
            for bit, chip in enumerate(chips):
                if chip(row):
                    mask |= 1 << bit
        shortest = min(shortest, time.process_time() - began)
    return _ROWS / shortest


def median_run(run: Callable[[], float], times: int = 5) -> tuple[float, float]:
    """The run in the middle by what it would take on the reference box: its seconds, and rows a second around it.

    ``run`` gives its own seconds; ``times`` is odd.
    """
    found = []
    before = measure(0.1)
    for _ in range(times):
        seconds = run()
        after = measure(0.1)
        found.append((seconds, (before + after) / 2))
        before = after
    return sorted(found, key=lambda one: one[0] * one[1])[times // 2]


def scaled(figure: dict[str, Any], rows_s: float) -> float | None:
    """The figure as it would be on the reference box; the loop ran at ``rows_s``, or at what the figure itself says.

    None for what does not depend on the processor: counts, and times that are ``waits``.
    """
    speed = figure.get("yardstick", rows_s) / REFERENCE
    value, unit = float(figure["value"]), str(figure["unit"])
    if figure.get("waits"):
        return None
    if unit.endswith("/s"):
        return value / speed
    return value * speed if unit.split("/", maxsplit=1)[0] in ("us", "ms", "s") else None


def _row(rng: random.Random) -> Row:
    return (
        rng.randrange(10_000_000),
        rng.randrange(5_000),
        rng.randrange(400),
        rng.random() * 20,
        rng.random(),
        rng.randrange(4),
        rng.random() < 0.3,
    )


def _chip(place: int) -> Callable[[Row], bool]:
    value, size = 1_000_000 + 100_000 * place, 20 * place
    shapes: tuple[Callable[[Row], bool], ...] = (
        lambda row: row[0] >= value,
        lambda row: row[1] >= size and row[3] >= 1.5,
        lambda row: row[2] <= size and row[5] in (1, 2) and row[0] >= value,
        lambda row: row[4] > 0.5 or row[6],
    )
    return shapes[place % len(shapes)]
