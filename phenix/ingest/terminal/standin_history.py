"""Option history: what the tape had, as far as it has been played."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from phenix.engine.enrich.conditions import condition
from phenix.ingest.terminal.events import OpenInterest, Print, Quote, UnderlyingQuote
from phenix.ingest.terminal.layouts import (
    CONTRACT_COLUMNS,
    DAY_MS,
    OPEN_INTEREST_COLUMNS,
    QUOTE_COLUMNS,
    TRADE_COLUMNS,
    TRADE_QUOTE_COLUMNS,
    date_of,
    stamp_text,
    wall_at,
)
from phenix.ingest.terminal.protocol import Contract
from phenix.ingest.terminal.standin_greeks import FIRST_ORDER, HIGHER_ORDER, Option, first_order, higher_order, implied
from phenix.ingest.terminal.standin_params import Params, dates_of, invalid, need, time_of
from phenix.ingest.terminal.standin_world import (
    EMPTY_BOOK,
    Steps,
    Table,
    World,
    book_of,
    by_contract,
    chain_of,
    days_of,
    id_of,
    interval_of,
    played,
)

__all__ = [
    "SOFR", "at_time_quote", "at_time_trade", "eod", "eod_greeks", "interest_of", "ohlc", "open_interest", "quote",
    "rate_of", "trade", "trade_of", "trade_quote", "volatility",
]  # fmt: skip

_EXT: Final = (255, 255, 255, 255)
_BAR: Final = ("open", "high", "low", "close", "volume", "count")
SOFR: Final = "4.2"
"""Interest of the vendor's published example."""
_EOD_MS: Final = (17 * 60 + 15) * 60_000
"""When a day's report is made."""

_Rows = Iterator[tuple[Contract, tuple[Any, ...]]]


def trade_of(event: Print) -> tuple[Any, ...]:
    """The columns of a trade, from its sequence on."""
    return event.sequence, *_EXT, event.condition, event.size, event.exchange, event.price


def rate_of(params: Params) -> float:
    """The yearly interest a greeks request names in percent, as a share; without one :data:`SOFR`."""
    text = params.get("rate_value") or SOFR
    try:
        rate = float(text)
    except ValueError:
        rate = float("nan")
    if not -100 < rate < 100:
        raise invalid(f"Invalid value for rate_value: {text}")
    return rate / 100


# -- prints


def _prints(world: World, params: Params) -> Iterator[Print]:
    chosen, days = chain_of(world, params), days_of(world, params)
    start, end = time_of(params, "start_time", "09:30:00"), time_of(params, "end_time", "16:00:00")
    for event in played(world, params, days):
        if isinstance(event, Print) and start <= event.wall % DAY_MS <= end and chosen(event.contract):
            yield event


def trade(world: World, params: Params) -> Table:
    """``option/history/trade``."""
    rows = ((e.contract, (*id_of(e.contract), stamp_text(e.wall), *trade_of(e))) for e in _prints(world, params))
    return Table((*CONTRACT_COLUMNS, "timestamp", *TRADE_COLUMNS), by_contract(rows), grouped=True)


def trade_quote(world: World, params: Params) -> Table:
    """``option/history/trade_quote``: prints with the quote before them; those without one are left out."""
    if (params.get("exclusive") or "true").lower() not in {"true", "false"}:
        raise invalid(f"Invalid value for exclusive: {params['exclusive']}")
    rows = ((e.contract, _trade_quote(e, e.quote)) for e in _prints(world, params) if e.quote)
    return Table(TRADE_QUOTE_COLUMNS, by_contract(rows), grouped=True)


def _trade_quote(event: Print, quote: Quote) -> tuple[Any, ...]:
    return (*id_of(event.contract), stamp_text(event.wall), stamp_text(quote.wall), *trade_of(event), *book_of(quote))


# -- quotes; a tape has those that stood before its prints


def _day_quotes(world: World, params: Params, days: tuple[int, int], *, star: bool) -> dict[Contract, list[Quote]]:
    """Quotes by contract in order of time, a repeated one once."""
    chosen = chain_of(world, params, star=star)
    found: dict[Contract, list[Quote]] = {}
    for event in played(world, params, days):
        if isinstance(event, Print) and event.quote is not None and chosen(event.contract):
            found.setdefault(event.contract, []).append(event.quote)
    return {contract: sorted(set(quotes)) for contract, quotes in found.items()}


