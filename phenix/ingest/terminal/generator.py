"""A generated session: believable option flow of up to 200 underlyings, the same for the same seed.

Each underlying is an independent stream with its own seed, so a single one can be played alone,
and the whole is a lazy merge by time: memory does not grow with the number of prints.
"""

from __future__ import annotations

import csv
import heapq
import random
from collections.abc import Iterator
from math import exp, sqrt
from pathlib import Path
from typing import Final

from phenix.engine.enrich.calendar import Calendar
from phenix.engine.enrich.clock import wall_of
from phenix.engine.enrich.roots import underlying as underlying_of
from phenix.engine.enrich.tables import read_table
from phenix.ingest.terminal.events import OpenInterest, Print, TapeEvent
from phenix.ingest.terminal.generator_chain import Chain, Underlying
from phenix.ingest.terminal.generator_flow import FIRST_MINUTE, MINUTE, Clockwork, Flow, Minute
from phenix.ingest.terminal.layouts import wall_at
from phenix.ingest.terminal.protocol import Contract

__all__ = ["DEFAULT_PRINTS", "Session", "underlyings"]

DEFAULT_PRINTS: Final = 500_000
_SHARES: Final = {"gth": 0.02, "early": 0.01, "curb": 0.01}
"""What is traded outside the regular session, beside a day's regular prints of the products that do."""
_MARKET: Final = 0.6 / sqrt(252 * 390)
"""Deviation of the market's log return in a minute."""
_EARLY_RUNS: Final = 5
"""Underlyings, the busiest first, that have a run of repeats within minutes of the open."""


def underlyings() -> list[Underlying]:
    """The packaged universe, the most traded first, with rough prices and volatilities."""
    kinds = {symbol: kind for kind, symbols in read_table("universe")["classes"].items() for symbol in symbols}
    with (Path(__file__).parent / "underlyings.csv").open(encoding="utf-8", newline="") as file:
        return [
            Underlying(row["symbol"], kinds[row["symbol"]], float(row["price"]), float(row["volatility"]) / 100, rank)
            for rank, row in enumerate(csv.DictReader(file))
        ]


class Session:
    """The generated day of the ``symbols`` most traded underlyings, about ``prints`` prints in all.

    With ``extended`` it begins at 20:15 the evening before and ends at 17:00, for products that trade then.
    ``rush`` prints a second come on top in the first minute of the regular session. Raises ValueError
    for a date that is no trading day and for more symbols than the universe has.
    """

    def __init__(
        self,
        date: int,
        calendar: Calendar,
        *,
        seed: int = 1,
        symbols: int = 200,
        prints: int = DEFAULT_PRINTS,
        extended: bool = False,
        rush: int = 0,
    ) -> None:
        names = underlyings()
        if not calendar.covers(date) or not calendar.is_trading_day(date):
            raise ValueError(f"{date // 10_000}-{date // 100 % 100:02d}-{date % 100:02d} is not a trading day")
        if not 1 <= symbols <= len(names):
            raise ValueError(f"the packaged universe has 1 to {len(names)} symbols, not {symbols}")
        self._date, self._calendar, self._seed, self._prints = date, calendar, seed, prints
        self._names = names[:symbols]
        self._extended, self._rush = extended, rush
        self._chains: dict[str, Chain] = {}
        self._clockworks: dict[tuple[range, ...], Clockwork] = {}

    @property
    def dates(self) -> tuple[int, ...]:
        """Its one date."""
        return (self._date,)

    def underlying_of(self, root: str) -> str:
        """The underlying of a root."""
        return underlying_of(root)

    def contracts(self) -> Iterator[Contract]:
        """Every listed contract."""
        return (listing.contract for name in self._names for listing in self._chain(name).listings)

    def open_interest(self) -> Iterator[OpenInterest]:
        """Open interest of most contracts."""
        for name in self._names:
            yield from self._chain(name).open_interest(self._random(name.symbol, "interest"))

    def events(self, symbol: str | None = None) -> Iterator[TapeEvent]:
        """The day in the order of time; of one underlying or root when named."""
        if symbol is None:
            return heapq.merge(*(iter(self._flow(name)) for name in self._names))
        names = [name for name in self._names if name.symbol == underlying_of(symbol)]
        return (
            event
            for name in names
            for event in self._flow(name)
            if symbol == name.symbol or (isinstance(event, Print) and event.contract.root == symbol)
        )

    def _random(self, *parts: str) -> random.Random:
        return random.Random(":".join((str(self._seed), str(self._date), *parts)))  # noqa: S311 -- a simulation

    def _chain(self, name: Underlying) -> Chain:
        chain = self._chains.get(name.symbol)
        if chain is None:
            chain = self._chains[name.symbol] = Chain(name, self._date, self._calendar)
        return chain

    def _flow(self, name: Underlying) -> Flow:
        whole = sum(1 / (rank + 2) for rank in range(len(self._names)))
        prints = self._prints / (name.rank + 2) / whole
        runs = 1 if name.rank < _EARLY_RUNS and prints > 100 else 0
        seed = f"{self._seed}:{self._date}:{name.symbol}"
        return Flow(self._chain(name), self._clockwork(name.symbol), prints, runs, seed)

    def _clockwork(self, symbol: str) -> Clockwork:
        """Busy at the open, quiet at noon, busy at the close; products that close later have a tail.

        Outside the regular session trading is thin and even.
        """
        regular = self._calendar.close_ms(self._date) // MINUTE - FIRST_MINUTE
        minutes = self._calendar.close_ms(self._date, symbol) // MINUTE - FIRST_MINUTE
        others = {name: self._minutes(symbol, name) for name in _SHARES} if self._extended else {}
        key = (range(minutes), *others.values())
        known = self._clockworks.get(key)
        if known is None:
            shape = [1 + 5 * exp(-m / 8) + 1.2 * exp(-m / 60) + 1.5 * exp((m - regular) / 12) for m in range(regular)]
            whole = sum(shape)
            shares = [value / whole for value in shape] + [0.15 / whole] * (minutes - regular)
            shares[0] += self._rush * 60 / self._prints
            rng = self._random("market")
            planned = [Minute(FIRST_MINUTE + m, share, _market(rng)) for m, share in enumerate(shares)]
            for name, span in others.items():
                rng = self._random("market", name)
                planned += [Minute(at, _SHARES[name] / len(span), _market(rng)) for at in span]
            known = self._clockworks[key] = Clockwork(self._date, sorted(planned))
        return known

    def _minutes(self, symbol: str, session: str) -> range:
        """Minutes of a session of a product, counted from the midnight that begins the date."""
        bounds = self._calendar.minute_bounds(symbol, self._date, session)
        if bounds is None:
            return range(0)
        first, end = (wall_of(minute * MINUTE) - wall_at(self._date, 0) for minute in bounds)
        return range(first // MINUTE, end // MINUTE)


def _market(rng: random.Random) -> float:
    return rng.gauss(0, 1) * _MARKET
