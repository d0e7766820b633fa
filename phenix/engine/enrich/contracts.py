"""The contracts of one session date: volume, event times by side, and the prints a cancel may take back.

Contracts have numbers, and what is known of each stands at its number in arrays. Of a print four bytes stay in memory,
its time for the repeats: a print may come hours late. The rest of it is in :mod:`phenix.engine.enrich.past`.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right, insort
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from phenix.engine.enrich.clock import DAY, day_of_date
from phenix.engine.enrich.formulas import SIDES, Ints
from phenix.engine.enrich.past import NONE, Past
from phenix.engine.enrich.runs import Runs
from phenix.engine.targets.arrays import Column

__all__ = ["REPEAT_MS", "Contract", "Contracts", "Print", "Prints"]

REPEAT_MS: Final = 180_000
"""Length of the repeat window; both ends count."""

_BEFORE_MS: Final = 20 * 86_400_000
"""No print of a session date is so much older than the date: times count from there, in 32 bits."""

Contract = tuple[str, int, int, str]
"""Root, expiration, strike, right."""


class Prints(NamedTuple):
    """Prints of some rows by column, in seq order; a price or a size fits 32 bits."""

    seq: Ints
    ts: Ints
    price: Ints
    size: Ints
    exchange: Ints
    side: Column
    sentiment: NDArray[np.uint8]
    oi: Column

    def part(self, rows: slice) -> Prints:
        """Some of the rows."""
        return Prints(
            self.seq[rows], self.ts[rows], self.price[rows], self.size[rows], self.exchange[rows], self.side[rows],
            self.sentiment[rows], self.oi[rows],
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Print:
    """What is remembered of a print, to take it back."""

    seq: int
    ts: int
    size: int
    sentiment: int


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
        self._times: list[array[int] | None] = []
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
        self._times += [None] * len(SIDES)
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

    def enter(self, numbers: Ints, prints: Prints) -> tuple[Ints, Column]:
        """Enter prints; each row's day volume and its repeats (prints of its side in the window up to its time)."""
        runs = Runs(numbers)
        ids = numbers[runs.firsts]
        volumes = runs.totals(prints.size, self.volume[ids])
        self.volume[ids] += runs.sums(prints.size)
        self.last_ts[ids] = np.maximum(self.last_ts[ids], np.maximum.reduceat(prints.ts[runs.order], runs.starts))
        self.oi[numbers] = prints.oi.values  # of a contract's rows the last one stays
        self.oi_known[numbers] = True if prints.oi.known is None else prints.oi.known
        self._remember(ids, runs, prints)
        return volumes, self._repeats(numbers, prints.side, prints.ts - self._origin)

    def _remember(self, ids: Ints, runs: Runs, prints: Prints) -> None:
        rows = len(prints.seq)
        sides = prints.side.values.astype(np.int8)
        if prints.side.known is not None:
            sides[~prints.side.known] = NONE
        before, placed = np.empty(rows, np.int64), self._past.entries
        before[1:] = runs.order[:-1] + placed
        before[runs.starts] = self._last[ids]
        ends = np.append(runs.starts[1:], rows) - 1
        self._last[ids] = runs.order[ends] + placed
        self._past.append({
            "seq": prints.seq, "ts": prints.ts, "price": prints.price, "size": prints.size,
            "exchange": prints.exchange, "before": runs.in_rows(before), "sentiment": prints.sentiment, "side": sides,
        })  # fmt: skip

    def _repeats(self, numbers: Ints, side: Column, ts: Ints) -> Column:
        lines = numbers * len(SIDES) + side.values
        times = ts
        if side.known is not None:
            lines, times = lines[side.known], ts[side.known]
        found = []
        for which, at in zip(lines.tolist(), times.tolist(), strict=True):
            line = self._times[which]
            if line is None:
                self._times[which] = array("I", (at,))
                found.append(1)
            elif at >= line[-1]:
                line.append(at)
                found.append(len(line) - bisect_left(line, at - REPEAT_MS))
            else:
                insort(line, at)
                found.append(bisect_right(line, at) - bisect_left(line, at - REPEAT_MS))
        if side.known is None:
            return Column(np.array(found, np.int64))
        repeats = np.zeros(len(ts), np.int64)
        repeats[side.known] = found
        return Column(repeats, side.known)

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
        if entry.side != NONE:
            which = number * len(SIDES) + entry.side
            line = self._times[which]
            assert line is not None
            del line[bisect_left(line, entry.ts - self._origin)]
            if not line:
                self._times[which] = None
        return Print(entry.seq, entry.ts, size, entry.sentiment)
