"""Indices: price reports, which are the mids of the tape's quotes of them; one that repeats the last is left out.

Columns are the vendor's; an index has no volume, no count and no quotes, so those are 0.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from phenix.engine.enrich.tables import read_table
from phenix.ingest.terminal.events import UnderlyingQuote
from phenix.ingest.terminal.layouts import DAY_MS, QUOTE_COLUMNS, TRADE_COLUMNS, date_of, date_text, stamp_text
from phenix.ingest.terminal.standin_params import Params, need, symbols_of, time_of
from phenix.ingest.terminal.standin_world import Table, World, days_of, interval_of

__all__ = [
    "at_time_price",
    "dates",
    "eod",
    "market_value",
    "ohlc",
    "price",
    "snapshot_ohlc",
    "snapshot_price",
    "symbols",
]

_INDICES: Final = frozenset(read_table("universe")["classes"]["index"])
_BAR: Final = ("open", "high", "low", "close", "volume", "count")
_UNUSED, _CBOE = 255, 5
"""A condition there is none of, and the exchange that reports."""
_EOD_MS: Final = (17 * 60 + 15) * 60_000

Report = tuple[int, int]
"""Wall time and price."""


def _listed(world: World) -> list[str]:
    return sorted(_INDICES & {world.source.underlying_of(contract.root) for contract in world.source.contracts()})


def _mid(quote: UnderlyingQuote) -> int:
    return (quote.bid + quote.ask) // 200 * 100


def _reports(world: World, symbol: str, days: tuple[int, int]) -> list[Report]:
    """Price reports that were played on these days."""
    found: list[Report] = []
    for event in world.source.events(symbol) if symbol in _INDICES else ():
        if event.wall > world.market.wall:
            break
        if isinstance(event, UnderlyingQuote) and days[0] <= date_of(event.wall) <= days[1]:
            report = event.wall, _mid(event)
            if not found or report[1] != found[-1][1] or report[0] // DAY_MS != found[-1][0] // DAY_MS:
                found.append(report)
    return found


def _bar(reports: Sequence[Report]) -> tuple[int, ...]:
    prices = [price for _, price in reports]
    return (prices[0], max(prices), min(prices), prices[-1], 0, 0) if prices else (0,) * len(_BAR)


def symbols(world: World, _params: Params) -> Table:
    """``index/list/symbols``."""
    return Table(("symbol",), [(name,) for name in _listed(world)])


def dates(world: World, params: Params) -> Table:
    """``index/list/dates``."""
    found = world.source.dates if need(params, "symbol") in _listed(world) else ()
    return Table(("date",), [(date_text(date),) for date in found])


def _latest(world: World, params: Params) -> Iterator[tuple[str, UnderlyingQuote]]:
    names = world.market.symbols() if params.get("symbol") == "*" else symbols_of(params)
    oldest = time_of(params, "min_time", "00:00:00")
    for name in names:
        found = world.market.underlying(name, delayed=False) if name in _INDICES else None
        if found is not None and found.wall % DAY_MS >= oldest:
            yield name, found


def snapshot_price(world: World, params: Params) -> Table:
    """``index/snapshot/price``."""
    rows = [(stamp_text(found.wall), name, _mid(found)) for name, found in _latest(world, params)]
    return Table(("timestamp", "symbol", "price"), rows)


def market_value(world: World, params: Params) -> Table:
    """``index/snapshot/market_value``: the stand-in's is the price."""
    return Table(("timestamp", "symbol", "market_price"), snapshot_price(world, params).rows)


def snapshot_ohlc(world: World, params: Params) -> Table:
    """``index/snapshot/ohlc`` of the day."""
    rows = [
        (stamp_text(found.wall), name, *_bar(_reports(world, name, (date_of(found.wall),) * 2)))
        for name, found in _latest(world, params)
    ]
    return Table(("timestamp", "symbol", *_BAR), rows)


def price(world: World, params: Params) -> Table:
    """``index/history/price``: every report, or the price at each step, 0 before the first."""
    days = days_of(world, params)
    steps = interval_of(params, days)
    reports = _reports(world, need(params, "symbol"), days)
    rows: list[tuple[Any, ...]] = []
    if not steps.every:
        rows = [(stamp_text(at), value) for at, value in reports if steps.start <= at % DAY_MS <= steps.end]
    for day in sorted({at // DAY_MS for at, _ in reports}) if steps.every else ():
        today, last = iter([report for report in reports if report[0] // DAY_MS == day]), 0
        following = next(today, None)
        for moment in steps.of(day, world.market.wall):
            while following is not None and following[0] <= moment:
                last, following = following[1], next(today, None)
            rows.append((stamp_text(moment), last))
    return Table(("timestamp", "price"), rows)


def ohlc(world: World, params: Params) -> Table:
    """``index/history/ohlc``."""
    days = days_of(world, params)
    steps = interval_of(params, days, tick=False)
    by_step: dict[int, list[Report]] = {}
    for report in _reports(world, need(params, "symbol"), days):
        start = report[0] // DAY_MS * DAY_MS + steps.start
        by_step.setdefault(start + (report[0] - start) // steps.every * steps.every, []).append(report)
    rows = [
        (stamp_text(moment), *_bar(by_step.get(moment, ())), 0)
        for day in sorted({moment // DAY_MS for moment in by_step})
        for moment in steps.of(day, world.market.wall)
        if moment % DAY_MS < steps.end
    ]
    return Table(("timestamp", *_BAR, "vwap"), rows)


def eod(world: World, params: Params) -> Table:
    """``index/history/eod``: days whose report is made, at 17:15."""
    by_day: dict[int, list[Report]] = {}
    for report in _reports(world, need(params, "symbol"), days_of(world, params)):
        by_day.setdefault(report[0] // DAY_MS, []).append(report)
    rows = [
        (stamp_text(day * DAY_MS + _EOD_MS), stamp_text(found[-1][0]), *_bar(found), *(0,) * len(QUOTE_COLUMNS))
        for day, found in sorted(by_day.items())
        if day * DAY_MS + _EOD_MS <= world.market.wall
    ]
    return Table(("created", "last_trade", *_BAR, *QUOTE_COLUMNS), rows)


def at_time_price(world: World, params: Params) -> Table:
    """``index/at_time/price``: the last report of each day at or before a time of day.

    The vendor's schema gives it the columns of a trade; what is not the price is as in its stream's sample of SPX.
    """
    days = days_of(world, {**params, "date": ""})
    symbol = need(params, "symbol")
    need(params, "time_of_day")
    moment = time_of(params, "time_of_day", "")
    last = {at // DAY_MS: (at, value) for at, value in _reports(world, symbol, days) if at % DAY_MS <= moment}
    rows = [(stamp_text(at), 0, *(_UNUSED,) * 4, 0, 0, _CBOE, value) for at, value in last.values()]
    return Table(("timestamp", *TRADE_COLUMNS), rows)
