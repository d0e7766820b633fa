"""Stock history: quotes of underlyings, late under a Value subscription, and bars of their mids."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from phenix.ingest.terminal.events import UnderlyingQuote
from phenix.ingest.terminal.layouts import DAY_MS, QUOTE_COLUMNS, date_of, stamp_text
from phenix.ingest.terminal.standin_params import Params, RefusedError, invalid, need, time_of
from phenix.ingest.terminal.standin_world import Steps, Table, World, book_of, days_of, interval_of

__all__ = ["at_time_quote", "bar_of", "eod", "ohlc", "quote", "venue_of"]

_BAR = ("open", "high", "low", "close", "volume", "count")
_EOD_MS = (17 * 60 + 15) * 60_000


def venue_of(params: Params) -> None:
    """Check ``venue``; the tape has one for all."""
    if params.get("venue", "nqb") not in {"nqb", "utp_cta"}:
        raise invalid(f"Invalid value for venue: {params['venue']}")


def bar_of(quotes: Sequence[UnderlyingQuote]) -> tuple[int, ...]:
    """Open, high, low, close, volume, count and vwap of mids, each for a hundred shares; zeros without any."""
    mids = [(quote.bid + quote.ask) // 200 * 100 for quote in quotes]
    if not mids:
        return (0,) * 7
    count = len(mids)
    return mids[0], max(mids), min(mids), mids[-1], 100 * count, count, round(sum(mids) / count / 100) * 100


def _quotes(world: World, params: Params, days: tuple[int, int]) -> list[UnderlyingQuote]:
    venue_of(params)
    symbol, until = need(params, "symbol"), world.stocks_until
    return [
        event
        for event in world.source.events(symbol)
        if isinstance(event, UnderlyingQuote) and event.wall <= until and days[0] <= date_of(event.wall) <= days[1]
    ]


def _steps(world: World, params: Params, days: tuple[int, int], *, tick: bool) -> Steps:
    steps = interval_of(params, days, tick=tick)
    if world.delayed and steps.every < 60_000:
        raise RefusedError(471, "A Stocks Standard subscription is required for intervals below one minute")
    return steps


def quote(world: World, params: Params) -> Table:
    """``stock/history/quote``: every quote, or the last at each step."""
    days = days_of(world, params)
    steps = _steps(world, params, days, tick=True)
    quotes = _quotes(world, params, days)
    if steps.every:
        rows = list(_sampled(quotes, steps, world.stocks_until))
    else:
        rows = [(stamp_text(q.wall), *book_of(q)) for q in quotes if steps.start <= q.wall % DAY_MS <= steps.end]
    return Table(("timestamp", *QUOTE_COLUMNS), rows)


def _sampled(quotes: list[UnderlyingQuote], steps: Steps, until: int) -> Iterator[tuple[Any, ...]]:
    at = 0
    for day in sorted({quote.wall // DAY_MS for quote in quotes}):
        book: tuple[int, ...] = (0, 0, 0, 0, 0, 0, 0, 0)
        for moment in steps.of(day, until):
            while at < len(quotes) and quotes[at].wall <= moment:
                book = book_of(quotes[at])
                at += 1
            yield (stamp_text(moment), *book)


def ohlc(world: World, params: Params) -> Table:
    """``stock/history/ohlc``."""
    days = days_of(world, params)
    steps = _steps(world, params, days, tick=False)
    by_step: dict[int, list[UnderlyingQuote]] = {}
    for it in _quotes(world, params, days):
        start = it.wall // DAY_MS * DAY_MS + steps.start
        by_step.setdefault(start + (it.wall - start) // steps.every * steps.every, []).append(it)
    rows = [
        (stamp_text(moment), *bar_of(by_step.get(moment, ())))
        for day in sorted({moment // DAY_MS for moment in by_step})
        for moment in steps.of(day, world.stocks_until)
        if moment % DAY_MS < steps.end
    ]
    return Table(("timestamp", *_BAR, "vwap"), rows)


def eod(world: World, params: Params) -> Table:
    """``stock/history/eod``: days whose report is made, at 17:15."""
    days = days_of(world, params)
    by_day: dict[int, list[UnderlyingQuote]] = {}
    for it in _quotes(world, params, days):
        by_day.setdefault(it.wall // DAY_MS, []).append(it)
    rows = [
        (stamp_text(day * DAY_MS + _EOD_MS), stamp_text(found[-1].wall), *bar_of(found)[:6], *book_of(found[-1]))
        for day, found in sorted(by_day.items())
        if day * DAY_MS + _EOD_MS <= world.market.wall
    ]
    return Table(("created", "last_trade", *_BAR, *QUOTE_COLUMNS), rows)


def at_time_quote(world: World, params: Params) -> Table:
    """``stock/at_time/quote``: the last quote of each day at or before a time of day."""
    days = days_of(world, {**params, "date": ""})
    need(params, "time_of_day")
    moment = time_of(params, "time_of_day", "")
    last: dict[int, UnderlyingQuote] = {}
    for it in _quotes(world, params, days):
        if it.wall % DAY_MS <= moment:
            last[it.wall // DAY_MS] = it
    return Table(("timestamp", *QUOTE_COLUMNS), [(stamp_text(it.wall), *book_of(it)) for it in last.values()])
