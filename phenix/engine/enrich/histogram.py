"""Premiums of a session by log-linear bucket, for the rank of the next ones."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from phenix.engine.enrich.formulas import Ints, value_bucket
from phenix.engine.targets.arrays import Column

__all__ = ["Histogram"]

_BUCKETS: Final = 64 * 48
"""Of premiums below 2**53."""
_GROUP: Final = 64
"""Most rows compared with each other one by one: twice as many still fit a byte."""


class Histogram:
    """How many premiums each bucket holds."""

    __slots__ = ("_cells", "count")

    def __init__(self) -> None:
        self._cells = np.zeros(_BUCKETS, np.int64)
        self.count = 0

    def enter(self, values: Ints) -> Column:
        """Enter premiums in turn; the rank of each among those before it, unknown for the first.

        The rank is ``(2 * lower + same) / (2 * n)``.
        """
        buckets = value_bucket(values)
        rows = len(buckets)
        upto = np.cumsum(self._cells)
        used = np.bincount(buckets, minlength=_BUCKETS)
        twice = (2 * upto - self._cells)[buckets]
        # Rows are taken in groups: what came before a row's group is counted by bucket, the rest one by one.
        side = min(max(math.isqrt(rows), 1), _GROUP)
        group = np.arange(rows) // side
        place = np.cumsum(used > 0) - 1  # of a bucket among those that occur
        width = int(place[-1]) + 1
        cells = group * width + place[buckets]
        counts = np.bincount(cells, minlength=(int(group[-1]) + 1) * width).reshape(-1, width)
        before = np.cumsum(counts, axis=0) - counts
        twice += (2 * np.cumsum(before, axis=1) - before).ravel()[cells] + _within(buckets, side)
        n = self.count + np.arange(rows)
        self._cells += used
        self.count += rows
        return Column(twice / (2 * np.maximum(n, 1)), n > 0)

    def remove(self, value: int) -> None:
        """Take a premium out again."""
        self._cells[value_bucket(np.array([value]))] -= 1
        self.count -= 1


def _within(buckets: Ints, side: int) -> NDArray[np.uint8]:
    """Twice the rows before each one in its group with a lower bucket, and once those with the same."""
    rows = len(buckets)
    padded = np.zeros(-(-rows // side) * side, np.int16)
    padded[:rows] = buckets
    groups = np.ascontiguousarray(padded.reshape(-1, side).T)
    found = np.zeros(groups.shape, np.uint8)
    for i in range(side - 1):
        found[i + 1 :] += (groups[i] < groups[i + 1 :]).view(np.uint8)
        found[i + 1 :] += (groups[i] <= groups[i + 1 :]).view(np.uint8)
    return found.T.ravel()[:rows]
