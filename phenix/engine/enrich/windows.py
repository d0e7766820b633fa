"""Rolling state of one session date: what the figures of a row look back on.

Rows enter in seq order; their event time only decides which window they fall in, so a late print is
counted from its own seq on in the windows of its own time. Windows never reach over a session date:
its day ends at 20:00 New York time, when no product trades.

Sizes are kept flat: a contract holds two arrays of 64-bit integers, 40 bytes a print, so a day of ten
million prints takes less than half a gigabyte.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right, insort
from dataclasses import dataclass
from struct import Struct
from typing import Final

from phenix.engine.enrich.calendar import Calendar
from phenix.engine.enrich.formulas import value_bucket

__all__ = [
    "BASELINE_MINUTES",
    "OPEN_MINUTES",
    "REPEAT_MS",
    "ContractDay",
    "Histogram",
    "Minute",
    "Print",
    "SessionDay",
    "SymbolDay",
]

REPEAT_MS: Final = 180_000
"""Length of the repeat window; both ends count."""
BASELINE_MINUTES: Final = 15
"""Minutes before the row's own that baselines and the bullish ratio look at."""
OPEN_MINUTES: Final = 60
"""Length of the open window, from the regular open."""

_BUCKETS: Final = 20 * 256  # premiums of up to 86 bits
_SIZE_BITS: Final = 32
_STRIDE: Final = 4
_pack: Final = Struct("4q").pack

_SIDE_CODE: Final = {None: 0, "AA": 1, "ASK": 2, "BID": 3, "MID": 4}
_SENTIMENT_CODE: Final = {"neutral": 0, "bullish": 1, "bearish": 2}
_BULLISH: Final = 1
_BEARISH: Final = 2


class Histogram:
    """Premiums of a session by log-linear bucket, for the rank of the next one; sums by 16 and 256 buckets beside."""

    __slots__ = ("_by_16", "_by_256", "_cells", "count")

    def __init__(self) -> None:
        self._cells = [0] * _BUCKETS
        self._by_16 = [0] * (_BUCKETS >> 4)
        self._by_256 = [0] * (_BUCKETS >> 8)
        self.count = 0

    def enter(self, value: int) -> float | None:
        """Enter a premium; its rank among those before it, ``(2 * lower + same) / (2 * n)``, None for the first."""
        cells, by_16, by_256, n = self._cells, self._by_16, self._by_256, self.count
        bucket = value_bucket(value)
        b16 = bucket >> 4
        b256 = bucket >> 8
        same = cells[bucket]
        rank = None
        if n:
            lower = sum(by_256[:b256]) + sum(by_16[b256 << 4 : b16]) + sum(cells[b16 << 4 : bucket])
            rank = (2 * lower + same) / (2 * n)
        cells[bucket] = same + 1
        by_16[b16] += 1
        by_256[b256] += 1
        self.count = n + 1
        return rank

    def remove(self, value: int) -> None:
        """Take a premium out again."""
        bucket = value_bucket(value)
        self._cells[bucket] -= 1
        self._by_16[bucket >> 4] -= 1
        self._by_256[bucket >> 8] -= 1
        self.count -= 1


@dataclass(frozen=True, slots=True)
class Print:
    """What a contract remembers of a print, to take it back."""

    seq: int
    ts: int
    price: int
    size: int
    exchange: int
    side: int
    sentiment: int


class ContractDay:
    """One contract's session: volume, event times by side, and the prints a cancel may take back."""

    __slots__ = (
        "_log",
        "_times",
        "contract",
        "expiration_day",
        "last_ts",
        "monthly",
        "oi",
        "stamp",
        "symbol",
        "volume",
    )

    def __init__(
        self, contract: tuple[str, int, int, str], symbol: SymbolDay, expiration_day: int, monthly: bool
    ) -> None:
        self.contract = contract
        self.symbol = symbol
        self.expiration_day = expiration_day
        self.monthly = monthly
        self.volume = 0
        self.oi: int | None = None
        self.last_ts = 0
        self.stamp = 0
        self._times: list[array[int] | None] = [None] * len(_SIDE_CODE)
        self._log: array[int] = array("q")

    def add(
        self, seq: int, ts: int, price: int, size: int, exchange: int, side: str | None, sentiment: str
    ) -> int | None:
        """Enter a print; its repeats (prints of this side in the window up to ``ts``), None without a side."""
        code = _SIDE_CODE[side]
        self.volume += size
        if ts > self.last_ts:
            self.last_ts = ts
        self._log.frombytes(
            _pack(seq, ts, price << _SIZE_BITS | size, (exchange << 4 | code) << 4 | _SENTIMENT_CODE[sentiment])
        )
        if not code:
            return None
        times = self._times[code]
        if times is None:
            times = self._times[code] = array("q")
        if not times or ts >= times[-1]:
            times.append(ts)
            return len(times) - bisect_left(times, ts - REPEAT_MS)
        insort(times, ts)
        return bisect_right(times, ts) - bisect_left(times, ts - REPEAT_MS)

    def take_back(self, price: int, size: int, exchange: int) -> Print | None:
        """Remove the latest print of that price, size and exchange; None when there is none left."""
        log = self._log
        wanted = price << _SIZE_BITS | size
        for i in range(len(log) - _STRIDE, -1, -_STRIDE):
            if log[i + 2] == wanted and log[i + 3] >> 8 == exchange:
                break
        else:
            return None
        codes = log[i + 3]
        found = Print(log[i], log[i + 1], price, size, exchange, codes >> 4 & 15, codes & 15)
        del log[i : i + _STRIDE]
        self.volume -= size
        times = self._times[found.side]
        if times is not None:
            del times[bisect_left(times, found.ts)]
        return found


class Minute:
    """One minute of a symbol: what was traded in it, and what lay before it when its last row came.

    ``bullish_before`` and ``bearish_before`` count the fifteen minutes before.
    """

    __slots__ = (
        "baseline", "bearish", "bearish_before", "bullish", "bullish_before", "minute", "open_baseline", "session",
        "stamp", "symbol", "volume",
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
        self.stamp = 0

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

    def take_back(self, taken: Print, minute: int) -> Minute:
        """Remove a print from its minute; the next row must turn again."""
        then = self._minutes[minute]
        then.volume -= taken.size
        then.bullish -= taken.sentiment == _BULLISH
        then.bearish -= taken.sentiment == _BEARISH
        self.now = None
        return then


class SessionDay:
    """Everything that rolls within one session date; ``last_seq`` is the last row entered."""

    __slots__ = ("contracts", "date", "histogram", "last_seq", "symbols")

    def __init__(self, date: int) -> None:
        self.date = date
        self.contracts: dict[tuple[str, int, int, str], ContractDay] = {}
        self.symbols: dict[str, SymbolDay] = {}
        self.histogram = Histogram()
        self.last_seq = -1


def _mean(total: int, n: int) -> float | None:
    return total / n if total and n > 0 else None
