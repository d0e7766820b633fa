"""What REST endpoints look at, what they answer with, and how parameters choose contracts and days.

Rows hold stored units: text, integers, money in ten-thousandths (the columns of :data:`MONEY`), and
floats for what the vendor writes with four decimals.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from phenix.engine.enrich.calendar import Calendar
from phenix.ingest.terminal.entitlements import Entitlements, Tier
from phenix.ingest.terminal.errors import ERRORS, NO_DATA
from phenix.ingest.terminal.events import OpenInterest, Print, Quote, Source, UnderlyingQuote
from phenix.ingest.terminal.layouts import DAY_MS, date_of, date_text, wall_at
from phenix.ingest.terminal.market import DELAY_MS, Market
from phenix.ingest.terminal.protocol import Contract
from phenix.ingest.terminal.standin_params import (
    Params,
    RefusedError,
    a_date,
    count_of,
    dates_of,
    days_to,
    invalid,
    need,
    time_of,
)

__all__ = [
    "EMPTY_BOOK", "MONEY", "SameDay", "Steps", "Table", "World", "book_of", "by_contract", "chain_of", "days_of",
    "id_of", "interval_of", "played",
]  # fmt: skip

MONEY: Final = frozenset({
    "strike", "price", "bid", "ask", "open", "high", "low", "close", "vwap", "midpoint", "market_bid",
    "market_ask", "market_price", "underlying_price",
})  # fmt: skip
"""Columns in ten-thousandths of a dollar."""
EMPTY_BOOK: Final = (0, 42, 0, 50, 0, 42, 0, 50)
"""The quote of a contract that has none yet, as in the vendor's example of 09:30:00."""
_INTERVALS: Final = {
    "tick": 0, "10ms": 10, "100ms": 100, "500ms": 500, "1s": 1_000, "5s": 5_000, "10s": 10_000, "15s": 15_000,
    "30s": 30_000, "1m": 60_000, "5m": 300_000, "10m": 600_000, "15m": 900_000, "30m": 1_800_000, "1h": 3_600_000,
}  # fmt: skip
_MINUTE: Final = 60_000
_LARGEST: Final = 2_000_000
"""Rows an answer may have; more is a 570."""


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
    """What the endpoints look at; ``star_snapshots`` lets snapshots take ``expiration=*`` below Pro."""

    source: Source
    market: Market
    calendar: Calendar
    entitlements: Entitlements
    same_day: SameDay
    star_snapshots: bool = True
    interest: dict[str, list[OpenInterest]] = field(default_factory=dict)
    """Open interest by root, filled when first asked for: a client asks root by root."""

    @property
    def today(self) -> int:
        """The date of the playing clock; before playback the first date of the tape."""
        dates = self.source.dates
        return date_of(self.market.wall) if self.market.wall else (dates[0] if dates else 19700101)

    @property
    def delayed(self) -> bool:
        """Whether stock quotes lag behind."""
        return self.entitlements.stocks < Tier.STANDARD

    @property
    def stocks_until(self) -> int:
        """Wall time up to which stock quotes are told."""
        return self.market.wall - (DELAY_MS if self.delayed else 0)

    def spot(self, root: str) -> UnderlyingQuote | None:
        """The underlying's latest quote, which option endpoints use without delay."""
        return self.market.underlying(self.source.underlying_of(root), delayed=False)


def chain_of(world: World, params: Params, *, star: bool = True) -> Callable[[Contract], bool]:
    """A test for the contracts that symbol, expiration, strike, right, max_dte and strike_range choose."""
    root = need(params, "symbol")
    expiration = need(params, "expiration")
    if expiration == "*" and not star:
        raise invalid("expiration=* is not supported by this endpoint")
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
    near = _near_strikes(world, root, count_of(params, "strike_range", 1))
    today = world.today

    def chosen(contract: Contract) -> bool:
        return (
            contract.root == root
            and wanted_expiration in {None, contract.expiration}
            and wanted_strike in {None, contract.strike}
            and rights[right] in {"", contract.right}
            and (max_dte is None or 0 <= days_to(contract.expiration, today) <= max_dte)
            and (near is None or (contract.expiration, contract.strike) in near)
        )

    return chosen


