"""Snapshots: the caches of the playing clock, which start empty and are cleared at midnight."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from phenix.ingest.terminal.entitlements import Tier
from phenix.ingest.terminal.events import UnderlyingQuote
from phenix.ingest.terminal.layouts import (
    CONTRACT_COLUMNS,
    DAY_MS,
    QUOTE_COLUMNS,
    STOCK_QUOTE_COLUMNS,
    TRADE_COLUMNS,
    date_of,
    stamp_text,
)
from phenix.ingest.terminal.protocol import Contract
from phenix.ingest.terminal.standin_greeks import FIRST_ORDER, Option, first_order, implied
from phenix.ingest.terminal.standin_history import interest_of, rate_of, trade_of
from phenix.ingest.terminal.standin_params import Params, RefusedError, need, symbols_of, time_of
from phenix.ingest.terminal.standin_stocks import bar_of, venue_of
from phenix.ingest.terminal.standin_world import Table, World, book_of, chain_of, id_of

__all__ = [
    "market_value", "ohlc", "open_interest", "quote", "stock_ohlc", "stock_quote", "trade", "volatility",
]  # fmt: skip


def _chosen(world: World, params: Params, walls: dict[Contract, int], *, star: bool = True) -> list[Contract]:
    """Contracts of a cache that are asked for, ``walls`` telling how fresh each is."""
    if params.get("expiration") == "*" and not world.star_snapshots and world.entitlements.options < Tier.PRO:
        raise RefusedError(471, "An Options Pro subscription is required for expiration=* snapshots")
    chosen = chain_of(world, params, star=star)
    oldest = time_of(params, "min_time", "00:00:00")
    return [contract for contract, wall in walls.items() if wall % DAY_MS >= oldest and chosen(contract)]


def _quoted(world: World, params: Params) -> list[Contract]:
    return _chosen(world, params, {contract: quote.wall for contract, quote in world.market.quotes.items()})


def ohlc(world: World, params: Params) -> Table:
    """``option/snapshot/ohlc``: the session so far."""
    trades = world.market.trades
    chosen = _chosen(world, params, {contract: trades[contract].wall for contract in world.market.bars})
    rows = [(stamp_text(trades[c].wall), *id_of(c), *world.market.bars[c]) for c in chosen]
    columns = ("timestamp", *CONTRACT_COLUMNS, "open", "high", "low", "close", "volume", "count")
    return Table(columns, rows, grouped=True)


def trade(world: World, params: Params) -> Table:
    """``option/snapshot/trade``."""
    trades = world.market.trades
    chosen = _chosen(world, params, {contract: it.wall for contract, it in trades.items()}, star=False)
    rows = [(*id_of(c), stamp_text(trades[c].wall), *trade_of(trades[c])) for c in chosen]
    return Table((*CONTRACT_COLUMNS, "timestamp", *TRADE_COLUMNS), rows, grouped=True)


def quote(world: World, params: Params) -> Table:
    """``option/snapshot/quote``."""
    quotes = world.market.quotes
    rows = [(stamp_text(quotes[c].wall), *id_of(c), *book_of(quotes[c])) for c in _quoted(world, params)]
    return Table(("timestamp", *CONTRACT_COLUMNS, *QUOTE_COLUMNS), rows, grouped=True)


def market_value(world: World, params: Params) -> Table:
    """``option/snapshot/market_value``: the stand-in's is the quote and its mid."""
    quotes = world.market.quotes
    rows = [
        (
            stamp_text(quotes[c].wall),
            *id_of(c),
            quotes[c].bid,
            quotes[c].ask,
            (quotes[c].bid + quotes[c].ask) // 200 * 100,
        )
        for c in _quoted(world, params)
    ]
    columns = ("timestamp", *CONTRACT_COLUMNS, "market_bid", "market_ask", "market_price")
    return Table(columns, rows, grouped=True)


def volatility(world: World, params: Params, *, greeks: bool = False) -> Table:
    """``option/snapshot/greeks/implied_volatility``, or ``first_order`` with ``greeks``, from the mid of the quote."""
    rate = rate_of(params)
    spot = world.spot(need(params, "symbol"))
    chosen = _quoted(world, params)
    rows: list[tuple[Any, ...]] = []
    for contract in chosen:
        if spot is None:
            break
        at, mid = world.market.quotes[contract], (spot.bid + spot.ask) // 2
        price = (at.bid + at.ask) // 2
        option = Option.at(contract, at.wall, mid, rate)
        solved = implied(option, price)
        values = first_order(option, solved[0], price) if greeks else ()
        rows.append((
            *id_of(contract), stamp_text(at.wall), at.bid, at.ask, *values, *solved, stamp_text(spot.wall), mid,
        ))  # fmt: skip
    columns = (
        *CONTRACT_COLUMNS, "timestamp", "bid", "ask", *(FIRST_ORDER if greeks else ()), "implied_vol", "iv_error",
        "underlying_timestamp", "underlying_price",
    )  # fmt: skip
    return Table(columns, rows, grouped=True)


def open_interest(world: World, params: Params) -> Table:
    """``option/snapshot/open_interest``."""
    today = world.today
    _chosen(world, params, {})
    rows = (row for row in interest_of(world, params) if date_of(row.wall) == today)
    told = ((stamp_text(row.wall), *id_of(row.contract), row.open_interest) for row in rows)
    return Table(("timestamp", *CONTRACT_COLUMNS, "open_interest"), told, grouped=True)


# -- stocks


def _stocks(world: World, params: Params) -> Iterator[tuple[str, UnderlyingQuote]]:
    venue_of(params)
    names = world.market.symbols() if params.get("symbol") == "*" else symbols_of(params)
    for name in names:
        found = world.market.underlying(name, delayed=world.delayed)
        if found is not None:
            yield name, found


def stock_quote(world: World, params: Params) -> Table:
    """``stock/snapshot/quote``: 15 minutes old under a Value subscription."""
    rows = [(stamp_text(quote.wall), name, *book_of(quote)) for name, quote in _stocks(world, params)]
    return Table(STOCK_QUOTE_COLUMNS, rows)


def stock_ohlc(world: World, params: Params) -> Table:
    """``stock/snapshot/ohlc`` of the day, from mids of quotes: tapes have no stock trades."""
    rows: list[tuple[Any, ...]] = []
    for name, latest in _stocks(world, params):
        day = latest.wall // DAY_MS
        seen = (e for e in world.source.events(name) if isinstance(e, UnderlyingQuote))
        bar = bar_of([e for e in seen if e.wall // DAY_MS == day and e.wall <= latest.wall])
        rows.append((stamp_text(latest.wall), name, *bar[:6]))
    return Table(("timestamp", "symbol", "open", "high", "low", "close", "volume", "count"), rows)
