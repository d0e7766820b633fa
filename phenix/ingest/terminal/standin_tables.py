"""What each REST endpoint of the stand-in answers: a function of its parameters to columns and rows.

Rows hold stored units: text, integers, and money in ten-thousandths (the columns of :data:`MONEY`).
A request that cannot be answered is a :class:`Refusal` with the vendor's status code.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date as _date
from enum import StrEnum
from typing import Any, Final

from phenix.engine.enrich.calendar import Calendar
from phenix.ingest.terminal.entitlements import Entitlements, Tier
from phenix.ingest.terminal.events import OpenInterest, Print, Quote, Source, UnderlyingQuote
from phenix.ingest.terminal.layouts import (
    DAY_MS,
    OPEN_INTEREST_COLUMNS,
    STOCK_QUOTE_COLUMNS,
    TRADE_QUOTE_COLUMNS,
    date_of,
    date_text,
    stamp_text,
    wall_at,
)
from phenix.ingest.terminal.market import DELAY_MS, Market
from phenix.ingest.terminal.protocol import Contract
from phenix.ingest.terminal.standin_params import (
    Params,
    Refusal,
    RefusedError,
    a_date,
    count_of,
    dates_of,
    days_to,
    invalid,
    need,
    symbols_of,
    time_of,
)

__all__ = ["MONEY", "TABLES", "SameDay", "Table", "World"]

MONEY: Final = frozenset({"strike", "price", "bid", "ask", "open", "high", "low", "close"})
NO_DATA: Final = "No data found for your request"
_CONTRACT: Final = ("symbol", "expiration", "strike", "right")
_QUOTE: Final = STOCK_QUOTE_COLUMNS[2:]
_EXT: Final = (255, 255, 255, 255)
_INTERVALS: Final = {
    "10ms": 10, "100ms": 100, "500ms": 500, "1s": 1_000, "5s": 5_000, "10s": 10_000, "15s": 15_000, "30s": 30_000,
    "1m": 60_000, "5m": 300_000, "10m": 600_000, "15m": 900_000, "30m": 1_800_000, "1h": 3_600_000,
}  # fmt: skip


class SameDay(StrEnum):
    """Whether history of the day being played is served; the truth about the real one is unresolved."""

    AVAILABLE = "available"
    LOCKED = "locked"


@dataclass(frozen=True, slots=True)
class Table:
    """An answer: column names and rows; ``grouped`` ones nest by contract in JSON, ``money`` columns are scaled."""

    columns: tuple[str, ...]
    rows: Iterable[tuple[Any, ...]]
    grouped: bool = False
    money: frozenset[str] = MONEY


@dataclass(frozen=True, slots=True)
class World:
    """What the endpoints look at."""

    source: Source
    market: Market
    calendar: Calendar
    entitlements: Entitlements
    same_day: SameDay
    interest: dict[str, list[OpenInterest]] = field(default_factory=dict)
    """Open interest by root, filled when first asked for: a client asks root by root."""

    @property
    def today(self) -> int:
        """The date of the playing clock; before playback the first date of the tape."""
        dates = self.source.dates
        return date_of(self.market.wall) if self.market.wall else (dates[0] if dates else 19700101)


def _chain(world: World, params: Params, *, symbol: str | None = None) -> Callable[[Contract], bool]:
    """A test for the contracts that symbol, expiration, strike, right and max_dte choose."""
    root = symbol or need(params, "symbol")
    expiration = need(params, "expiration")
    wanted_expiration = None if expiration == "*" else a_date(expiration, "expiration")
    strike = params.get("strike") or "*"
    try:
        wanted_strike = None if strike == "*" else round(float(strike) * 10_000)
    except (ValueError, OverflowError):
        raise invalid(f"Invalid value for strike: {strike}") from None
    right = (params.get("right") or "both").lower()
    rights = {"call": "CALL", "c": "CALL", "put": "PUT", "p": "PUT", "both": ""}
    if right not in rights:
        raise invalid(f"Invalid value for right: {right}")
    max_dte = count_of(params, "max_dte", 0)
    today = world.today

    def chosen(contract: Contract) -> bool:
        return (
            contract.root == root
            and wanted_expiration in {None, contract.expiration}
            and wanted_strike in {None, contract.strike}
            and rights[right] in {"", contract.right}
            and (max_dte is None or 0 <= days_to(contract.expiration, today) <= max_dte)
        )

    return chosen


def _played(world: World, params: Params) -> tuple[int, int]:
    """The requested dates; refuses today where its history is locked."""
    first, last = dates_of(params)
    if world.same_day is SameDay.LOCKED and last >= world.today:
        raise RefusedError(472, NO_DATA)
    if first != last and params.get("expiration") == "*":
        raise invalid("expiration=* is only supported for a single day")
    if wall_at(last, 0) - wall_at(first, 0) > 31 * DAY_MS:
        raise invalid("Requests are limited to one month of data")
    return first, last


def _id(contract: Contract) -> tuple[Any, ...]:
    return contract.root, date_text(contract.expiration), contract.strike, contract.right


def _by_contract(rows: Iterable[tuple[Contract, tuple[Any, ...]]]) -> Iterator[tuple[Any, ...]]:
    """Rows grouped by contract, in time order inside one, as the vendor answers."""
    groups: dict[Contract, list[tuple[Any, ...]]] = {}
    for contract, row in rows:
        groups.setdefault(contract, []).append(row)
    for group in groups.values():
        yield from group


def _book(quote: Quote | UnderlyingQuote) -> tuple[int, ...]:
    return (
        quote.bid_size, quote.bid_exchange, quote.bid, quote.bid_condition,
        quote.ask_size, quote.ask_exchange, quote.ask, quote.ask_condition,
    )  # fmt: skip


# -- option lists


def _option_symbols(world: World, _params: Params) -> Table:
    return Table(("symbol",), [(root,) for root in sorted({contract.root for contract in world.source.contracts()})])


def _expirations(world: World, params: Params) -> Table:
    roots = symbols_of(params)
    found = {(c.root, date_text(c.expiration)) for c in world.source.contracts() if c.root in roots}
    return Table(("symbol", "expiration"), sorted(found))


def _strikes(world: World, params: Params) -> Table:
    roots, expiration = symbols_of(params), a_date(need(params, "expiration"), "expiration")
    contracts = world.source.contracts()
    found = sorted({(c.root, c.strike) for c in contracts if c.root in roots and c.expiration == expiration})
    random.Random(expiration).shuffle(found)  # noqa: S311 -- the vendor's lists are unsorted
    return Table(("symbol", "strike"), found)


def _contracts(world: World, params: Params) -> Table:
    date = a_date(need(params, "date"), "date")
    roots = set(symbols_of(params)) if params.get("symbol") else None
    max_dte = count_of(params, "max_dte", 0)
    if date not in world.source.dates:
        raise RefusedError(472, NO_DATA)
    found = [
        _id(contract)
        for contract in world.source.contracts()
        if (roots is None or contract.root in roots)
        and (max_dte is None or 0 <= days_to(contract.expiration, date) <= max_dte)
    ]
    return Table(_CONTRACT, sorted(found))


# -- option snapshots and history


def _interest_rows(rows: Iterable[OpenInterest], *, stamp_first: bool) -> Iterator[tuple[Any, ...]]:
    for row in rows:
        stamp = stamp_text(row.wall)
        yield (stamp, *_id(row.contract), row.open_interest) if stamp_first else (
            *_id(row.contract), stamp, row.open_interest,
        )  # fmt: skip


def _interest_of(world: World, params: Params) -> list[OpenInterest]:
    if not world.interest:
        by_root: dict[str, list[OpenInterest]] = {}
        for row in world.source.open_interest():
            by_root.setdefault(row.contract.root, []).append(row)
        world.interest.update(by_root)  # at once: requests run on several threads
    return world.interest.get(need(params, "symbol"), [])


def _snapshot_open_interest(world: World, params: Params) -> Table:
    chosen, today = _chain(world, params), world.today
    rows = (row for row in _interest_of(world, params) if date_of(row.wall) == today and chosen(row.contract))
    return Table(("timestamp", *_CONTRACT, "open_interest"), _interest_rows(rows, stamp_first=True), grouped=True)


def _history_open_interest(world: World, params: Params) -> Table:
    chosen, (first, last) = _chain(world, params), dates_of(params)
    rows = (row for row in _interest_of(world, params) if first <= date_of(row.wall) <= last and chosen(row.contract))
    return Table(OPEN_INTEREST_COLUMNS, _interest_rows(rows, stamp_first=False), grouped=True)


def _snapshot_quote(world: World, params: Params) -> Table:
    chosen = _chain(world, params)
    rows = [(stamp_text(q.wall), *_id(c), *_book(q)) for c, q in world.market.quotes.items() if chosen(c)]
    return Table(("timestamp", *_CONTRACT, *_QUOTE), rows, grouped=True)


def _trade(event: Print) -> tuple[Any, ...]:
    return event.sequence, *_EXT, event.condition, event.size, event.exchange, event.price


def _snapshot_trade(world: World, params: Params) -> Table:
    if params.get("expiration") == "*":
        raise invalid("expiration=* is not supported by this endpoint")
    chosen = _chain(world, params)
    rows = [(*_id(c), stamp_text(t.wall), *_trade(t)) for c, t in world.market.trades.items() if chosen(c)]
    return Table((*_CONTRACT, "timestamp", *TRADE_QUOTE_COLUMNS[6:15]), rows, grouped=True)


def _snapshot_ohlc(world: World, params: Params) -> Table:
    chosen = _chain(world, params)
    rows = [
        (stamp_text(world.market.trades[c].wall), *_id(c), *bar) for c, bar in world.market.bars.items() if chosen(c)
    ]
    return Table(("timestamp", *_CONTRACT, "open", "high", "low", "close", "volume", "count"), rows, grouped=True)


def _prints(world: World, params: Params) -> Iterator[Print]:
    chosen, (first, last) = _chain(world, params), _played(world, params)
    start, end = time_of(params, "start_time", "09:30:00"), time_of(params, "end_time", "16:00:00")
    if not any(first <= date <= last for date in world.source.dates):
        return
    for event in world.source.events(need(params, "symbol")):
        if event.wall > world.market.wall:
            return
        if (
            isinstance(event, Print)
            and first <= date_of(event.wall) <= last
            and start <= event.wall % DAY_MS <= end
            and chosen(event.contract)
        ):
            yield event


def _history_trade_quote(world: World, params: Params) -> Table:
    rows = ((event.contract, _trade_quote(event, event.quote)) for event in _prints(world, params) if event.quote)
    return Table(TRADE_QUOTE_COLUMNS, _by_contract(rows), grouped=True)


def _trade_quote(event: Print, quote: Quote) -> tuple[Any, ...]:
    return (*_id(event.contract), stamp_text(event.wall), stamp_text(quote.wall), *_trade(event), *_book(quote))


def _history_trade(world: World, params: Params) -> Table:
    rows = (
        (event.contract, (*_id(event.contract), stamp_text(event.wall), *_trade(event)))
        for event in _prints(world, params)
    )
    return Table((*_CONTRACT, "timestamp", *TRADE_QUOTE_COLUMNS[6:15]), _by_contract(rows), grouped=True)


# -- stocks


def _stock_symbols(world: World, _params: Params) -> Table:
    roots = {world.source.underlying_of(contract.root) for contract in world.source.contracts()}
    return Table(("symbol",), [(name,) for name in sorted(roots)])


def _delayed(world: World) -> bool:
    return world.entitlements.stocks < Tier.STANDARD


def _stock_snapshot_quote(world: World, params: Params) -> Table:
    _venue(params)
    names = world.market.symbols() if params.get("symbol") == "*" else symbols_of(params)
    found = [(name, world.market.underlying(name, delayed=_delayed(world))) for name in names]
    rows = [(stamp_text(quote.wall), name, *_book(quote)) for name, quote in found if quote is not None]
    return Table(STOCK_QUOTE_COLUMNS, rows)


def _venue(params: Params) -> None:
    if params.get("venue", "nqb") not in {"nqb", "utp_cta"}:
        raise invalid(f"Invalid value for venue: {params['venue']}")


def _stock_history_quote(world: World, params: Params) -> Table:
    _venue(params)
    symbol, (first, last) = need(params, "symbol"), _played(world, params)
    interval = params.get("interval") or "1s"
    if interval != "tick" and interval not in _INTERVALS:
        raise invalid(f"Invalid value for interval: {interval}")
    if _delayed(world) and _INTERVALS.get(interval, 0) < 60_000:
        raise RefusedError(471, "A Stocks Standard subscription is required for intervals below one minute")
    start, end = time_of(params, "start_time", "09:30:00"), time_of(params, "end_time", "16:00:00")
    until = world.market.wall - (DELAY_MS if _delayed(world) else 0)
    quotes = [
        event
        for event in world.source.events(symbol)
        if isinstance(event, UnderlyingQuote) and event.wall <= until and first <= date_of(event.wall) <= last
    ]
    if interval == "tick":
        rows = [(stamp_text(q.wall), *_book(q)) for q in quotes if start <= q.wall % DAY_MS <= end]
    else:
        rows = list(_sampled(quotes, start, end, _INTERVALS[interval], until))
    return Table(("timestamp", *_QUOTE), rows)


def _sampled(quotes: list[UnderlyingQuote], start: int, end: int, step: int, until: int) -> Iterator[tuple[Any, ...]]:
    """The last quote at each step of each day."""
    at = 0
    for day in sorted({quote.wall // DAY_MS for quote in quotes}):
        book = (0, 0, 0, 0, 0, 0, 0, 0)
        for moment in range(day * DAY_MS + start, min(day * DAY_MS + end, until) + 1, step):
            while at < len(quotes) and quotes[at].wall <= moment:
                book = _book(quotes[at])  # type: ignore[assignment] # eight integers
                at += 1
            yield (stamp_text(moment), *book)


# -- calendar


def _day(world: World, date: int) -> tuple[str, str, str]:
    if not world.calendar.covers(date):
        raise RefusedError(472, NO_DATA)
    if _date(date // 10_000, date // 100 % 100, date % 100).weekday() >= 5:
        return "weekend", "", ""
    if not world.calendar.is_trading_day(date):
        return "full_close", "", ""
    if world.calendar.is_half_day(date):
        return "early_close", "09:30:00", "13:00:00"
    return "open", "09:30:00", "16:00:00"


def _calendar_today(world: World, _params: Params) -> Table:
    return Table(("type", "open", "close"), [_day(world, world.today)], money=frozenset())


def _calendar_on_date(world: World, params: Params) -> Table:
    return Table(("type", "open", "close"), [_day(world, a_date(need(params, "date"), "date"))], money=frozenset())


def _year_holidays(world: World, params: Params) -> Table:
    year = count_of(params, "year", 2012)
    if year is None:
        raise invalid("Missing required parameter: year")
    if year > world.today // 10_000 + 1:
        raise invalid(f"Invalid value for year: {year}")
    first = _date(year, 1, 1).toordinal()
    days = [_date.fromordinal(first + n) for n in range(_date(year, 12, 31).toordinal() - first + 1)]
    rows = [(day.isoformat(), *_day(world, day.year * 10_000 + day.month * 100 + day.day)) for day in days]
    closures = [row for row in rows if row[1] in {"early_close", "full_close"}]
    return Table(("date", "type", "open", "close"), closures, money=frozenset())


Endpoint = Callable[[World, Params], Table]
_ENDPOINTS: Final[dict[str, Endpoint]] = {
    "/option/list/symbols": _option_symbols,
    "/option/list/expirations": _expirations,
    "/option/list/strikes": _strikes,
    "/option/list/contracts/trade": _contracts,
    "/option/list/contracts/quote": _contracts,
    "/option/snapshot/open_interest": _snapshot_open_interest,
    "/option/snapshot/quote": _snapshot_quote,
    "/option/snapshot/trade": _snapshot_trade,
    "/option/snapshot/ohlc": _snapshot_ohlc,
    "/option/history/open_interest": _history_open_interest,
    "/option/history/trade_quote": _history_trade_quote,
    "/option/history/trade": _history_trade,
    "/stock/list/symbols": _stock_symbols,
    "/stock/snapshot/quote": _stock_snapshot_quote,
    "/stock/history/quote": _stock_history_quote,
    "/calendar/today": _calendar_today,
    "/calendar/on_date": _calendar_on_date,
    "/calendar/year_holidays": _year_holidays,
}


def _answer(endpoint: Endpoint) -> Callable[[World, Params], Table | Refusal]:
    def answer(world: World, params: Params) -> Table | Refusal:
        try:
            table = endpoint(world, params)
            rows = list(table.rows)
        except RefusedError as refused:
            return refused.refusal
        return Table(table.columns, rows, table.grouped, table.money) if rows else Refusal(472, NO_DATA)

    return answer


TABLES: Final[dict[str, Callable[[World, Params], Table | Refusal]]] = {
    path: _answer(endpoint) for path, endpoint in _ENDPOINTS.items()
}
"""Answer by path under ``/v3``; an empty answer is the vendor's 472."""
