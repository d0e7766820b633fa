"""Trading days, sessions and standard monthlies.

Days come from ``calendar.json`` (2000 to 2040, generated) with ``closures.json`` laid over it, product
lists from ``sessions.json``. Dates are YYYYMMDD in New York, times UTC milliseconds.

The session date of a print is the New York date when that is a trading day and the time is before
20:00, else the next trading day; this holds for every product, so an evening row that no session
covers (``closed``) belongs to the same date as the overnight rows beside it. Intervals are half-open:

=========  ==========================================  =======================================
gth        20:15 the evening before to 09:25           global products
early      07:30 to 09:25                              extended classes, from their date on
regular    09:30 to 16:00 (13:00 on half days)         all; late-closing products 15 minutes more
curb       16:00 to 16:15, 16:15 to 17:00              extended classes, global products
closed     everything else
=========  ==========================================  =======================================

Half days have no curb. A date outside the table has no known session: its rows are ``closed`` and
keep their own date.
"""

from __future__ import annotations

import datetime as dt
from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from phenix.engine.enrich.clock import DAY, HOUR, MINUTE, date_of_day, day_of_date, utc_of, wall_of
from phenix.engine.enrich.roots import wednesday_monthlies
from phenix.engine.enrich.tables import read_table

__all__ = ["Calendar", "Products"]

_GTH_START: Final = 20 * HOUR + 15 * MINUTE
_EARLY_START: Final = 7 * HOUR + 30 * MINUTE
_BEFORE_OPEN: Final = 9 * HOUR + 25 * MINUTE
_OPEN: Final = 9 * HOUR + 30 * MINUTE
_CLOSE: Final = 16 * HOUR
_HALF_DAY_CLOSE: Final = 13 * HOUR
_LATE: Final = 15 * MINUTE
_CURB_END: Final = 17 * HOUR
_ROLL: Final = 20 * HOUR

_LATE_CLOSING: Final = 1
_GLOBAL: Final = 2
_EXTENDED: Final = 4


_FRIDAY: Final = 4
_SATURDAY_MONTHLIES_END: Final = 20150201
_VOLATILITY_DAYS: Final = 30

_Part = tuple[int, int, str]


@dataclass(frozen=True, slots=True)
class Products:
    """Underlyings that trade outside 09:30 to 16:00; ``extended_since`` is the first date of the extended classes."""

    late: frozenset[str]
    global_: frozenset[str]
    extended: frozenset[str]
    extended_since: int

    @classmethod
    def packaged(cls) -> Products:
        """The lists of ``sessions.json``."""
        table = read_table("sessions")
        extended = table["extended"]
        return cls(
            frozenset(table["late"]),
            frozenset(table["global"]),
            frozenset(extended["symbols"]),
            _date(extended["since"]),
        )


