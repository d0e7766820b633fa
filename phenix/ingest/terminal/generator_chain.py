"""The option chain of one generated underlying: what is listed, how likely it trades, what it is worth.

Prices follow Black and Scholes without rates (Journal of Political Economy 81, 1973) with a smile;
they only have to move plausibly with the underlying. Money is ten-thousandths of a dollar.
"""

from __future__ import annotations

import random
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date as _date
from itertools import accumulate
from math import erf, exp, log, sqrt
from typing import Final, NamedTuple

from phenix.engine.enrich.calendar import Calendar
from phenix.ingest.terminal.events import OpenInterest
from phenix.ingest.terminal.layouts import wall_at
from phenix.ingest.terminal.protocol import Contract

__all__ = ["Chain", "Listing", "Underlying"]

_DAILY: Final = frozenset({"SPX", "SPY", "QQQ", "IWM", "XSP", "NDX", "RUT"})
"""Underlyings with an expiration every trading day."""
_WEEKLY_ROOTS: Final = {"SPX": "SPXW", "NDX": "NDXP", "RUT": "RUTW", "VIX": "VIXW"}
_PENNY: Final = frozenset({"SPY", "QQQ", "IWM"})
"""Underlyings whose options trade in cents at any price."""
_STEPS: Final = ((5, 0.5), (25, 0.5), (60, 1), (120, 2.5), (300, 5), (1_000, 10), (3_000, 20), (10_000, 50))
_OWN_STEPS: Final = {"SPX": 5.0, "SPY": 1.0, "QQQ": 1.0, "IWM": 1.0, "XSP": 1.0, "NDX": 50.0, "RUT": 5.0, "VIX": 0.5}
_ROOT_2: Final = sqrt(2.0)
_OPEN_INTEREST_MS: Final = (6 * 60 + 30) * 60_000


@dataclass(frozen=True, slots=True)
class Underlying:
    """A symbol with its rough price (dollars) and yearly volatility; ``rank`` 0 trades most."""

    symbol: str
    kind: str
    price: float
    volatility: float
    rank: int


class Listing(NamedTuple):
    """A listed contract with what pricing needs."""

    contract: Contract
    strike: float
    days: int
    call: bool


