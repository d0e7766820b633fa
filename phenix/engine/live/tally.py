"""Sums over rows: how many and how much, by contract, minute, side, sentiment, part of the session and chip.

Every sum is of whole numbers far below 2**53, so that sums of doubles, which NumPy makes quickly, are exact.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np

from phenix.engine.flow import BY_NAME
from phenix.engine.targets.arrays import Array, Block

__all__ = ["FIELDS", "SENTIMENTS", "SESSIONS", "SIDES", "Tally"]

SIDES: Final = BY_NAME["side"].type.members
SENTIMENTS: Final = BY_NAME["sentiment"].type.members
SESSIONS: Final = BY_NAME["session"].type.members
FIELDS: Final = ("size", "value", "side", "sentiment", "session", "trade_ts_et", "chips_set")
"""Fields that are read of a row, besides its contract."""
_BITS: Final = 64
_MINUTE: Final = 60_000
_ROWS, _SIZE, _PREMIUM, _BULLISH, _BEARISH = range(5)
_BESIDE: Final = ("sides", "sentiments", "sessions", "chips")
_ARRAYS: Final = ("contracts", *_BESIDE)


class Tally:
    """Sums; premium in ten-thousandths of a dollar. An unknown side has the place after the last member."""

    def __init__(self) -> None:
        self.contracts = np.zeros((5, 0))
        """Rows, contracts traded, premium, bullish and bearish premium by code of the contract."""
        self.minutes: dict[int, Array] = {}
        """Minute of the New York wall clock since 1970 -> premium by side."""
        self.sides = np.zeros(len(SIDES) + 1)
        self.sentiments = np.zeros(len(SENTIMENTS) + 1)
        self.sessions = np.zeros(len(SESSIONS) + 1)
        self.chips = np.zeros(_BITS)
        """Rows by bit of a chip that is on."""

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, Array]) -> Tally:
        """What :meth:`arrays` gave; they are read, never written to."""
        tally = cls()
        for name in _ARRAYS:
            setattr(tally, name, arrays[name])
        tally.minutes = dict(zip(arrays["minute"].tolist(), arrays["by_minute"], strict=True))
        return tally

    def arrays(self) -> dict[str, Array]:
        """The sums by name."""
        by_minute = np.array(list(self.minutes.values())).reshape(-1, len(self.sides))
        return {
            **{name: getattr(self, name) for name in _ARRAYS},
            "minute": np.array(list(self.minutes), np.int64), "by_minute": by_minute,
        }  # fmt: skip

    @property
    def rows(self) -> int:
        """How many rows."""
        return int(self.contracts[_ROWS].sum())

    @property
    def premium(self) -> int:
        """Premium traded."""
        return int(self.contracts[_PREMIUM].sum())

    def copy(self) -> Tally:
        """The same sums apart."""
        other = Tally()
        other.contracts = self.contracts.copy()
        other.minutes = {minute: sums.copy() for minute, sums in self.minutes.items()}
        for name in _BESIDE:
            setattr(other, name, getattr(self, name).copy())
        return other

    def add(self, rows: Block, contracts: Array, sign: int = 1) -> None:
        """Take rows in, or out with -1."""
        if not rows.rows:
            return
        size, value = (rows.column(name, 0).values.astype(np.float64) for name in ("size", "value"))
        side, sentiment, session = (
            _members(rows, name, members)
            for name, members in (("side", SIDES), ("sentiment", SENTIMENTS), ("session", SESSIONS))
        )
        self._reach(int(contracts.max()) + 1)
        codes = contracts.astype(np.intp)
        # In place: a sum by code made anew has a place for each contract of the session, however few rows there are.
        for row, weights in ((_ROWS, 1.0), (_SIZE, size), (_PREMIUM, value)):
            np.add.at(self.contracts[row], codes, sign * weights)
        for row, word in ((_BULLISH, "bullish"), (_BEARISH, "bearish")):
            some = np.flatnonzero(sentiment == SENTIMENTS.index(word))
            np.add.at(self.contracts[row], codes[some], sign * value[some])
        for sums, found in ((self.sentiments, sentiment), (self.sessions, session)):
            sums += sign * np.bincount(found, minlength=len(sums))
        minute = rows.column("trade_ts_et", 0).values // _MINUTE
        first, width = int(minute.min()), len(self.sides)
        both, places = (minute - first) * width + side, (int(minute.max()) - first + 1) * width
        counts = np.bincount(both, minlength=places).reshape(-1, width)
        premium = np.bincount(both, value, places).reshape(-1, width)
        self.sides += sign * counts.sum(0)
        for place in np.flatnonzero(counts.any(1)).tolist():
            sums = self.minutes.setdefault(first + place, np.zeros(width))
            sums += sign * premium[place]
        on = rows.column("chips_set", 0).values
        anywhere = int(np.bitwise_or.reduce(on))
        chips = np.ascontiguousarray(on, np.dtype("<i8")).view(np.uint8).reshape(-1, 8)
        for byte in range(8):
            if anywhere >> byte * 8 & 255:
                by_byte = np.bincount(chips[:, byte], minlength=256)
                self.chips[byte * 8 : byte * 8 + 8] += sign * (by_byte @ _BITS_OF_BYTE)

    def merge(self, other: Tally, codes: Array) -> None:
        """Take the sums of another in; ``codes`` are the codes here of its contracts."""
        if len(codes):
            self._reach(int(codes.max()) + 1)
            width = min(len(codes), other.contracts.shape[1])  # the last contracts may have no print
            self.contracts[:, codes[:width]] += other.contracts[:, :width]
        for minute, sums in other.minutes.items():
            self.minutes[minute] = self.minutes[minute] + sums if minute in self.minutes else sums.copy()
        for name in _BESIDE:
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def _reach(self, count: int) -> None:
        have = self.contracts.shape[1]
        if have < count:
            wider = np.zeros((5, max(count, 2 * have)))
            wider[:, :have] = self.contracts
            self.contracts = wider


_BITS_OF_BYTE: Final = (np.arange(256)[:, None] >> np.arange(8)) & 1


def _members(rows: Block, name: str, members: tuple[str, ...]) -> Array:
    """Places of an enum's values among its members, of an unknown one the place after the last."""
    column = rows.column(name, 0)
    assert column.words is not None
    places = {word: place for place, word in enumerate(members)}
    table = np.array([places.get(word, len(members)) for word in column.words.words], np.intp)
    found: Array = table.take(column.values)
    return found if column.known is None else np.where(column.known, found, len(members))
