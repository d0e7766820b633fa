"""The minutes of each symbol in one session date: volume, moods, and what lay before.

Rows enter in seq order; their event time only decides which minute they fall in, so a late print is
counted from its own seq on in the windows of its own time. Windows never reach over a session date:
its day ends at 20:00 New York time, when no product trades.

Packages are counted apart, so that the same counts serve rules to which they are neutral and rules to which they are
not.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from phenix.engine.enrich.calendar import Calendar
from phenix.engine.enrich.clock import MINUTE
from phenix.engine.enrich.contracts import Print, Prints
from phenix.engine.enrich.formulas import BEARISH, BULLISH, SENTIMENTS, Ints
from phenix.engine.enrich.repeats import Reading
from phenix.engine.enrich.runs import Runs
from phenix.engine.targets.arrays import Column, Mask

__all__ = ["BASELINE_MINUTES", "OPEN_MINUTES", "Minute", "MinuteFigures", "SymbolDay", "enter", "leans"]

BASELINE_MINUTES: Final = 15
"""Minutes before the row's own that baselines and the bullish ratio look at."""
OPEN_MINUTES: Final = 60
"""Length of the open window, from the regular open."""

_SESSION_BITS: Final = 3
_MINUTE_BITS: Final = 28

_LEANS: Final = 4
"""What prints are counted by: bullish and bearish ones, and after these such packages; neutral ones are not."""
_PACKAGES: Final = 2
_LEAN: Final = np.full((2, len(SENTIMENTS)), _LEANS, np.int8)
_LEAN[:, [BULLISH, BEARISH]] = [[0, 1], [_PACKAGES, _PACKAGES + 1]]
_COUNT_BITS: Final = 32
_COUNT: Final = 2**_COUNT_BITS - 1


def leans(moods: Column, package: Mask) -> NDArray[np.int8]:
    """The count that each print adds to, by its mood where packages are not neutral."""
    found: NDArray[np.int8] = _LEAN[package.view(np.uint8), moods.values]
    return found


def _counted(moods: int, *, packages_are_neutral: bool) -> tuple[int, int]:
    """Bullish and bearish prints among those counted."""
    bullish, bearish = moods & _COUNT, moods >> _COUNT_BITS & _COUNT
    if packages_are_neutral:
        return bullish, bearish
    packages = moods >> _PACKAGES * _COUNT_BITS
    return bullish + (packages & _COUNT), bearish + (packages >> _COUNT_BITS)


class Minute:
    """One minute of a symbol: what was traded in it, and what lay before it when its last row came.

    ``moods`` are its counts by lean, side by side in one number that one sum moves; ``moods_before`` those of the
    fifteen minutes before.
    """

    __slots__ = ("baseline", "minute", "moods", "moods_before", "open_baseline", "session", "symbol", "volume")

    def __init__(self, symbol: SymbolDay, minute: int, session: str) -> None:
        self.symbol = symbol
        self.minute = minute
        self.session = session
        self.volume = 0
        self.moods = 0
        self.moods_before = 0
        self.baseline: float | None = None
        self.open_baseline: float | None = None

    def bullish_ratio(self, *, packages_are_neutral: bool) -> float | None:
        """Bullish share of the bullish and bearish prints of this minute and the fifteen before; None when none."""
        bullish, bearish = _counted(self.moods + self.moods_before, packages_are_neutral=packages_are_neutral)
        return bullish / (bullish + bearish) if bullish or bearish else None


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
            volume, moods = self._volume, last.moods_before
            for m in range(start - BASELINE_MINUTES, minute - BASELINE_MINUTES):
                gone = minutes.get(m)
                if gone is not None:
                    volume -= gone.volume
                    moods -= gone.moods
        else:
            start = minute - BASELINE_MINUTES
            volume = moods = 0
            self._open_before = self._sum(self._open, min(start, self._open + OPEN_MINUTES))
        for m in range(start, minute):
            come = minutes.get(m)
            if come is not None:
                volume += come.volume
                moods += come.moods
                if 0 <= m - self._open < OPEN_MINUTES:
                    self._open_before += come.volume
        self._volume, now.moods_before = volume, moods
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
        if taken.lean < _LEANS:
            then.moods -= 1 << _COUNT_BITS * taken.lean
        self.now = None
        return then


class MinuteFigures(NamedTuple):
    """Figures of rows that look at their symbol's minutes; the bullish ratio by each reading."""

    volume: Ints
    baseline: Column
    open_baseline: Column
    bullish_ratio: list[Column]


def enter(
    symbols: list[SymbolDay], numbers: Ints, sessions: Column, prints: Prints, readings: Sequence[Reading]
) -> tuple[list[Minute], MinuteFigures]:
    """Enter prints of symbols by number; the minutes they fell in, and each row's figures."""
    minutes = prints.ts // MINUTE
    keys = (numbers << _MINUTE_BITS | minutes) << _SESSION_BITS | sessions.values
    runs = Runs(keys, np.argsort(numbers, kind="stable"))
    firsts = runs.firsts
    assert sessions.words is not None
    entered = []
    before = []
    for number, minute, session, size, moods in zip(
        numbers[firsts].tolist(),
        minutes[firsts].tolist(),
        map(sessions.words.words.__getitem__, sessions.values[firsts].tolist()),
        runs.sums(prints.size).tolist(),
        _side_by_side(runs, prints.lean),
        strict=True,
    ):
        symbol = symbols[number]
        now = symbol.now
        if now is None or now.minute != minute or now.session != session:
            now = symbol.turn(minute, session)
        before.append((now.volume, now.moods + now.moods_before, now.baseline, now.open_baseline))
        now.volume += size
        now.moods += moods
        entered.append(now)
    volume, moods_before, baseline, open_baseline = zip(*before, strict=True)
    ratios = {
        neutral: _ratio(runs, prints.lean, moods_before, packages_are_neutral=neutral)
        for neutral in {reading.constants.packages_are_neutral for reading in readings}
    }
    return entered, MinuteFigures(
        runs.totals(prints.size, np.array(volume)),
        _spread(runs, baseline),
        _spread(runs, open_baseline),
        [ratios[reading.constants.packages_are_neutral] for reading in readings],
    )


def _side_by_side(runs: Runs, leans: NDArray[np.int8]) -> list[int]:
    """Of each run its counts by lean as one number."""
    counts = np.bincount(runs.which * (_LEANS + 1) + leans[runs.order], minlength=len(runs.starts) * (_LEANS + 1))
    return [
        one | two << _COUNT_BITS | three << 2 * _COUNT_BITS | four << 3 * _COUNT_BITS
        for one, two, three, four, _ in counts.reshape(-1, _LEANS + 1).tolist()
    ]


def _ratio(runs: Runs, lean: NDArray[np.int8], before: Sequence[int], *, packages_are_neutral: bool) -> Column:
    counts = [_counted(moods, packages_are_neutral=packages_are_neutral) for moods in before]
    ups, downs = np.array(counts, np.int64).T
    if not packages_are_neutral:
        lean = np.where(lean < _LEANS, lean % _PACKAGES, lean)
    up = runs.totals(lean == 0, ups)
    both = runs.totals(lean == 1, downs) + up
    return Column(up / np.maximum(both, 1), both > 0)


def _spread(runs: Runs, values: tuple[float | None, ...]) -> Column:
    """A value of each run for each of its rows; it is never NaN."""
    column = runs.spread(np.array(values, np.float64))
    unknown = np.isnan(column)
    column[unknown] = 0.0
    return Column(column, ~unknown)


def _mean(total: int, n: int) -> float | None:
    return total / n if total and n > 0 else None
