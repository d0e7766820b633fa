"""The contracts of one session date: volume, repeats, and the prints a cancel may take back.

Contracts have numbers, and what is known of each stands at its number in arrays. What of a print is not needed for the
repeats is in :mod:`phenix.engine.enrich.past`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from phenix.engine.enrich.clock import DAY, day_of_date
from phenix.engine.enrich.formulas import Ints
from phenix.engine.enrich.past import NONE, Past
from phenix.engine.enrich.repeats import Reading, Repeats
from phenix.engine.enrich.runs import Runs
from phenix.engine.targets.arrays import Column

__all__ = ["Contract", "Contracts", "Print", "Prints"]

_BEFORE_MS: Final = 20 * 86_400_000
"""No print of a session date is so much older than the date: times count from there, in 32 bits."""

Contract = tuple[str, int, int, str]
"""Root, expiration, strike, right."""


class Prints(NamedTuple):
    """Prints of some rows by column, in seq order; a price or a size fits 32 bits.

    ``lean`` is the count of a minute that a print adds to, of :mod:`phenix.engine.enrich.minutes`.
    """

    seq: Ints
    ts: Ints
    price: Ints
    size: Ints
    exchange: Ints
    touch: Column
    above: Ints
    spread: Ints
    lean: NDArray[np.int8]
    oi: Column

    def part(self, rows: slice) -> Prints:
        """Some of the rows."""
        return Prints._make(column[rows] for column in self)


@dataclass(frozen=True, slots=True)
class Print:
    """What is remembered of a print, to take it back."""

    seq: int
    ts: int
    size: int
    lean: int


class Contracts:
    """What a session has seen of each contract; ``symbol`` is a number, too."""

    def __init__(self, date: int) -> None:
        self._origin = day_of_date(date) * DAY - _BEFORE_MS
        self.keys: list[Contract] = []
        self._numbers: dict[Contract, int] = {}
        self.symbol = np.zeros(0, np.int64)
        self.expiration_day = np.zeros(0, np.int64)
        self.monthly = np.zeros(0, np.bool_)
        self.volume = np.zeros(0, np.int64)
        self.last_ts = np.zeros(0, np.int64)
        self.oi = np.zeros(0, np.int64)
        self.oi_known = np.zeros(0, np.bool_)
        self._last = np.zeros(0, np.int32)
        self._repeats = Repeats()
        self._past = Past()

    def __contains__(self, contract: Contract) -> bool:
        return contract in self._numbers

    def numbers(self, keys: Sequence[Contract]) -> list[int | None]:
        """The number of each contract, None for one not seen yet."""
        return list(map(self._numbers.get, keys))

    def add(self, contract: Contract, symbol: int, expiration_day: int, monthly: bool) -> int:
        """Give a contract its number."""
        number = self._numbers[contract] = len(self.keys)
        self.keys.append(contract)
        if number == len(self.volume):
            for name in ("symbol", "expiration_day", "monthly", "volume", "last_ts", "oi", "oi_known", "_last"):
                old = getattr(self, name)
                new = np.zeros(max(2 * number, 64), old.dtype)
                new[:number] = old
                setattr(self, name, new)
        self.symbol[number] = symbol
        self.expiration_day[number] = expiration_day
        self.monthly[number] = monthly
        self._last[number] = NONE
        return number

    def enter(self, numbers: Ints, prints: Prints, readings: Sequence[Reading]) -> tuple[Ints, list[Column]]:
        """Enter prints; each row's day volume, and by each reading its repeats."""
        runs = Runs(numbers)
        ids = numbers[runs.firsts]
        volumes = runs.totals(prints.size, self.volume[ids])
        self.volume[ids] += runs.sums(prints.size)
        self.last_ts[ids] = np.maximum(self.last_ts[ids], np.maximum.reduceat(prints.ts[runs.order], runs.starts))
        self.oi[numbers] = prints.oi.values  # of a contract's rows the last one stays
        self.oi_known[numbers] = True if prints.oi.known is None else prints.oi.known
        self._remember(ids, runs, prints)
        times = prints.ts - self._origin
        return volumes, self._repeats.enter(numbers, prints.touch, times, prints.above, prints.spread, readings)

    def _remember(self, ids: Ints, runs: Runs, prints: Prints) -> None:
        rows = len(prints.seq)
        touch = prints.touch.values.astype(np.int8)
        if prints.touch.known is not None:
            touch[~prints.touch.known] = NONE
        before, placed = np.empty(rows, np.int64), self._past.entries
        before[1:] = runs.order[:-1] + placed
        before[runs.starts] = self._last[ids]
        ends = np.append(runs.starts[1:], rows) - 1
        self._last[ids] = runs.order[ends] + placed
        self._past.append({
            "seq": prints.seq, "ts": prints.ts, "price": prints.price, "size": prints.size,
            "exchange": prints.exchange, "before": runs.in_rows(before), "above": prints.above, "spread": prints.spread,
            "lean": prints.lean, "touch": touch,
        })  # fmt: skip

    def take_back(self, number: int, price: int, size: int, exchange: int) -> Print | None:
        """Remove the latest print of that price, size and exchange; None when there is none left."""
        place = int(self._last[number])
        while place != NONE:
            entry = self._past[place]
            if entry.size == size and entry.price == price and entry.exchange == exchange:
                break
            place = entry.before
        else:
            return None
        self._past.spend(place)
        self.volume[number] -= size
        if entry.touch != NONE:
            self._repeats.remove(number, entry.touch, entry.ts - self._origin, entry.above, entry.spread)
        return Print(entry.seq, entry.ts, size, entry.lean)
