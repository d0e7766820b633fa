"""The figures of a batch of rows that come from the rolling state, and what the batch changed in it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phenix.engine.enrich.day import SessionDay
from phenix.engine.enrich.minutes import Minute
from phenix.engine.targets.arrays import Column

__all__ = ["Changes", "Figures"]


class _Nullable:
    """A column that is filled piece by piece, unknown where nothing was put."""

    __slots__ = ("_known", "_values")

    def __init__(self, rows: int, kind: type[np.generic] = np.float64) -> None:
        self._values: NDArray[Any] = np.zeros(rows, kind)
        self._known = np.zeros(rows, np.bool_)

    def put(self, rows: slice, column: Column) -> None:
        self._values[rows] = column.values
        self._known[rows] = True if column.known is None else column.known

    def set(self, row: int, value: float | None) -> None:
        if value is not None:
            self._values[row] = value
            self._known[row] = True

    def column(self) -> Column:
        return Column(self._values, self._known)


class Figures:
    """Figures of rows that come from the state; repeats and the bullish ratio by each of some readings."""

    def __init__(self, rows: int, readings: int) -> None:
        self.expiration_day = np.zeros(rows, np.int64)
        self.monthly = np.zeros(rows, np.bool_)
        self.day_volume = np.zeros(rows, np.int64)
        self.symbol_vol_1m = np.zeros(rows, np.int64)
        self.repeat3m = [_Nullable(rows, np.int64) for _ in range(readings)]
        self.baseline = _Nullable(rows)
        self.open_baseline = _Nullable(rows)
        self.bullish_ratio = [_Nullable(rows) for _ in range(readings)]
        self.rank = _Nullable(rows)


class Changes:
    """What a batch of rows changed; contracts and minutes once each, in the order they were touched."""

    def __init__(self) -> None:
        self.cancels: list[tuple[int, int]] = []
        self.unmatched = 0
        self.contracts: dict[SessionDay, dict[int, None]] = {}
        self.minutes: dict[Minute, None] = {}

    def note(self, day: SessionDay, numbers: Iterable[int], minutes: Iterable[Minute]) -> None:
        """Note changed contracts and minutes."""
        self.contracts.setdefault(day, {}).update(dict.fromkeys(numbers))
        self.minutes.update(dict.fromkeys(minutes))