def _sampled(quotes: list[Quote], steps: Steps, until: int) -> Iterator[tuple[int, Quote | None]]:
    """The last quote of the day at each step, None before the first; of days that have any."""
    at = 0
    for day in sorted({quote.wall // DAY_MS for quote in quotes}):
        last: Quote | None = None
        for moment in steps.of(day, until):
            while at < len(quotes) and quotes[at].wall <= moment:
                last = quotes[at] if quotes[at].wall // DAY_MS == day else last
                at += 1
            yield moment, last


def quote(world: World, params: Params) -> Table:
    """``option/history/quote``: every quote, or the last at each step; an empty book before the first."""
    days = days_of(world, params)
    steps = interval_of(params, days)

    def rows() -> _Rows:
        found = _day_quotes(world, params, days, star=True)
        steps.check(len(found), 1 + (wall_at(days[1], 0) - wall_at(days[0], 0)) // DAY_MS)
        for contract, quotes in found.items():
            if not steps.every:
                for it in quotes:
                    if steps.start <= it.wall % DAY_MS <= steps.end:
                        yield contract, (*id_of(contract), stamp_text(it.wall), *book_of(it))
                continue
            for moment, last in _sampled(quotes, steps, world.market.wall):
                book = EMPTY_BOOK if last is None else book_of(last)
                yield contract, (*id_of(contract), stamp_text(moment), *book)

    return Table((*CONTRACT_COLUMNS, "timestamp", *QUOTE_COLUMNS), by_contract(rows()), grouped=True)


def _spots(world: World, params: Params, days: tuple[int, int]) -> list[UnderlyingQuote]:
    """Quotes of the underlying, in order of time; the symbol may be a root such as SPXW."""
    symbol = world.source.underlying_of(need(params, "symbol"))
    return [e for e in played(world, {**params, "symbol": symbol}, days) if isinstance(e, UnderlyingQuote)]


def volatility(world: World, params: Params, *, greeks: bool = False) -> Table:
    """``option/history/greeks/implied_volatility``, or ``first_order`` with ``greeks``, at each step with a quote."""
    days = days_of(world, params)
    steps, rate = interval_of(params, days, tick=False), rate_of(params)
    found = _day_quotes(world, params, days, star=False)
    steps.check(len(found), 1)
    spots = _spots(world, params, days)

    def rows() -> _Rows:
        for contract, quotes in found.items():
            place = 0
            for moment, last in _sampled(quotes, steps, world.market.wall):
                while place + 1 < len(spots) and spots[place + 1].wall <= moment:
                    place += 1
                if last is None or not spots or spots[place].wall > moment:
                    continue
                spot = (spots[place].bid + spots[place].ask) // 2
                option, mid = Option.at(contract, moment, spot, rate), (last.bid + last.ask) // 2
                solved = implied(option, mid)
                stamp = stamp_text(moment)
                if greeks:
                    values = (last.bid, last.ask, *first_order(option, solved[0], mid), *solved)
                else:
                    bid, ask = implied(option, last.bid)[0], implied(option, last.ask)[0]
                    values = (last.bid, bid, mid, solved[0], last.ask, ask, solved[1])
                yield contract, (*id_of(contract), stamp, *values, stamp_text(spots[place].wall), spot)

    middle = (
        ("bid", "ask", *FIRST_ORDER, "implied_vol", "iv_error")
        if greeks
        else ("bid", "bid_implied_vol", "midpoint", "implied_vol", "ask", "ask_implied_vol", "iv_error")
    )
    columns = (*CONTRACT_COLUMNS, "timestamp", *middle, "underlying_timestamp", "underlying_price")
    return Table(columns, by_contract(rows()), grouped=True)


# -- bars


def _bar(prints: list[Print]) -> tuple[int, ...]:
    """Open, high, low, close, volume, count and vwap; cancels are left out, zeros where nothing traded."""
    counted = [event for event in prints if not condition(event.condition).cancel]
    if not counted:
        return (0,) * 7
    prices = [event.price for event in counted]
    volume = sum(event.size for event in counted)
    paid = sum(event.price * event.size for event in counted)
    return prices[0], max(prices), min(prices), prices[-1], volume, len(counted), round(paid / volume / 100) * 100


def ohlc(world: World, params: Params) -> Table:
    """``option/history/ohlc``: a bar for each step of a day the contract traded, zeros where it did not."""
    chosen, days = chain_of(world, params, star=False), days_of(world, params)
    steps = interval_of(params, days, tick=False)
    bars: dict[Contract, dict[int, list[Print]]] = {}
    for event in played(world, params, days):
        if isinstance(event, Print) and chosen(event.contract):
            start = event.wall // DAY_MS * DAY_MS + steps.start
            moment = start + (event.wall - start) // steps.every * steps.every
            bars.setdefault(event.contract, {}).setdefault(moment, []).append(event)
    steps.check(len(bars), 1 + (wall_at(days[1], 0) - wall_at(days[0], 0)) // DAY_MS)
    rows = (
        (*id_of(contract), stamp_text(moment), *_bar(found.get(moment, [])))
        for contract, found in bars.items()
        for day in sorted({moment // DAY_MS for moment in found})
        for moment in steps.of(day, world.market.wall)
        if moment % DAY_MS < steps.end
    )
    return Table((*CONTRACT_COLUMNS, "timestamp", *_BAR, "vwap"), rows, grouped=True)


def _reported(world: World, params: Params) -> Iterator[tuple[Contract, int, list[Print]]]:
    """Prints of each contract on each day whose report is made."""
    chosen, days = chain_of(world, params), days_of(world, params, star_range=True)
    found: dict[tuple[Contract, int], list[Print]] = {}
    for event in played(world, params, days):
        day = event.wall // DAY_MS
        if isinstance(event, Print) and chosen(event.contract) and day * DAY_MS + _EOD_MS <= world.market.wall:
            found.setdefault((event.contract, day), []).append(event)
    for (contract, day), prints in found.items():
        yield contract, day, prints


def _closing_book(prints: list[Print]) -> tuple[int, ...]:
    last = prints[-1].quote
    return EMPTY_BOOK if last is None else book_of(last)


def eod(world: World, params: Params) -> Table:
    """``option/history/eod``: days whose report is made, at 17:15, of the contracts that traded."""
    rows = (
        (contract, (*id_of(contract), stamp_text(day * DAY_MS + _EOD_MS), stamp_text(prints[-1].wall),
                    *_bar(prints)[:6], *_closing_book(prints)))
        for contract, day, prints in _reported(world, params)
    )  # fmt: skip
    columns = (*CONTRACT_COLUMNS, "created", "last_trade", *_BAR, *QUOTE_COLUMNS)
    return Table(columns, by_contract(rows), grouped=True)


def eod_greeks(world: World, params: Params) -> Table:
    """``option/history/greeks/eod``: the report with all greeks, from the mid of the last quote and the spot then.

    Which moment the vendor's ``timestamp`` is has not been published: here it is that of the last print.
    """
    rate, days = rate_of(params), days_of(world, params, star_range=True)
    spots = _spots(world, params, days)

    def rows() -> _Rows:
        for contract, day, prints in _reported(world, params):
            at, book = prints[-1].wall, _closing_book(prints)
            spot = next((it for it in reversed(spots) if day * DAY_MS <= it.wall <= at), None)
            if spot is None:
                continue
            middle, mid = (spot.bid + spot.ask) // 2, (book[2] + book[6]) // 2
            option = Option.at(contract, at, middle, rate)
            solved = implied(option, mid)
            greeks = (*first_order(option, solved[0], mid), *higher_order(option, solved[0]))
            bar = (stamp_text(at), *_bar(prints)[:6])
            yield contract, (*id_of(contract), *bar, *book, *greeks, *solved, stamp_text(spot.wall), middle)

    columns = (
        *CONTRACT_COLUMNS, "timestamp", *_BAR, *QUOTE_COLUMNS, *FIRST_ORDER, *HIGHER_ORDER, "implied_vol", "iv_error",
        "underlying_timestamp", "underlying_price",
    )  # fmt: skip
    return Table(columns, by_contract(rows()), grouped=True)


# -- open interest, and single moments


def interest_of(world: World, params: Params) -> list[OpenInterest]:
    """Open interest of the contracts that are asked for, as far as it has been told: about 06:30 of its day."""
    if not world.interest:
        by_root: dict[str, list[OpenInterest]] = {}
        for row in world.source.open_interest():
            by_root.setdefault(row.contract.root, []).append(row)
        world.interest.update(by_root)  # at once: requests run on several threads
    chosen, now = chain_of(world, params), world.market.wall
    found = world.interest.get(need(params, "symbol"), [])
    return [row for row in found if chosen(row.contract) and (not now or row.wall <= now)]


def open_interest(world: World, params: Params) -> Table:
    """``option/history/open_interest``."""
    first, last = dates_of(params)
    found = [row for row in interest_of(world, params) if first <= date_of(row.wall) <= last]
    rows = [(*id_of(row.contract), stamp_text(row.wall), row.open_interest) for row in found]
    return Table(OPEN_INTEREST_COLUMNS, rows, grouped=True)


def _last_of_days(world: World, params: Params) -> list[Print]:
    """The last print of each contract and day at or before the time of day, in order of time."""
    days = days_of(world, {**params, "date": ""}, star_range=True)
    need(params, "time_of_day")
    moment, chosen = time_of(params, "time_of_day", ""), chain_of(world, params)
    last: dict[tuple[Contract, int], Print] = {}
    for event in played(world, params, days, until=moment):
        if isinstance(event, Print) and chosen(event.contract):
            last[event.contract, event.wall // DAY_MS] = event
    return sorted(last.values(), key=lambda event: event.wall)


def at_time_trade(world: World, params: Params) -> Table:
    """``option/at_time/trade``."""
    found = _last_of_days(world, params)
    rows = ((e.contract, (*id_of(e.contract), stamp_text(e.wall), *trade_of(e))) for e in found)
    return Table((*CONTRACT_COLUMNS, "timestamp", *TRADE_COLUMNS), by_contract(rows), grouped=True)


def at_time_quote(world: World, params: Params) -> Table:
    """``option/at_time/quote``."""
    found = _last_of_days(world, params)
    rows = ((e.contract, (*id_of(e.contract), stamp_text(e.quote.wall), *book_of(e.quote))) for e in found if e.quote)
    return Table((*CONTRACT_COLUMNS, "timestamp", *QUOTE_COLUMNS), by_contract(rows), grouped=True)
