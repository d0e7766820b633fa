"""Raw rows in, enriched rows out: the formulas over the rolling state, in seq order, a column at a time.

A row's figures depend on the raw rows of its session date with smaller or equal seq and on the
constants of the active rule version, on nothing else. The state of a session date is built from
``history`` when its first row comes and again when a row comes twice (a batch that was not written), so
a restarted enricher, or one fed the same rows in other batches, yields the same rows.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import islice
from typing import Any, Final, Protocol

import numpy as np

from phenix.engine.blocks import Block, cells_of
from phenix.engine.enrich.calendar import Calendar
from phenix.engine.enrich.clock import MINUTE, day_of_date
from phenix.engine.enrich.conditions import Condition, condition
from phenix.engine.enrich.contracts import Contract, Prints
from phenix.engine.enrich.day import ContractStats, SessionDay, SymbolStats, contract_stats, symbol_stats
from phenix.engine.enrich.figures import Changes, Figures
from phenix.engine.enrich.formulas import (
    NEUTRAL,
    Ints,
    aggressiveness,
    dte,
    opening,
    otm_pct,
    premium,
    sentiment,
    side,
    side_confidence,
    vol_oi_ratio,
)
from phenix.engine.enrich.minutes import enter
from phenix.engine.flow import ENRICHED, INDEX, Row
from phenix.engine.targets.arrays import Column, Mask, Words

__all__ = ["Enriched", "Enricher", "History", "Tagger"]

_DAYS_KEPT: Final = 3
_PAGE: Final = 10_000
"""Rows of the past entered at a time, in less than a tenth of a second."""
_SEQ: Final = INDEX["seq"]
_DATE: Final = INDEX["session_date"]
_SYMBOL: Final = INDEX["symbol"]
_CONTRACT: Final = slice(INDEX["root"], INDEX["right"] + 1)


History = Callable[[int, int, int], Iterable[Row]]


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
    def tag(self, block: Block) -> Mapping[str, Column]:
        """Score, quality, missing metrics and chips of rows; cancel records and compressions have no chips."""


@dataclass(frozen=True, slots=True)
class Enriched:
    """One batch: enriched values in the order of the raw rows, and what else it changed.

    ``columns`` are lists in the order of :data:`phenix.engine.flow.ENRICHED`, ``block`` the whole rows as arrays, and
    ``tag_ns`` how long the tagger took, nanoseconds.
    ``cancels`` are (seq of the original, seq of the cancel record); the original may be of this batch,
    and its own row does not know yet. ``unmatched`` counts cancel records without an original.
    """

    columns: tuple[list[Any], ...]
    cancels: list[tuple[int, int]]
    unmatched: int
    contract_stats: list[ContractStats]
    symbol_stats: list[SymbolStats]
    block: Block = field(compare=False, default_factory=lambda: Block({}, 0))
    tag_ns: int = field(compare=False, default=0)

    @property
    def rows(self) -> list[tuple[Any, ...]]:
        """The values row by row."""
        return list(zip(*self.columns, strict=True))


class Enricher:
    """Enriches raw rows of any session dates in seq order.

    ``history(session_date, before_seq, after_seq)`` yields the raw rows of a session date between two seqs, in
    seq order; ``clock()`` is UTC milliseconds; ``page`` rows of the past are entered at a time. Raises ValueError for
    a row without a seq.
    """

    def __init__(
        self,
        calendar: Calendar,
        tagger: Tagger,
        history: History,
        clock: Callable[[], int],
        *,
        page: int = _PAGE,
    ) -> None:
        self._calendar = calendar
        self._history = history
        self._clock = clock
        self._page = page
        self._days: dict[int, SessionDay] = {}
        self._unfinished: dict[int, SessionDay] = {}
        self._constants: tuple[int, Fraction, bool] | None = None
        self.activate(tagger)

    def activate(self, tagger: Tagger) -> None:
        """Take another rule version: from the next row on, every figure is computed with its constants.

        Where these are other ones, the state of the session is built from history again.
        """
        constants = _constants(tagger)
        if constants != self._constants:
            self._constants = constants
            self._meanings: dict[int, _Meaning] = {}
            self._days.clear()
            self._unfinished.clear()
        self._tagger = tagger

    def beside(self, tagger: Tagger) -> Enricher | None:
        """An enricher for another rule version, made where its constants are other ones: :meth:`catch_up`, and change
        to it; None where this one can :meth:`activate` it as it is.
        """
        if _constants(tagger) == self._constants:
            return None
        return Enricher(self._calendar, tagger, self._history, self._clock, page=self._page)

    def knows(self, date: int) -> bool:
        """Whether the state of a session date is there: rows of it are enriched at once."""
        return date in self._days

    def catch_up(self, date: int, before_seq: int, history: History | None = None) -> None:
        """Bring the state of a session date up to a row, from where it is; ``history`` in place of its own."""
        while not self.approach(date, before_seq, history):
            pass

    def approach(self, date: int, before_seq: int, history: History | None = None) -> bool:
        """A page of :meth:`catch_up`; True once the state is there. Until then nothing is enriched with it."""
        day = self._unfinished.pop(date, None) or self._days.pop(date, None) or SessionDay(date)
        page = list(islice((history or self._history)(date, before_seq, day.last_seq), self._page))
        if page:
            self._advance(day, self._read(page), slice(0, len(page)), Figures(len(page)), Changes())
        there = len(page) < self._page
        (self._days if there else self._unfinished)[date] = day
        return there

    def enrich(self, raws: Sequence[Row]) -> Enriched:
        """Enrich rows in seq order; a row seen before is computed afresh from history."""
        now = self._clock()
        if not raws:
            return Enriched(tuple([] for _ in ENRICHED), [], 0, [], [])
        block, changed, took = self._computed(self._read(raws), now)
        return Enriched(
            tuple(cells_of(block.stored(field.name)) for field in ENRICHED),
            changed.cancels,
            changed.unmatched,
            [line for day, numbers in changed.contracts.items() for line in contract_stats(day, [*numbers], now)],
            [symbol_stats(minute, now) for minute in changed.minutes],
            block,
            took,
        )

    def evaluate(self, raws: Sequence[Row], block: Block) -> Block:
        """As :meth:`enrich`, of rows whose raw part is in ``block``: the whole rows as arrays, and nothing besides."""
        return self._computed(self._read(raws, block), self._clock())[0]

    def _computed(self, batch: _Rows, now: int) -> tuple[Block, Changes, int]:
        """Rows as arrays, what else they changed, and how long the tagger took, nanoseconds."""
        raws, changed = batch.raws, Changes()
        figures = Figures(len(raws))
        for rows in _stretches(batch.block):
            day = self._day(raws[rows.start][_DATE], raws[rows.start][_SEQ])
            self._advance(day, batch, rows, figures, changed)
        columns = self._columns(batch, figures, now)
        began = time.perf_counter_ns()
        tags = self._tagger.tag(batch.block.with_columns(columns))
        took = time.perf_counter_ns() - began
        return batch.block.with_columns(columns | dict(tags)), changed, took

    def _day(self, date: int, seq: int) -> SessionDay:
        """The state of a session date just before a row."""
        day = self._days.pop(date, None)
        if day is None or seq <= day.last_seq:
            self.catch_up(date, seq)
            day = self._days.pop(date)
        self._days[date] = day  # the latest used last
        if len(self._days) > _DAYS_KEPT:
            del self._days[next(iter(self._days))]
        return day

    def _read(self, raws: Sequence[Row], block: Block | None = None) -> _Rows:
        """What the figures need of raw rows by column, with all that needs no state."""
        if block is None:
            cells = list(zip(*raws, strict=True))
            if None in cells[_SEQ]:
                raise ValueError("a row without a seq cannot be enriched: store it first")
            block, contracts = Block.of_cells(cells), list(zip(*cells[_CONTRACT], strict=True))
        else:
            contracts = [tuple(row[_CONTRACT]) for row in raws]
        tagger = self._tagger
        codes, which = np.unique(block.stored("condition").values, return_inverse=True)
        meanings = [self._meanings.get(code) or self._meaning(code) for code in codes.tolist()]

        def of(answers: Iterable[bool]) -> Mask:
            return np.fromiter(answers, np.bool_, len(meanings))[which]

        price, size = block.stored("price").values, block.stored("size").values
        right = block.stored("right")
        assert right.words is not None
        call = right.values == right.words.code("CALL")
        sides = side(price, block.stored("bid"), block.stored("ask"), tagger.aa_floor, tagger.aa_spread)
        sides = Column(sides.values, _both(sides.known, ~of(meaning.sideless for meaning in meanings)), sides.words)
        moods = sentiment(call, sides)
        moods.values[of(meaning.neutral for meaning in meanings)] = NEUTRAL
        prints = Prints(
            block.stored("seq").values, block.stored("trade_ts_utc").values, price, size,
            block.stored("exchange").values, sides, moods.values, block.stored("oi"),
        )  # fmt: skip
        flags = {name: of(getattr(meaning.condition, flag) for meaning in meanings) for name, flag in _FLAGS.items()}
        return _Rows(raws, contracts, block, prints, call, moods, premium(price, size), flags)

    def _meaning(self, code: int) -> _Meaning:
        meaning = self._meanings[code] = _Meaning(condition(code), self._tagger.packages_are_neutral)
        return meaning

    def _numbers(self, day: SessionDay, batch: _Rows, rows: slice) -> Ints:
        """The numbers of the rows' contracts."""
        contracts = day.contracts
        keys = batch.contracts[rows]
        numbers = contracts.numbers(keys)
        if None in numbers:
            for key, raw, number in zip(keys, batch.raws[rows], numbers, strict=True):
                if number is None and key not in contracts:
                    symbol = day.symbol(self._calendar, raw[_SYMBOL])
                    contracts.add(key, symbol, day_of_date(key[1]), self._calendar.monthly(*key[:2]))
            numbers = contracts.numbers(keys)
        return np.array(numbers, np.int64)

    def _advance(self, day: SessionDay, batch: _Rows, rows: slice, figures: Figures, changed: Changes) -> None:
        """Move the state of a day over some rows; prints between cancel records are entered together."""
        numbers = self._numbers(day, batch, rows)
        figures.expiration_day[rows] = day.contracts.expiration_day[numbers]
        figures.monthly[rows] = day.contracts.monthly[numbers]
        start = rows.start
        for cancel in (np.flatnonzero(batch.flags["cancel_record"][rows]) + rows.start).tolist():
            self._enter(day, batch, slice(start, cancel), numbers[start - rows.start : cancel - rows.start],
                        figures, changed)  # fmt: skip
            self._cancel(day, batch, cancel, int(numbers[cancel - rows.start]), figures, changed)
            start = cancel + 1
        self._enter(day, batch, slice(start, rows.stop), numbers[start - rows.start :], figures, changed)
        day.last_seq = int(batch.prints.seq[rows.stop - 1])

    def _enter(
        self, day: SessionDay, batch: _Rows, rows: slice, numbers: Ints, figures: Figures, changed: Changes
    ) -> None:
        if not len(numbers):
            return
        prints = batch.prints.part(rows)
        figures.day_volume[rows], repeats = day.contracts.enter(numbers, prints)
        figures.repeat3m.put(rows, repeats)
        sessions = batch.block.stored("session")[rows]
        minutes, found = enter(day.symbols, day.contracts.symbol[numbers], sessions, prints)
        figures.symbol_vol_1m[rows] = found.volume
        figures.baseline.put(rows, found.baseline)
        figures.open_baseline.put(rows, found.open_baseline)
        figures.bullish_ratio.put(rows, found.bullish_ratio)
        figures.rank.put(rows, day.histogram.enter(batch.value[rows]))
        changed.note(day, numbers.tolist(), minutes)

    def _cancel(self, day: SessionDay, batch: _Rows, row: int, number: int, figures: Figures, changed: Changes) -> None:
        seq, ts, price, size, exchange = (int(column[row]) for column in batch.prints[:5])
        contracts = day.contracts
        symbol = day.symbols[int(contracts.symbol[number])]
        taken = contracts.take_back(number, price, size, exchange)
        if taken is None:
            changed.unmatched += 1
        else:
            changed.cancels.append((taken.seq, seq))
            day.histogram.remove(int(batch.value[row]))
            changed.note(day, [number], [symbol.take_back(taken)])
        now = symbol.turn(ts // MINUTE, batch.raws[row][INDEX["session"]])
        figures.day_volume[row] = contracts.volume[number]
        figures.symbol_vol_1m[row] = now.volume
        figures.baseline.set(row, now.baseline)
        figures.open_baseline.set(row, now.open_baseline)
        figures.bullish_ratio.set(row, now.bullish_ratio())

    def _columns(self, batch: _Rows, figures: Figures, now: int) -> dict[str, Column]:
        """The enriched columns, untagged."""
        block, prints = batch.block, batch.prints
        volume, oi = figures.day_volume, prints.oi
        opens = opening(prints.size, volume, oi)
        nothing = np.zeros(block.rows, np.int64)
        found = {
            "value": Column(batch.value),
            "dte": Column(dte(figures.expiration_day, block.stored("trade_ts_et").values)),
            "otm_pct": otm_pct(batch.call, block.stored("strike").values, block.stored("spot"),
                               block.stored("adjusted").values),
            "side": prints.side,
            "aggressiveness": aggressiveness(prints.price, block.stored("bid"), block.stored("ask"), prints.side),
            "sentiment": batch.moods,
            "day_volume": Column(volume),
            "vol_oi_ratio": vol_oi_ratio(volume, oi),
            "repeat3m": figures.repeat3m.column(),
            "symbol_vol_1m": Column(figures.symbol_vol_1m),
            "symbol_vol_baseline_15m": figures.baseline.column(),
            "open_window_baseline": figures.open_baseline.column(),
            "bullish_ratio_15m": figures.bullish_ratio.column(),
            "value_pctile": figures.rank.column(),
            "side_confidence": side_confidence(prints.side),
            "monthly": Column(figures.monthly),
            "opening": Column(opens.values, _both(opens.known, ~batch.flags["cancel_record"])),
            "sig_score": Column(nothing, nothing != 0),
            "score_quality": Column(nothing, None, _PARTIAL),
            "missing_metrics": Column(nothing, None, _NOTHING),
            "chips_set": Column(nothing),
            "chips_known": Column(nothing),
            "cancelled_seq": Column(nothing, nothing != 0),  # only a later row can cancel this one
            "rule_version": Column(nothing, None, Words((self._tagger.version,))),
            "enriched_at_utc": Column(nothing + now),
        }  # fmt: skip
        return found | {name: Column(flag) for name, flag in batch.flags.items()}


_PARTIAL: Final = Words(("partial",))
_NOTHING: Final = Words(("",))
_FLAGS: Final = {
    "iso": "iso", "auction": "auction", "cross": "cross", "floor": "floor", "multi_leg": "multi_leg",
    "stock_tied": "stock_tied", "late": "late", "compression": "compression", "cancel_record": "cancel",
}  # fmt: skip
"""Fields that say what the condition table says, and its flags."""


@dataclass(frozen=True, slots=True)
class _Meaning:
    """What a condition means to the formulas under a rule version."""

    condition: Condition
    packages_are_neutral: bool

    @property
    def sideless(self) -> bool:
        return self.condition.late or self.condition.cancel

    @property
    def neutral(self) -> bool:
        return self.packages_are_neutral and self.condition.package


@dataclass(frozen=True, slots=True)
class _Rows:
    """Raw rows by column, with what of their figures needs no state."""

    raws: Sequence[Row]
    contracts: list[Contract]
    block: Block
    prints: Prints
    call: Mask
    moods: Column
    value: Ints
    flags: dict[str, Mask]


def _stretches(block: Block) -> Iterator[slice]:
    """Runs of rows of one session date with rising seqs."""
    dates, seqs = block.stored("session_date").values, block.stored("seq").values
    ends = np.flatnonzero((dates[1:] != dates[:-1]) | (seqs[1:] <= seqs[:-1])) + 1
    start = 0
    for end in [*ends.tolist(), block.rows]:
        yield slice(start, end)
        start = end


def _constants(tagger: Tagger) -> tuple[int, Fraction, bool]:
    """What the formulas take from a rule version."""
    return tagger.aa_floor, tagger.aa_spread, tagger.packages_are_neutral


def _both(known: Mask | None, also: Mask) -> Mask:
    return also if known is None else known & also
