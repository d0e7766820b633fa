"""How long things took: a histogram that is cheap to add to. Milliseconds."""

from __future__ import annotations

from bisect import bisect_left
from typing import Final

__all__ = ["BOUNDS_MS", "Durations"]

BOUNDS_MS: Final[tuple[int, ...]] = tuple(sorted((350, *(m * 10**e for e in range(5) for m in (1, 2, 3, 5, 7)))))
"""Upper bounds of the buckets; what took longer than the last is counted after it. 350 is where requests for rows begin
to be slow (the alert PhenixQuerySlow, ``phenix top``): what is compared with a bound is not guessed between two.
"""


class Durations:
    """``counts`` holds how many took up to each of ``bounds``, and last how many longer; ``total`` is their sum."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[int, ...] = BOUNDS_MS) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def add(self, took: float, times: int = 1) -> None:
        """Count something that took so long; what took less than nothing is two clocks' difference, and took none."""
        self.counts[bisect_left(self.bounds, took)] += times
        self.total += max(0.0, took) * times

    def quantile(self, share: float) -> float | None:
        """Upper bound of the bucket in which that share is reached; None of none."""
        wanted = share * sum(self.counts)
        if not wanted:
            return None
        reached = 0
        for bound, count in zip(self.bounds, self.counts, strict=False):
            reached += count
            if reached >= wanted:
                return bound
        return float("inf")