class Calendar:
    """Trading days and what they mean for products; immutable after construction apart from its caches."""

    def __init__(
        self, first: int, last: int, holidays: Iterable[int], half_days: Iterable[int], products: Products
    ) -> None:
        self.first = first
        self.last = last
        closed = frozenset(holidays)
        days = (date_of_day(day) for day in range(day_of_date(first), day_of_date(last) + 1) if _weekday(day) < 5)
        self._days = tuple(date for date in days if date not in closed)
        self._trading = frozenset(self._days)
        self._half_days = frozenset(half_days) & self._trading
        self._since = products.extended_since
        self._kinds = {
            symbol: (symbol in products.late) * _LATE_CLOSING
            | (symbol in products.global_) * _GLOBAL
            | (symbol in products.extended) * _EXTENDED
            for symbol in products.late | products.global_ | products.extended
        }
        self._plans: dict[tuple[int, int], tuple[tuple[_Part, ...], int, int]] = {}
        self._minute_session = lru_cache(131_072)(self._session)
        self._bounds = lru_cache(65_536)(self._session_bounds)
        self.monthly = lru_cache(65_536)(self._monthly)
        """``monthly(root, expiration)``: whether the expiration is a standard monthly of the root."""

    @classmethod
    def packaged(cls) -> Calendar:
        """The shipped calendar with the shipped overrides."""
        table, over = read_table("calendar"), read_table("closures")
        holidays = [*table["holidays"], *(line["date"] for line in over["closures"])]
        half_days = [*table["half_days"], *(line["date"] for line in over["half_days"])]
        return cls(
            _date(table["first"]),
            _date(table["last"]),
            map(_date, holidays),
            map(_date, half_days),
            Products.packaged(),
        )

    # -- days

    def covers(self, date: int) -> bool:
        """Whether the table knows the date."""
        return self.first <= date <= self.last

    def is_trading_day(self, date: int) -> bool:
        """Whether there is a regular session on the date."""
        return date in self._trading

    def is_half_day(self, date: int) -> bool:
        """Whether the regular session of the date ends at 13:00."""
        return date in self._half_days

    def next(self, date: int) -> int:
        """The first trading day after the date. Raises LookupError past the end of the table."""
        i = bisect_right(self._days, date)
        if i == len(self._days) or date < self.first:
            raise LookupError(f"no trading day after {date}: the calendar holds {self.first} to {self.last}")
        return self._days[i]

    def previous(self, date: int) -> int:
        """The last trading day before the date. Raises LookupError before the start of the table."""
        i = bisect_left(self._days, date)
        if i == 0 or date > self.last:
            raise LookupError(f"no trading day before {date}: the calendar holds {self.first} to {self.last}")
        return self._days[i - 1]

    def close_ms(self, date: int, symbol: str = "") -> int:
        """Millisecond of the New York day the regular session of a symbol ends on a trading day."""
        close = _HALF_DAY_CLOSE if date in self._half_days else _CLOSE
        return close + _LATE if self._kinds.get(symbol, 0) & _LATE_CLOSING else close

    # -- sessions

    def session(self, root: str, symbol: str, ts_utc: int) -> tuple[int, str]:  # noqa: ARG002 - lists are by underlying
        """Session date and session of a print of ``symbol`` at a UTC time."""
        return self._minute_session(self._kinds.get(symbol, 0), ts_utc // MINUTE)

    def _session(self, kind: int, minute: int) -> tuple[int, str]:
        day, ms = divmod(wall_of(minute * MINUTE), DAY)  # sessions begin and end on whole minutes
        parts, date, evening_date = self._plan(kind, day)
        name = next((name for start, end, name in parts if start <= ms < end), "closed")
        return (date if ms < _ROLL else evening_date), name

    def _plan(self, kind: int, day: int) -> tuple[tuple[_Part, ...], int, int]:
        """Sessions of a calendar day for a kind of product, and the session dates before and after the roll."""
        plan = self._plans.get((kind, day))
        if plan is None:
            date, tomorrow = date_of_day(day), date_of_day(day + 1)
            parts = [*self._parts(kind, date)] if date in self._trading else []
            if kind & _GLOBAL and tomorrow in self._trading:
                parts.append((_GTH_START, DAY, "gth"))
            evening = self._session_date_after(date)
            plan = (tuple(parts), date if date in self._trading else evening, evening)
            self._plans[kind, day] = plan
        return plan

    def _session_date_after(self, date: int) -> int:
        try:
            return self.next(date)
        except LookupError:
            return date

    def _parts(self, kind: int, date: int) -> list[_Part]:
        """Sessions of a trading day, the evening left out; the longest first."""
        half_day = date in self._half_days
        close = (_HALF_DAY_CLOSE if half_day else _CLOSE) + (_LATE if kind & _LATE_CLOSING else 0)
        extended = kind & _EXTENDED and date >= self._since
        parts = [(_OPEN, close, "regular")]
        if kind & _GLOBAL:
            parts.append((0, _BEFORE_OPEN, "gth"))
        elif extended:
            parts.append((_EARLY_START, _BEFORE_OPEN, "early"))
        curb_end = 0 if half_day else _CURB_END if kind & _GLOBAL else _CLOSE + _LATE if extended else 0
        if close < curb_end:
            parts.append((close, curb_end, "curb"))
        return parts

    def minute_bounds(self, symbol: str, session_date: int, session: str) -> tuple[int, int] | None:
        """First minute and end minute (UTC, ``ts_utc // 60000``, half-open) of a symbol's session; None when closed."""
        return self._bounds(self._kinds.get(symbol, 0), session_date, session)

    def _session_bounds(self, kind: int, session_date: int, session: str) -> tuple[int, int] | None:
        for start, end, name in self._parts(kind, session_date):
            if name == session:
                eve = date_of_day(day_of_date(session_date) - 1)
                first = utc_of(eve, _GTH_START) if name == "gth" else utc_of(session_date, start)
                return first // MINUTE, utc_of(session_date, end) // MINUTE
        return None

    def running(self, ts_utc: int) -> int | None:
        """The session date of which any session is running at a UTC time; None when all is closed."""
        day, ms = divmod(wall_of(ts_utc), DAY)
        for kind in {0, *self._kinds.values()}:
            parts, date, evening_date = self._plan(kind, day)
            if any(start <= ms < end for start, end, _ in parts):
                return date if ms < _ROLL else evening_date
        return None

    # -- expirations

    def _monthly(self, root: str, expiration: int) -> bool:
        year, month = expiration // 10_000, expiration // 100 % 100
        if root in wednesday_monthlies():
            return expiration == self._volatility_monthly(year, month)
        friday = _third_friday(year, month)
        if expiration == self._session_at_or_before(friday):
            return True
        return expiration < _SATURDAY_MONTHLIES_END and expiration == date_of_day(friday + 1)

    def _volatility_monthly(self, year: int, month: int) -> int:
        """Thirty days before the third Friday of the following month; the session before if either is a holiday."""
        friday = _third_friday(year + month // 12, month % 12 + 1)
        wednesday = friday - _VOLATILITY_DAYS
        moved = self._holiday(friday) or self._holiday(wednesday)
        return self._session_at_or_before(wednesday - 1 if moved else wednesday)

    def _holiday(self, day: int) -> bool:
        date = date_of_day(day)
        return self.covers(date) and date not in self._trading

    def _session_at_or_before(self, day: int) -> int:
        while self._holiday(day):
            day -= 1
        return date_of_day(day)


def _date(text: str) -> int:
    date = dt.date.fromisoformat(text)
    return date.year * 10_000 + date.month * 100 + date.day


def _weekday(day: int) -> int:
    return (day + 3) % 7  # 1970-01-01 was a Thursday


@lru_cache(4096)
def _third_friday(year: int, month: int) -> int:
    """The third Friday of a month, as a day since 1970."""
    first = day_of_date(year * 10_000 + month * 100 + 1)
    return first + (_FRIDAY - _weekday(first)) % 7 + 14