def _day(date: int) -> _date:
    return _date(date // 10_000, date // 100 % 100, date % 100)


def _number(day: _date) -> int:
    return day.year * 10_000 + day.month * 100 + day.day


class Chain:
    """The contracts of an underlying listed on a date, in no particular order of listing."""

    def __init__(self, underlying: Underlying, date: int, calendar: Calendar) -> None:
        self.underlying, self.date = underlying, date
        self.listings = tuple(self._list(calendar))
        weights = [self._weight(listing) for listing in self.listings]
        self._totals = list(accumulate(weights))
        self._places = {listing.contract: i for i, listing in enumerate(self.listings)}

    # -- what is listed

    def _expirations(self, calendar: Calendar) -> Iterator[tuple[str, int]]:
        """Root and date of each expiration."""
        symbol, rank = self.underlying.symbol, self.underlying.rank
        found: dict[int, None] = {}
        if symbol in _DAILY:
            day = self.date
            for _ in range(6):
                found[day] = None
                day = calendar.next(day)
        if symbol == "VIX":
            found |= dict.fromkeys(self._weekdays(calendar, 2, 4))
        else:
            found |= dict.fromkeys(self._weekdays(calendar, 4, 6 if rank < 50 else 4))
        found |= dict.fromkeys(self._monthlies(calendar, 5 if rank < 50 else 3))
        for date in sorted(found):
            weekly = _WEEKLY_ROOTS.get(symbol)
            if weekly is None:
                yield symbol, date
                continue
            monthly = calendar.monthly(symbol, date)
            if monthly and date > self.date:  # settled in the morning: no trading on the day itself
                yield symbol, date
            if symbol in _DAILY or not monthly:
                yield weekly, date

    def _weekdays(self, calendar: Calendar, weekday: int, count: int) -> Iterator[int]:
        first = _day(self.date).toordinal()
        ahead = (weekday - _day(self.date).weekday()) % 7
        for week in range(count):
            date = _number(_date.fromordinal(first + ahead + 7 * week))
            date = date if calendar.is_trading_day(date) else calendar.previous(date)
            if date >= self.date:
                yield date

    def _monthlies(self, calendar: Calendar, count: int) -> Iterator[int]:
        """The next monthlies, and January of the two years after for long-dated contracts."""
        symbol, (year, month) = self.underlying.symbol, (self.date // 10_000, self.date // 100 % 100)
        months = [(year + (month + n - 1) // 12, (month + n - 1) % 12 + 1) for n in range(count + 1)]
        months += [(year + 1, 1), (year + 2, 1)] if symbol != "VIX" else []
        for of_year, of_month in months:
            for day in range(13, 23):
                date = of_year * 10_000 + of_month * 100 + day
                if date >= self.date and calendar.is_trading_day(date) and calendar.monthly(symbol, date):
                    yield date

    def _list(self, calendar: Calendar) -> Iterator[Listing]:
        it = self.underlying
        base = _OWN_STEPS.get(it.symbol) or next((step for limit, step in _STEPS if it.price < limit), 100.0)
        for root, expiration in self._expirations(calendar):
            days = (_day(expiration) - _day(self.date)).days
            step = base * (1 if days < 45 else 2 if days < 200 else 4)
            reach = 2.2 * it.volatility * sqrt((days + 2) / 365) * it.price
            each_side = int(min(max(reach / step, 5), 25 if it.rank < 12 else 12))
            middle = round(it.price / step)
            for n in range(max(1, middle - each_side), middle + each_side + 1):
                strike = n * step
                for right in ("CALL", "PUT"):
                    contract = Contract("OPTION", root, expiration, round(strike * 10_000), right)
                    yield Listing(contract, strike, days, right == "CALL")

    # -- how likely it trades

    def _weight(self, listing: Listing) -> float:
        it = self.underlying
        spread = it.volatility * sqrt((listing.days + 1) / 252)
        distance = log(listing.strike / it.price) / spread - (0.35 if listing.call else -0.35)
        near = exp(-listing.days / 12) + 0.08 * exp(-listing.days / 120) + 0.004
        taste = 1.25 if listing.call == (it.kind != "index") else 1.0
        return near * taste * exp(-0.5 * (distance / 0.8) ** 2) + 1e-6

    def pick(self, rng: random.Random) -> int:
        """Position of a contract, drawn by how much it trades."""
        return bisect_left(self._totals, rng.random() * self._totals[-1])

    def neighbour(self, rng: random.Random, place: int) -> int:
        """Position of another contract near one: another leg of the same order."""
        jump = rng.choice((-4, -2, -1, 1, 2, 4))  # neighbours in the list: the other right, or the next strikes
        return min(max(place + jump, 0), len(self.listings) - 1)

    def open_interest(self, rng: random.Random) -> Iterator[OpenInterest]:
        """Open interest of most contracts, told about 06:30."""
        wall = wall_at(self.date, _OPEN_INTEREST_MS)
        scale = 40_000 / (1 + self.underlying.rank) ** 0.6
        largest = max(self._weight(listing) for listing in self.listings)
        for listing in self.listings:
            level, luck, at = self._weight(listing) / largest, rng.gauss(0, 1.3), rng.randrange(60_000)
            interest = int(scale * (0.02 + level) * exp(luck) / 4)
            if interest and rng.random() < 0.93:
                yield OpenInterest(wall + at, listing.contract, interest)

    # -- what it is worth

    def quote(self, listing: Listing, spot: float, day_left: float) -> tuple[int, int, int]:
        """Bid, ask and tick of a contract with the underlying at ``spot``; ``day_left`` is a share of a day."""
        value = self._value(listing, spot, day_left)
        tick = self._tick(value)
        width = 0.006 if self.underlying.rank < 20 else 0.02
        half = value * width + tick / 25_000
        bid = max(0, int((value - half) * 10_000) // tick * tick)
        ask = -(-int((value + half) * 10_000) // tick) * tick
        return bid, max(ask, bid + tick), tick

    def _tick(self, value: float) -> int:
        symbol = self.underlying.symbol
        if symbol in _PENNY:
            return 100
        if self.underlying.kind == "index":
            return 500 if value < 3 else 1000
        return 100 if value < 3 else 500

    def _value(self, listing: Listing, spot: float, day_left: float) -> float:
        strike = listing.strike
        years = max(listing.days + day_left, 0.01) / 365
        away = log(strike / spot)
        smile = 1 - 0.6 * away + 1.5 * away * away
        deviation = self.underlying.volatility * min(max(smile, 0.5), 2.5) * sqrt(years)
        d1 = -away / deviation + deviation / 2
        n1, n2 = 0.5 * (1 + erf(d1 / _ROOT_2)), 0.5 * (1 + erf((d1 - deviation) / _ROOT_2))
        call = spot * n1 - strike * n2
        return call if listing.call else call - spot + strike
