"""Which function answers which REST endpoint.

A request that cannot be answered is a :class:`Refusal` with the vendor's status code.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

from phenix.ingest.terminal import standin_calendar as calendar
from phenix.ingest.terminal import standin_history as history
from phenix.ingest.terminal import standin_indices as indices
from phenix.ingest.terminal import standin_lists as lists
from phenix.ingest.terminal import standin_rates as rates
from phenix.ingest.terminal import standin_snapshots as snapshots
from phenix.ingest.terminal import standin_stocks as stocks
from phenix.ingest.terminal.errors import NO_DATA
from phenix.ingest.terminal.standin_params import Params, Refusal, RefusedError
from phenix.ingest.terminal.standin_world import Table, World

__all__ = ["TABLES", "Endpoint"]

Endpoint = Callable[[World, Params], Table]

_ENDPOINTS: Final[dict[str, Endpoint]] = {
    "/option/list/symbols": lists.option_symbols,
    "/option/list/dates/trade": lists.option_dates,
    "/option/list/dates/quote": lists.option_dates,
    "/option/list/expirations": lists.expirations,
    "/option/list/strikes": lists.strikes,
    "/option/list/contracts/trade": lists.contracts,
    "/option/list/contracts/quote": lists.contracts,
    "/option/snapshot/ohlc": snapshots.ohlc,
    "/option/snapshot/trade": snapshots.trade,
    "/option/snapshot/quote": snapshots.quote,
    "/option/snapshot/open_interest": snapshots.open_interest,
    "/option/snapshot/market_value": snapshots.market_value,
    "/option/snapshot/greeks/implied_volatility": snapshots.volatility,
    "/option/snapshot/greeks/first_order": partial(snapshots.volatility, greeks=True),
    "/option/history/trade": history.trade,
    "/option/history/trade_quote": history.trade_quote,
    "/option/history/quote": history.quote,
    "/option/history/open_interest": history.open_interest,
    "/option/history/ohlc": history.ohlc,
    "/option/history/eod": history.eod,
    "/option/history/greeks/implied_volatility": history.volatility,
    "/option/history/greeks/first_order": partial(history.volatility, greeks=True),
    "/option/history/greeks/eod": history.eod_greeks,
    "/option/at_time/trade": history.at_time_trade,
    "/option/at_time/quote": history.at_time_quote,
    "/stock/list/symbols": lists.stock_symbols,
    "/stock/list/dates/trade": lists.stock_dates,
    "/stock/list/dates/quote": lists.stock_dates,
    "/stock/snapshot/quote": snapshots.stock_quote,
    "/stock/snapshot/ohlc": snapshots.stock_ohlc,
    "/stock/history/quote": stocks.quote,
    "/stock/history/ohlc": stocks.ohlc,
    "/stock/history/eod": stocks.eod,
    "/stock/at_time/quote": stocks.at_time_quote,
    "/index/list/symbols": indices.symbols,
    "/index/list/dates": indices.dates,
    "/index/snapshot/price": indices.snapshot_price,
    "/index/snapshot/ohlc": indices.snapshot_ohlc,
    "/index/snapshot/market_value": indices.market_value,
    "/index/history/price": indices.price,
    "/index/history/ohlc": indices.ohlc,
    "/index/history/eod": indices.eod,
    "/index/at_time/price": indices.at_time_price,
    "/interest_rate/history/eod": rates.eod,
    "/calendar/today": calendar.today,
    "/calendar/on_date": calendar.on_date,
    "/calendar/year_holidays": calendar.year_holidays,
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
