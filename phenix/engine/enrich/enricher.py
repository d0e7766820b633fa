"""Raw rows in, enriched rows out: the formulas over the rolling state, in seq order, a column at a time.

A row's figures depend on the raw rows of its session date with smaller or equal seq and on the
constants of the active rule version, on nothing else. The state of a session date is built from
``history`` when its first row comes and again when a row comes twice (a batch that was not written), so
a restarted enricher, or one fed the same rows in other batches, yields the same rows.

The state is the same under any rules: rows are read under the constants of those that are active, and of others beside.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final, Protocol

import numpy as np

from phenix.engine.blocks import Block, cells_of
from phenix.engine.enrich.calendar import Calendar
from phenix.engine.enrich.clock import MINUTE, day_of_date
from phenix.engine.enrich.conditions import condition
from phenix.engine.enrich.contracts import Contract, Prints
from phenix.engine.enrich.day import ContractStats, SessionDay, SymbolStats, contract_stats, symbol_stats
from phenix.engine.enrich.figures import Changes, Figures
from phenix.engine.enrich.formulas import (
    NEUTRAL,
    Constants,
    Ints,
    Rules,
    aggressiveness,
    beyond,
    dte,
    opening,
    otm_pct,
    premium,
    sentiment,
    side,
    side_confidence,
    touched,
    vol_oi_ratio,
)
from phenix.engine.enrich.minutes import enter, leans
from phenix.engine.enrich.repeats import Reading
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


class Tagger(Rules, Protocol):
    """The active rule version: constants the formulas take from it, and the chips and score it adds."""

    @property
    def version(self) -> str: ...
    def tag(self, block: Block) -> Mapping[str, Column]:
        """Score, quality, missing metrics and chips of rows; cancel records and compressions have no chips."""


@dataclass(frozen=True, slots=True)
class Enriched:
    """One batch: enriched values in the order of the raw rows, and what else it changed.

    ``columns`` are lists in the order of :data:`phenix.engine.flow.ENRICHED`, ``block`` the whole rows as arrays,
    ``tag_ns`` how long the tagger took, nanoseconds, and ``beside`` the rows as arrays under other constants, untagged.
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
    beside: Block | None = field(compare=False, default=None)

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
        self.activate(tagger)

    def activate(self, tagger: Tagger) -> None:
        """Take another rule version: from the next row on, every figure is computed with its constants."""
        self._tagger = tagger
        self._constants = Constants.of(tagger)

    def knows(self, date: int) -> bool:
        """Whether the state of a session date is there: rows of it are enriched at once."""
        return date in self._days

    def approach(self, date: int, before_seq: int) -> bool:
        """Bring the state of a session date up to a row, from where it is, by a page; True once it is there.

        Until then nothing is enriched with it.
        """
        day = self._unfinished.pop(date, None) or self._days.pop(date, None) or SessionDay(date)
        page = list(islice(self._history(date, before_seq, day.last_seq), self._page))
        if page:
            batch = self._read(page, (self._constants,))
            self._advance(day, batch, slice(0, len(page)), Figures(len(page), 1), Changes())
        there = len(page) < self._page
        (self._days if there else self._unfinished)[date] = day
        return there

    def enrich(self, raws: Sequence[Row], beside: Constants | None = None) -> Enriched:
        """Enrich rows in seq order; a row seen before is computed afresh from history.

        With other constants ``beside``, the rows are read under these, too.
        """
        now = self._clock()
        if not raws:
            return Enriched(tuple([] for _ in ENRICHED), [], 0, [], [])
        others = () if beside is None or beside == self._constants else (beside,)
        batch = self._read(raws, (self._constants, *others))
        (columns, *more), changed = self._computed(batch, now)
        began = time.perf_counter_ns()
        tags = self._tagger.tag(batch.block.with_columns(columns))
        took = time.perf_counter_ns() - began
        block = batch.block.with_columns(columns | dict(tags))
        neutral = self._constants.packages_are_neutral
        return Enriched(
            tuple(cells_of(block.stored(field.name)) for field in ENRICHED),
            changed.cancels,
            changed.unmatched,
            [line for day, numbers in changed.contracts.items() for line in contract_stats(day, [*numbers], now)],
            [symbol_stats(minute, now, packages_are_neutral=neutral) for minute in changed.minutes],
            block,
            took,
            batch.block.with_columns(more[0]) if more else None,
        )

    def evaluate(self, raws: Sequence[Row], block: Block) -> Block:
        """The whole rows as arrays, untagged, of rows whose raw part is in ``block``."""
        (columns,), _ = self._computed(self._read(raws, (self._constants,), block), self._clock())
        return block.with_columns(columns)

    def _computed(self, batch: _Rows, now: int) -> tuple[list[dict[str, Column]], Changes]:
        """The enriched columns, untagged, by each reading of the rows, and what else these changed."""
        raws, changed = batch.raws, Changes()
        figures = Figures(len(raws), len(batch.readings))
        for rows in _stretches(batch.block):
            day = self._day(raws[rows.start][_DATE], raws[rows.start][_SEQ])
            self._advance(day, batch, rows, figures, changed)
        columns = self._columns(batch, figures, now)
        return [columns | _read_columns(batch, figures, at) for at in range(len(batch.readings))], changed

    def _day(self, date: int, seq: int) -> SessionDay:
        """The state of a session date just before a row."""
        day = self._days.pop(date, None)
        if day is None or seq <= day.last_seq:
            while not self.approach(date, seq):
                pass
            day = self._days.pop(date)
        self._days[date] = day  # the latest used last
        if len(self._days) > _DAYS_KEPT:
            del self._days[next(iter(self._days))]
        return day

    def _read(self, raws: Sequence[Row], constants: Sequence[Constants], block: Block | None = None) -> _Rows:
        """What the figures need of raw rows by column, with all that needs no state."""
        if block is None:
            cells = list(zip(*raws, strict=True))
            if None in cells[_SEQ]:
                raise ValueError("a row without a seq cannot be enriched: store it first")
            block, contracts = Block.of_cells(cells), list(zip(*cells[_CONTRACT], strict=True))
        else:
            contracts = [tuple(row[_CONTRACT]) for row in raws]
        codes, which = np.unique(block.stored("condition").values, return_inverse=True)
        meanings = [condition(code) for code in codes.tolist()]

        def of(answers: Iterable[bool]) -> Mask:
            return np.fromiter(answers, np.bool_, len(meanings))[which]

        price, size, ask = block.stored("price").values, block.stored("size").values, block.stored("ask")
        right = block.stored("right")
        assert right.words is not None
        call = right.values == right.words.code("CALL")
        touch = touched(price, block.stored("bid"), ask)
        touch = Column(touch.values, _both(touch.known, ~of(m.late or m.cancel for m in meanings)), touch.words)
        moods, package = sentiment(call, touch), of(meaning.package for meaning in meanings)
        above, spread = price - ask.values, ask.values - block.stored("bid").values
        prints = Prints(
            block.stored("seq").values, block.stored("trade_ts_utc").values, price, size,
            block.stored("exchange").values, touch, above, spread, leans(moods, package), block.stored("oi"),
        )  # fmt: skip
        readings = [Reading(one, beyond(above, spread, one)) for one in constants]
        flags = {name: of(getattr(meaning, flag) for meaning in meanings) for name, flag in _FLAGS.items()}
        return _Rows(raws, contracts, block, prints, readings, call, moods, package, premium(price, size), flags)

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
        prints, readings = batch.prints.part(rows), [reading.part(rows) for reading in batch.readings]
        figures.day_volume[rows], repeats = day.contracts.enter(numbers, prints, readings)
        sessions = batch.block.stored("session")[rows]
        minutes, found = enter(day.symbols, day.contracts.symbol[numbers], sessions, prints, readings)
        figures.symbol_vol_1m[rows] = found.volume
        figures.baseline.put(rows, found.baseline)
        figures.open_baseline.put(rows, found.open_baseline)
        for columns, by_reading in ((figures.repeat3m, repeats), (figures.bullish_ratio, found.bullish_ratio)):
            for column, values in zip(columns, by_reading, strict=True):
                column.put(rows, values)
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
        for column, reading in zip(figures.bullish_ratio, batch.readings, strict=True):
            neutral = reading.constants.packages_are_neutral
            column.set(row, now.bullish_ratio(packages_are_neutral=neutral))

    def _columns(self, batch: _Rows, figures: Figures, now: int) -> dict[str, Column]:
        """The enriched columns that are the same by each reading, and those of tags, empty."""
        block, prints = batch.block, batch.prints
        volume, oi = figures.day_volume, prints.oi
        opens = opening(prints.size, volume, oi)
        nothing = np.zeros(block.rows, np.int64)
        found = {
            "value": Column(batch.value),
            "dte": Column(dte(figures.expiration_day, block.stored("trade_ts_et").values)),
            "otm_pct": otm_pct(batch.call, block.stored("strike").values, block.stored("spot"),
                               block.stored("adjusted").values),
            "aggressiveness": aggressiveness(prints.price, block.stored("bid"), block.stored("ask"), prints.touch),
            "day_volume": Column(volume),
            "vol_oi_ratio": vol_oi_ratio(volume, oi),
            "symbol_vol_1m": Column(figures.symbol_vol_1m),
            "symbol_vol_baseline_15m": figures.baseline.column(),
            "open_window_baseline": figures.open_baseline.column(),
            "value_pctile": figures.rank.column(),
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


def _read_columns(batch: _Rows, figures: Figures, at: int) -> dict[str, Column]:
    """The enriched columns that depend on a rule version's constants, by one of the readings."""
    constants, far = batch.readings[at]
    sides, moods = side(batch.prints.touch, far), batch.moods
    if constants.packages_are_neutral:
        moods = Column(np.where(batch.package, np.uint8(NEUTRAL), moods.values), None, moods.words)
    return {
        "side": sides,
        "side_confidence": side_confidence(sides),
        "sentiment": moods,
        "repeat3m": figures.repeat3m[at].column(),
        "bullish_ratio_15m": figures.bullish_ratio[at].column(),
    }


_PARTIAL: Final = Words(("partial",))
_NOTHING: Final = Words(("",))
_FLAGS: Final = {
    "iso": "iso", "auction": "auction", "cross": "cross", "floor": "floor", "multi_leg": "multi_leg",
    "stock_tied": "stock_tied", "late": "late", "compression": "compression", "cancel_record": "cancel",
}  # fmt: skip
"""Fields that say what the condition table says, and its flags."""


@dataclass(frozen=True, slots=True)
class _Rows:
    """Raw rows by column, with what of their figures needs no state."""

    raws: Sequence[Row]
    contracts: list[Contract]
    block: Block
    prints: Prints
    readings: list[Reading]
    call: Mask
    moods: Column
    package: Mask
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


def _both(known: Mask | None, also: Mask) -> Mask:
    return also if known is None else known & also
