"""The trading day as the terminal tells of it, and the plan that follows: what to stream, and what is known beside.

Opened for a session date, then refreshed while it lasts: contracts that begin to trade, prices that move, and open
interest, which comes at 06:30, change the plan.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Final, Protocol

from phenix.engine.enrich.clock import HOUR, MINUTE, et_of
from phenix.engine.enrich.formulas import spot_mid
from phenix.ingest.chains import list_activity, list_chains, list_contracts, list_open_interest
from phenix.ingest.planner import TRADE_STREAMS, Activity, Known, Plan, plan_contracts
from phenix.ingest.terminal.client import OpenInterestRow, StockQuote, Terminal, TerminalError
from phenix.ingest.terminal.protocol import Contract
from phenix.ingest.universe import Universe

__all__ = ["Day", "TradingDays"]

log = logging.getLogger("phenix.ingest")

_DAYS_BACK: Final = 5
_INTEREST_HOURS: Final = (6 * HOUR + 30 * MINUTE, 12 * HOUR)
"""When a date's open interest may come."""
_INTEREST_CAME: Final = (6 * HOUR + 31 * MINUTE, 6 * HOUR + 35 * MINUTE)
"""When most of it has come, and all: the messages of a root are spread over some time."""


class TradingDays(Protocol):
    """The part of the calendar a day needs."""

    def covers(self, date: int) -> bool: ...
    def is_trading_day(self, date: int) -> bool: ...
    def previous(self, date: int) -> int: ...
    def session(self, root: str, symbol: str, ts_utc: int) -> tuple[int, str]: ...


@dataclass(slots=True)
class _Known:
    """What has been told of a session date."""

    date: int = 0
    listed: set[Contract] = field(default_factory=set)
    interest: dict[Contract, int] = field(default_factory=dict)
    told: set[str] = field(default_factory=set)
    """Roots whose open interest of this date has come whole."""
    failed: set[str] = field(default_factory=set)
    """Roots whose open interest the terminal could not tell when it was last asked."""
    past: dict[Contract, Activity] = field(default_factory=dict)
    asked: tuple[int, int] = (0, 0)
    """When open interest was asked for: New York date and millisecond of the day."""


class Day:
    """One session date of one universe."""

    def __init__(
        self, terminal: Terminal, universe: Universe, calendar: TradingDays, *, budget: int = TRADE_STREAMS
    ) -> None:
        self._terminal = terminal
        self._universe = universe
        self._calendar = calendar
        self._budget = budget
        self._known = _Known()
        self._spots: dict[str, int] = {}

    @property
    def date(self) -> int:
        """The session date; 0 before it is opened."""
        return self._known.date

    @property
    def universe(self) -> Universe:
        """The symbols followed."""
        return self._universe

    def date_at(self, ts_utc: int) -> int:
        """The session date of a time: the evening session belongs to the next."""
        return self._calendar.session("SPX", "SPX", ts_utc)[0]

    def due(self, now_utc: int) -> bool:
        """Whether there is something to ask for at once: the next session date, or open interest that has come."""
        if self.date_at(now_utc) > self.date:
            return True
        now = et_of(now_utc)
        return any(self._known.asked < (self.date, at) <= now for at in _INTEREST_CAME)

    async def open(self, date: int, now_utc: int) -> list[OpenInterestRow]:
        """Begin a session date: contracts and open interest known so far.

        A terminal that plays another day is followed there: ``date`` becomes that day. Its open interest shows it (a
        live one forgets yesterday's at midnight), or contracts that have all expired. Raises TerminalError, and the
        date is still the one before.
        """
        today, roots = et_of(now_utc)[0], self._universe.roots
        if date > today and not self._calendar.is_trading_day(today):
            log.info("%s is no trading day: the next session is that of %s", today, date)
        known = _Known(date)
        before: list[int] = []
        while len(before) < _DAYS_BACK and self._calendar.covers(before[-1] if before else date):
            before.append(self._calendar.previous(before[-1] if before else date))
        known.listed.update((await list_contracts(self._terminal, roots, [date]))[1])
        traded, contracts = await list_contracts(self._terminal, roots, before)
        known.listed.update(contracts or ([] if known.listed else await list_chains(self._terminal, roots)))
        rows = await self._ask_interest(known, now_utc)
        told = max((row.date for row in rows), default=date)
        last = max((contract.expiration for contract in known.listed), default=date)
        if told < today:
            known.date = told
        elif last < date:
            known.date = traded or min(contract.expiration for contract in known.listed)
        if known.date != date:
            log.info("the terminal plays %s", known.date)
            known.told = {row.contract.root for row in rows if row.date == known.date}
        self._known = known
        return rows

    async def learn(self) -> None:
        """Ask what the contracts did in the session before: some minutes at a busy terminal."""
        try:
            before = self._calendar.previous(self.date)
        except LookupError:
            return
        known = self._known
        known.past = await list_activity(self._terminal, self._traded_roots(known), before)
        log.info("session before, %s: %s contracts traded", before, len(known.past))

    async def refresh(self, now_utc: int) -> list[OpenInterestRow]:
        """What is new of the date since: contracts that traded, prices, open interest that has come."""
        known = self._known
        try:
            known.listed.update((await list_contracts(self._terminal, self._universe.roots, [known.date]))[1])
            stocks = [symbol for symbol in self._universe.symbols if symbol not in self._universe.indices]
            self.prices(await self._terminal.stock_quotes(stocks))
        except TerminalError as error:
            log.warning("the day's listing: %s", error)
        date, ms = et_of(now_utc)
        if date == known.date and _INTEREST_HOURS[0] <= ms < _INTEREST_HOURS[1]:
            return await self._ask_interest(known, now_utc)
        return await self._ask_interest(known, now_utc, known.failed) if known.failed else []

    def prices(self, quotes: Collection[StockQuote]) -> None:
        """Take quotes of underlyings, for nearness."""
        for quote in quotes:
            if (mid := spot_mid(quote.bid, quote.ask)) is not None:
                self._spots[quote.symbol] = mid

    def plan(self, printed: Collection[Contract] = ()) -> Plan:
        """What to stream as far as is known now; ``printed`` are the contracts with prints today."""
        known = self._known
        today = Known(known.interest, known.past, self._spots, printed)
        return plan_contracts(known.listed, known.date, today, self._budget)

    def _traded_roots(self, known: _Known) -> list[str]:
        traded = {contract.root for contract in known.listed}
        return [root for root in self._universe.roots if root in traded]

    async def _ask_interest(
        self, known: _Known, now_utc: int, roots: Collection[str] | None = None
    ) -> list[OpenInterestRow]:
        """Open interest of the roots that have not told all of this date yet; only of those named, if any are."""
        known.asked = et_of(now_utc)
        whole = known.asked >= (known.date, _INTEREST_CAME[-1])
        asked = [r for r in self._traded_roots(known) if r not in known.told and (roots is None or r in roots)]
        rows, known.failed = await list_open_interest(self._terminal, asked)
        for row in rows:
            known.listed.add(row.contract)
            known.interest[row.contract] = row.open_interest
            if whole and row.date == known.date:
                known.told.add(row.contract.root)
        return rows
