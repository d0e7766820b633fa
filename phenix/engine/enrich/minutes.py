"""The minutes of each symbol in one session date: volume, moods, and what lay before.

Rows enter in seq order; their event time only decides which minute they fall in, so a late print is
counted from its own seq on in the windows of its own time. Windows never reach over a session date:
its day ends at 20:00 New York time, when no product trades.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from phenix.engine.enrich.calendar import Calendar
from phenix.engine.enrich.clock import MINUTE
from phenix.engine.enrich.contracts import Print, Prints
from phenix.engine.enrich.formulas import BEARISH, BULLISH, Ints
from phenix.engine.enrich.runs import Runs
from phenix.engine.targets.arrays import Column

__all__ = ["BASELINE_MINUTES", "OPEN_MINUTES", "Minute", "MinuteFigures", "SymbolDay", "enter"]

BASELINE_MINUTES: Final = 15
"""Minutes before the row's own that baselines and the bullish ratio look at."""
OPEN_MINUTES: Final = 60
"""Length of the open window, from the regular open."""

_SESSION_BITS: Final = 3
_MINUTE_BITS: Final = 28


class Minute:
    """One minute of a symbol: what was traded in it, and what lay before it when its last row came.

    ``bullish_before`` and ``bearish_before`` count the fifteen minutes before.
    """

    __slots__ = (
        "baseline", "bearish", "bearish_before", "bullish", "bullish_before", "minute", "open_baseline", "session",
        "symbol", "volume",
    )  # fmt: skip

    def __init__(self, symbol: SymbolDay, minute: int, session: str) -> None:
        self.symbol = symbol
        self.minute = minute
        self.session = session
        self.volume = 0
        self.bullish = 0
        self.bearish = 0
        self.bullish_before = 0
        self.bearish_before = 0
        self.baseline: float | None = None
        self.open_baseline: float | None = None

    def bullish_ratio(self) -> float | None:
        """Bullish share of the bullish and bearish prints of this minute and the fifteen before; None when none."""
        bullish = self.bullish + self.bullish_before
        both = bullish + self.bearish + self.bearish_before
        return bullish / both if both else None


class SymbolDay:
    """One symbol's session by minute.

    What lies before a minute changes only through a print in another minute or a cancel, so it is
    computed when the current minute changes: a print is entered in the minute :meth:`turn` gave.
    """

    __slots__ = ("_calendar", "_minutes", "_open", "_open_before", "_volume", "date", "now", "symbol")

    def __init__(self, calendar: Calendar, symbol: str, date: int) -> None:
        self._calendar = calendar
        self.symbol = symbol
        self.date = date
        self._minutes: dict[int, Minute] = {}
        bounds = calendar.minute_bounds(symbol, date, "regular")
        assert bounds is not None
        self._open = bounds[0]
        self._open_before = 0  # of the open window before the current minute
        self._volume = 0  # of the fifteen minutes before the current one
        self.now: Minute | None = None

    def turn(self, minute: int, session: str) -> Minute:
        """Make ``minute`` the current one and compute what lies before it."""
        minutes = self._minutes
        last = self.now
        now = minutes.get(minute)
        if now is None:
            now = minutes[minute] = Minute(self, minute, session)
        now.session = session
        if last is not None and 0 <= minute - last.minute <= BASELINE_MINUTES:
            start = last.minute  # move the sums forward
            volume, bullish, bearish = self._volume, last.bullish_before, last.bearish_before
            for m in range(start - BASELINE_MINUTES, minute - BASELINE_MINUTES):
                gone = minutes.get(m)
                if gone is not None:
                    volume -= gone.volume
                    bullish -= gone.bullish
                    bearish -= gone.bearish
        else:
            start = minute - BASELINE_MINUTES
            volume = bullish = bearish = 0
            self._open_before = self._sum(self._open, min(start, self._open + OPEN_MINUTES))
        for m in range(start, minute):
            come = minutes.get(m)
            if come is not None:
                volume += come.volume
                bullish += come.bullish
                bearish += come.bearish
                if 0 <= m - self._open < OPEN_MINUTES:
                    self._open_before += come.volume
        self._volume, now.bullish_before, now.bearish_before = volume, bullish, bearish
        now.baseline = self._baseline(minute, session)
        n = min(minute - self._open, OPEN_MINUTES)
        now.open_baseline = _mean(self._open_before, n)
        self.now = now
        return now

    def _baseline(self, minute: int, session: str) -> float | None:
        bounds = self._calendar.minute_bounds(self.symbol, self.date, session)
        if bounds is None:
            return None
        n = minute - bounds[0]
        if n >= BASELINE_MINUTES:
            return _mean(self._volume, BASELINE_MINUTES)
        return _mean(self._sum(bounds[0], minute), n)

    def _sum(self, start: int, end: int) -> int:
        return sum(self._minutes[m].volume for m in range(start, end) if m in self._minutes)

    def take_back(self, taken: Print) -> Minute:
        """Remove a print from its minute; the next row must turn again."""
        then = self._minutes[taken.ts // MINUTE]
        then.volume -= taken.size
        then.bullish -= taken.sentiment == BULLISH
        then.bearish -= taken.sentiment == BEARISH
        self.now = None
        return then


class MinuteFigures(NamedTuple):
    """Figures of rows that look at their symbol's minutes."""

    volume: Ints
    baseline: Column
    open_baseline: Column
    bullish_ratio: Column


def enter(
    symbols: list[SymbolDay], numbers: Ints, sessions: Column, prints: Prints
) -> tuple[list[Minute], MinuteFigures]:
    """Enter prints of symbols by number; the minutes they fell in, and each row's figures."""
    minutes = prints.ts // MINUTE
    keys = (numbers << _MINUTE_BITS | minutes) << _SESSION_BITS | sessions.values
    runs = Runs(keys, np.argsort(numbers, kind="stable"))
    firsts = runs.firsts
    bullish, bearish = prints.sentiment == BULLISH, prints.sentiment == BEARISH
    assert sessions.words is not None
    entered = []
    before = []
    for number, minute, session, size, ups, downs in zip(
        numbers[firsts].tolist(),
        minutes[firsts].tolist(),
        map(sessions.words.words.__getitem__, sessions.values[firsts].tolist()),
        runs.sums(prints.size).tolist(),
        runs.sums(bullish).tolist(),
        runs.sums(bearish).tolist(),
        strict=True,
    ):
        symbol = symbols[number]
        now = symbol.now
        if now is None or now.minute != minute or now.session != session:
            now = symbol.turn(minute, session)
        before.append((
            now.volume, now.bullish + now.bullish_before, now.bearish + now.bearish_before,
            now.baseline, now.open_baseline,
        ))  # fmt: skip
        now.volume += size
        now.bullish += ups
        now.bearish += downs
        entered.append(now)
    volume, ups_before, downs_before, baseline, open_baseline = zip(*before, strict=True)
    up = runs.totals(bullish, np.array(ups_before))
    both = runs.totals(bearish, np.array(downs_before)) + up
    some = both > 0
    return entered, MinuteFigures(
        runs.totals(prints.size, np.array(volume)),
        _spread(runs, baseline),
        _spread(runs, open_baseline),
        Column(up / np.maximum(both, 1), some),
    )


def _spread(runs: Runs, values: tuple[float | None, ...]) -> Column:
    """A value of each run for each of its rows; it is never NaN."""
    column = runs.spread(np.array(values, np.float64))
    unknown = np.isnan(column)
    column[unknown] = 0.0
    return Column(column, ~unknown)


def _mean(total: int, n: int) -> float | None:
    return total / n if total and n > 0 else None
