"""Raw rows in, enriched rows out: the formulas over the rolling state, in seq order.

A row's figures depend on the raw rows of its session date with smaller or equal seq and on the
constants of the active rule version, on nothing else. The state of a session date is built from
``history`` when its first row comes and again when a row comes twice (a batch that was not written), so
a restarted enricher, or one fed the same rows in other batches, yields the same rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final, NamedTuple, Protocol

from phenix.engine.enrich.calendar import Calendar
from phenix.engine.enrich.clock import DAY, MINUTE, day_of_date, wall_of
from phenix.engine.enrich.conditions import Condition, condition
from phenix.engine.enrich.formulas import (
    SIDE_CONFIDENCE,
    aggressiveness,
    opening,
    otm_pct,
    premium,
    sentiment,
    side,
    vol_oi_ratio,
)
from phenix.engine.enrich.windows import ContractDay, Minute, SessionDay, SymbolDay
from phenix.engine.flow import RAW, Row

__all__ = ["ContractStats", "Enriched", "Enricher", "SymbolStats", "Tagger"]

_RAW_FIELDS: Final = len(RAW)
_DAYS_KEPT: Final = 3


class Tagger(Protocol):
    """The active rule version: constants the formulas take from it, and the chips and score it adds."""

    @property
    def version(self) -> str: ...
    @property
    def aa_floor(self) -> int: ...
    @property
    def aa_spread(self) -> Fraction: ...
    @property
    def packages_are_neutral(self) -> bool: ...
    def tag(self, row: list[Any]) -> None:
        """Fill score, quality, missing metrics and chips of a full row; cancel records and compressions have none."""


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


@dataclass(frozen=True, slots=True)
class Enriched:
    """One batch: enriched values in the order of the raw rows, and what else it changed.

    ``cancels`` are (seq of the original, seq of the cancel record); the original may be of this batch,
    and its own row does not know yet. ``unmatched`` counts cancel records without an original.
    """

    rows: list[tuple[Any, ...]]
    cancels: list[tuple[int, int]]
    unmatched: int
    contract_stats: list[ContractStats]
    symbol_stats: list[SymbolStats]


class Enricher:
    """Enriches raw rows of any session dates in seq order.

    ``history(session_date, before_seq)`` yields the raw rows of a session date with smaller seq, in
    seq order; ``clock()`` is UTC milliseconds. Raises ValueError for a row without a seq.
    """

    def __init__(
        self,
        calendar: Calendar,
        tagger: Tagger,
        history: Callable[[int, int], Iterable[Row]],
        clock: Callable[[], int],
    ) -> None:
        self._calendar = calendar
        self._history = history
        self._clock = clock
        self._days: dict[int, SessionDay] = {}
        self._batches = 0
        self.activate(tagger)

    def activate(self, tagger: Tagger) -> None:
        """Take another rule version: from the next row on, every figure is computed with its constants."""
        self._tagger = tagger
        self._version = tagger.version
        self._aa_floor = tagger.aa_floor
        self._aa_spread = tagger.aa_spread
        self._packages_are_neutral = tagger.packages_are_neutral
        self._meanings: dict[int, _Meaning] = {}
        self._days.clear()

    def enrich(self, raws: Sequence[Row]) -> Enriched:
        """Enrich rows in seq order; a row seen before is computed afresh from history."""
        self._batches += 1
        batch = _Batch(self._batches, self._clock())
        tag = self._tagger.tag
        rows = []
        day = None
        for raw in raws:
            seq, date = raw[0], raw[4]
            if seq is None:
                raise ValueError("a row without a seq cannot be enriched: store it first")
            if day is None or date != day.date or seq <= day.last_seq:
                day = self._day(date, seq)
            row = self._advance(day, raw, batch)
            tag(row)
            rows.append(tuple(row[_RAW_FIELDS:]))
        return Enriched(
            rows,
            batch.cancels,
            batch.unmatched,
            [_contract_stats(contract, batch.now) for contract in batch.contracts],
            [_symbol_stats(minute, batch.now) for minute in batch.minutes],
        )

    def _day(self, date: int, seq: int) -> SessionDay:
        """The state of a session date just before a row."""
        day = self._days.pop(date, None)
        if day is None or seq <= day.last_seq:
            day = SessionDay(date)
            past = _Batch(0, 0)
            for raw in self._history(date, seq):
                self._advance(day, raw, past, past=True)
        self._days[date] = day  # the latest used last
        if len(self._days) > _DAYS_KEPT:
            del self._days[next(iter(self._days))]
        return day

    def _meaning(self, code: int) -> _Meaning:
        meaning = self._meanings[code] = _Meaning.of(condition(code), self._packages_are_neutral)
        return meaning

    def _contract(self, day: SessionDay, contract: tuple[str, int, int, str], symbol: str) -> ContractDay:
        symbol_day = day.symbols.get(symbol)
        if symbol_day is None:
            symbol_day = day.symbols[symbol] = SymbolDay(self._calendar, symbol, day.date)
        root, expiration = contract[:2]
        found = ContractDay(contract, symbol_day, day_of_date(expiration), self._calendar.monthly(root, expiration))
        day.contracts[contract] = found
        return found

    def _advance(self, day: SessionDay, raw: Row, batch: _Batch, *, past: bool = False) -> list[Any]:
        """Move the state over a row; the full row, untagged (empty for the past, of which only the state counts)."""
        (
            seq, _, ts, wall, _, session, symbol_name, root, expiration, strike, right, price, size, bid, ask, _, code,
            exchange, _, adjusted, spot, _, _, oi, _,
        ) = raw  # fmt: skip
        day.last_seq = seq
        key = (root, expiration, strike, right)
        contract = day.contracts.get(key) or self._contract(day, key, symbol_name)
        symbol = contract.symbol
        meaning = self._meanings.get(code) or self._meaning(code)
        value = premium(price, size)
        minute = ts // MINUTE
        side_: str | None = None
        mood = "neutral"
        repeats: int | None = None
        rank: float | None = None

        if meaning.cancel:
            taken = contract.take_back(price, size, exchange)
            if taken is None:
                batch.unmatched += 1
            else:
                batch.cancels.append((taken.seq, seq))
                day.histogram.remove(value)
                batch.touch(contract, symbol.take_back(taken, taken.ts // MINUTE))
            now = symbol.turn(minute, session)
        else:
            if not meaning.sideless:
                side_ = side(price, bid, ask, self._aa_floor, self._aa_spread)
                if side_ is not None and not meaning.neutral:
                    mood = sentiment(right, side_)
            contract.oi = oi
            repeats = contract.add(seq, ts, price, size, exchange, side_, mood)
            now = symbol.now or symbol.turn(minute, session)
            if now.minute != minute or now.session != session:
                now = symbol.turn(minute, session)
            now.volume += size
            if mood == "bullish":
                now.bullish += 1
            elif mood == "bearish":
                now.bearish += 1
            rank = day.histogram.enter(value)
            if contract.stamp != batch.number or now.stamp != batch.number:
                batch.touch(contract, now)
        if past:
            return []

        volume = contract.volume
        return [
            *raw,
            value,
            contract.expiration_day - wall // DAY,
            None if adjusted else otm_pct(right, strike, spot),
            side_,
            None if side_ is None else aggressiveness(price, bid, ask),
            mood,
            volume,
            vol_oi_ratio(volume, oi),
            repeats,
            now.volume,
            now.baseline,
            now.open_baseline,
            now.bullish_ratio(),
            rank,
            SIDE_CONFIDENCE[side_],
            contract.monthly,
            None if meaning.cancel else opening(size, volume, oi),
            *meaning.flags,
            None,  # score, quality, missing metrics and chips: the tagger's
            "partial",
            "",
            0,
            0,
            None,  # only a later row can cancel this one
            self._version,
            batch.now,
        ]


@dataclass(frozen=True, slots=True)
class _Meaning:
    """What a condition means to the formulas under a rule version; ``flags`` in catalog order from ``iso``."""

    cancel: bool
    sideless: bool
    neutral: bool
    flags: tuple[bool, ...]

    @classmethod
    def of(cls, c: Condition, packages_are_neutral: bool) -> _Meaning:
        flags = (c.iso, c.auction, c.cross, c.floor, c.multi_leg, c.stock_tied, c.late, c.compression, c.cancel)
        neutral = packages_are_neutral and c.package
        return cls(c.cancel, c.late or c.cancel, neutral, flags)


class _Batch:
    """What a batch of rows changed; number 0 collects the past, which nobody reads."""

    __slots__ = ("cancels", "contracts", "minutes", "now", "number", "unmatched")

    def __init__(self, number: int, now: int) -> None:
        self.number = number
        self.now = now
        self.cancels: list[tuple[int, int]] = []
        self.unmatched = 0
        self.contracts: list[ContractDay] = []
        self.minutes: list[Minute] = []

    def touch(self, contract: ContractDay, minute: Minute) -> None:
        """Note a changed contract and minute, each once."""
        if contract.stamp != self.number:
            contract.stamp = self.number
            self.contracts.append(contract)
        if minute.stamp != self.number:
            minute.stamp = self.number
            self.minutes.append(minute)


def _contract_stats(day: ContractDay, now: int) -> ContractStats:
    root, expiration, strike, right = day.contract
    symbol = day.symbol
    return ContractStats(
        symbol.symbol, root, expiration, strike, right, symbol.date, day.volume, day.oi, day.last_ts, now
    )


def _symbol_stats(minute: Minute, now: int) -> SymbolStats:
    return SymbolStats(
        minute.symbol.symbol, wall_of(minute.minute * MINUTE), minute.volume, minute.baseline, minute.open_baseline,
        minute.bullish_ratio(), now,
    )  # fmt: skip
