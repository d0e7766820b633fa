"""Rows put side by side by a key: running totals within each run of equal keys."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from phenix.engine.enrich.formulas import Ints

__all__ = ["Runs"]


class Runs:
    """Rows in the order of their keys, those of one key (a run) in the order they came; at least one row.

    ``order`` are the rows, ``starts`` where in it each run begins, ``which`` the run of each place in it.
    """

    __slots__ = ("order", "starts", "which")

    def __init__(self, keys: Ints, order: Ints | None = None) -> None:
        """With an ``order`` runs are of keys equal one after the other in it, which need not be sorted."""
        self.order = np.argsort(keys, kind="stable") if order is None else order
        keys = keys[self.order]
        new = np.empty(len(keys), np.bool_)
        new[0] = True
        np.not_equal(keys[1:], keys[:-1], out=new[1:])
        self.starts = np.flatnonzero(new)
        self.which = np.cumsum(new) - 1

    @property
    def firsts(self) -> Ints:
        """The first row of each run."""
        firsts: Ints = self.order[self.starts]
        return firsts

    def sums(self, values: NDArray[Any]) -> Ints:
        """Sum of each run."""
        sums: Ints = np.add.reduceat(values[self.order], self.starts, dtype=np.int64)
        return sums

    def totals(self, values: NDArray[Any], before: NDArray[np.int64]) -> Ints:
        """For each row the sum over its run up to and with it, on top of what was ``before`` each run."""
        ordered = values[self.order]
        sums = np.cumsum(ordered, dtype=np.int64)
        sums += (before - (sums[self.starts] - ordered[self.starts]))[self.which]
        return self.in_rows(sums)

    def spread(self, values: NDArray[Any]) -> NDArray[Any]:
        """A value of each run, for each of its rows."""
        return self.in_rows(values[self.which])

    def in_rows(self, ordered: NDArray[Any]) -> NDArray[Any]:
        """Values by place, by row."""
        rows = np.empty_like(ordered)
        rows[self.order] = ordered
        return rows
