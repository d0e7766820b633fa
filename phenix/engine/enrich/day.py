"""One session date: everything that rolls within it, and the lines of the two tables of statistics."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from phenix.engine.blocks import cells_of
from phenix.engine.enrich.calendar import Calendar
from phenix.engine.enrich.clock import MINUTE, wall_of
from phenix.engine.enrich.contracts import Contracts
from phenix.engine.enrich.histogram import Histogram
from phenix.engine.enrich.minutes import Minute, SymbolDay
from phenix.engine.targets.arrays import Column

__all__ = ["ContractStats", "SessionDay", "SymbolStats", "contract_stats", "symbol_stats"]


class ContractStats(NamedTuple):
    """A line of ``contract_stats_intraday``; ``last_trade_ts`` is the latest event time entered."""

    symbol: str
    root: str
    expiration: int
    strike: int
    right: str
    session_date: int
    day_volume: int
    oi: int | None
    last_trade_ts: int
    updated_at: int


class SymbolStats(NamedTuple):
    """A line of ``symbol_stats_intraday``; the bucket is the start of the minute on the New York wall clock (ms)."""

    symbol: str
    minute_bucket_et: int
    vol_1m: int
    vol_baseline_15m: float | None
    open_window_baseline: float | None
    bullish_ratio_15m: float | None
    updated_at: int


class SessionDay:
    """Everything that rolls within one session date; ``last_seq`` is the last row entered."""

    __slots__ = ("_symbols", "contracts", "date", "histogram", "last_seq", "symbols")

    def __init__(self, date: int) -> None:
        self.date = date
        self.contracts = Contracts(date)
        self.symbols: list[SymbolDay] = []
        self._symbols: dict[str, int] = {}
        self.histogram = Histogram()
        self.last_seq = -1

    def symbol(self, calendar: Calendar, name: str) -> int:
        """The number of a symbol."""
        number = self._symbols.get(name)
        if number is None:
            number = self._symbols[name] = len(self.symbols)
            self.symbols.append(SymbolDay(calendar, name, self.date))
        return number


def contract_stats(day: SessionDay, numbers: list[int], now: int) -> Iterator[ContractStats]:
    """The lines of contracts by number."""
    contracts = day.contracts
    symbols = [day.symbols[number].symbol for number in contracts.symbol[numbers].tolist()]
    oi = cells_of(Column(contracts.oi[numbers], contracts.oi_known[numbers]))
    volumes, times = contracts.volume[numbers].tolist(), contracts.last_ts[numbers].tolist()
    for number, symbol, volume, interest, at in zip(numbers, symbols, volumes, oi, times, strict=True):
        yield ContractStats(symbol, *contracts.keys[number], day.date, volume, interest, at, now)


def symbol_stats(minute: Minute, now: int, *, packages_are_neutral: bool) -> SymbolStats:
    """The line of a minute under some rules."""
    return SymbolStats(
        minute.symbol.symbol, wall_of(minute.minute * MINUTE), minute.volume, minute.baseline, minute.open_baseline,
        minute.bullish_ratio(packages_are_neutral=packages_are_neutral), now,
    )  # fmt: skip