def _near_strikes(world: World, root: str, reach: int | None) -> set[tuple[int, int]] | None:
    """Expiration and strike of those at the money and ``reach`` beyond on each side; None is all of them."""
    quote = world.spot(root) if reach is not None else None
    if reach is None or quote is None:
        return None
    spot = (quote.bid + quote.ask) // 2
    strikes: dict[int, set[int]] = {}
    for contract in world.source.contracts():
        if contract.root == root:
            strikes.setdefault(contract.expiration, set()).add(contract.strike)
    near = set()
    for expiration, found in strikes.items():
        ordered = sorted(found)
        middle = min(range(len(ordered)), key=lambda place: abs(ordered[place] - spot))
        near |= {(expiration, strike) for strike in ordered[max(0, middle - reach) : middle + reach + 1]}
    return near


def days_of(world: World, params: Params, *, star_range: bool = False) -> tuple[int, int]:
    """The requested dates; refuses today where its history is locked, and ranges that are too long."""
    first, last = dates_of(params)
    if world.same_day is SameDay.LOCKED and last >= world.today:
        raise RefusedError(472, NO_DATA)
    if first != last and params.get("expiration") == "*" and not star_range:
        raise invalid("expiration=* is only supported for a single day")
    if wall_at(last, 0) - wall_at(first, 0) > 31 * DAY_MS:
        raise invalid("Requests are limited to one month of data")
    return first, last


@dataclass(frozen=True, slots=True)
class Steps:
    """The moments of an interval answer: each ``every`` ms of the days, from ``start`` to ``end`` of the day."""

    every: int
    """0 is every tick."""
    start: int
    end: int

    def of(self, day: int, until: int) -> range:
        """Wall times on a day (since 1970) up to ``until``."""
        return range(day * DAY_MS + self.start, min(day * DAY_MS + self.end, until) + 1, self.every)

    def check(self, contracts: int, days: int) -> None:
        """Refuse an answer that would be too large."""
        if self.every and contracts * days * (self.end - self.start) // self.every > _LARGEST:
            raise RefusedError(570, ERRORS[570].text)


def interval_of(params: Params, days: tuple[int, int], *, tick: bool = True) -> Steps:
    """``interval``, ``start_time`` and ``end_time``; below a minute only for a single day."""
    interval = params.get("interval") or "1s"
    every = _INTERVALS.get(interval)
    if every is None or (every == 0 and not tick):
        raise invalid(f"Invalid value for interval: {interval}")
    if every < _MINUTE and days[0] != days[1]:
        raise invalid("Intervals below one minute are only supported for a single day")
    return Steps(every, *_times(params))


def _times(params: Params) -> tuple[int, int]:
    return time_of(params, "start_time", "09:30:00"), time_of(params, "end_time", "16:00:00")


def played(
    world: World, params: Params, days: tuple[int, int], *, until: int = DAY_MS
) -> Iterator[Print | UnderlyingQuote]:
    """Prints of the symbol and quotes of its underlying that were played, on these days up to ``until`` ms of each."""
    dates = world.source.dates
    # an evening before the first date may belong to its session
    if not dates or days[0] > dates[-1] or wall_at(days[1], 0) < wall_at(dates[0], 0) - DAY_MS:
        return
    for event in world.source.events(need(params, "symbol")):
        if event.wall > world.market.wall:
            return
        if days[0] <= date_of(event.wall) <= days[1] and event.wall % DAY_MS <= until:
            yield event


def id_of(contract: Contract) -> tuple[Any, ...]:
    """The four contract columns."""
    return contract.root, date_text(contract.expiration), contract.strike, contract.right


def by_contract(rows: Iterable[tuple[Contract, tuple[Any, ...]]]) -> Iterator[tuple[Any, ...]]:
    """Rows grouped by contract, in time order inside one, as the vendor answers."""
    groups: dict[Contract, list[tuple[Any, ...]]] = {}
    for contract, row in rows:
        groups.setdefault(contract, []).append(row)
    for group in groups.values():
        yield from group


def book_of(quote: Quote | UnderlyingQuote) -> tuple[int, ...]:
    """The eight quote columns."""
    return (
        quote.bid_size, quote.bid_exchange, quote.bid, quote.bid_condition,
        quote.ask_size, quote.ask_exchange, quote.ask, quote.ask_condition,
    )  # fmt: skip
