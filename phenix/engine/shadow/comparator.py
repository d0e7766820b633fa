"""Two rule versions over the same rows, counted: a block at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from phenix.engine.blocks import Block
from phenix.engine.bundle import Bundle
from phenix.engine.encode import row_id
from phenix.engine.enrich.clock import DAY
from phenix.engine.shadow.counts import IDS, SCORE_SCALE, SLICE_MS, ChipCounts, Counts
from phenix.engine.shadow.evaluation import Tagged
from phenix.engine.targets.arrays import Array, Column, Mask

__all__ = ["Comparator", "dates_of"]

_SLICES: Final = DAY // SLICE_MS


@dataclass(frozen=True, slots=True)
class _Pair:
    """A chip and its bit in each version; None where a version has no such chip."""

    id: str
    old: int | None
    new: int | None


class Comparator:
    """Counts where the candidate differs from the active version."""

    def __init__(self, active: Bundle, candidate: Bundle) -> None:
        ids = [chip.id for chip in active.chips]
        ids += [chip.id for chip in candidate.chips if chip.id not in active.bits]
        has_old, has_new = ({chip.id for chip in bundle.chips} for bundle in (active, candidate))
        pairs = [
            _Pair(id_, active.bits[id_] if id_ in has_old else None, candidate.bits[id_] if id_ in has_new else None)
            for id_ in ids
        ]
        self._pairs = pairs
        self._kept = [pair for pair in pairs if pair.old == pair.new]
        """Chips with the same bit in both versions: compared all at once."""
        self._moved = [pair for pair in pairs if pair.old != pair.new]
        self._mask = np.int64(sum(1 << pair.old for pair in self._kept if pair.old is not None))
        self._known = active.known_mask, candidate.known_mask

    def begin(self) -> Counts:
        """Nothing counted yet."""
        chips = {pair.id: ChipCounts(pair.old is not None, pair.new is not None) for pair in self._pairs}
        return Counts(chips=chips)

    def add(self, counts: Counts, block: Block, old: Tagged, new: Tagged, *, timed: bool = False) -> None:
        """Count rows of one session date; ``timed`` says that both versions were timed on them."""
        counts.rows += block.rows
        differ = (old.chips_set ^ new.chips_set) & self._mask
        changed: Mask = differ != 0
        moved = [(pair, _bit(old.chips_set, pair.old), _bit(new.chips_set, pair.new)) for pair in self._moved]
        for _, was, is_ in moved:
            changed |= was != is_
        places = np.flatnonzero(changed)
        counts.changed += len(places)
        self._hits(counts, old, new)
        if len(places):
            named = _Named(block, places)
            bits = int(np.bitwise_or.reduce(differ[places]))
            for pair in self._kept:
                if pair.old is not None and bits >> pair.old & 1:
                    was, is_ = _bit(old.chips_set[places], pair.old), _bit(new.chips_set[places], pair.old)
                    _differ(counts.chip(pair.id), was, is_, named)
            for pair, was, is_ in moved:
                _differ(counts.chip(pair.id), was[places], is_[places], named)
        _spread(counts, block, places)
        _scores(counts, old.score, new.score)
        if timed:
            counts.taken.rows += block.rows
            counts.taken.old_ns += old.ns
            counts.taken.new_ns += new.ns

    def _hits(self, counts: Counts, old: Tagged, new: Tagged) -> None:
        """Rows on and undecided, counted by the different masks there are: few, of many rows."""
        on = tuple(_by_bit(tags.chips_set) for tags in (old, new))
        open_ = tuple(_by_bit(~tags.chips_known & mask) for tags, mask in zip((old, new), self._known, strict=True))
        for pair in self._pairs:
            chip = counts.chip(pair.id)
            if pair.old is not None:
                chip.old += on[0][pair.old]
                chip.old_unknown += open_[0][pair.old]
            if pair.new is not None:
                chip.new += on[1][pair.new]
                chip.new_unknown += open_[1][pair.new]


class _Named:
    """Changed rows by id and symbol, looked up where they are needed."""

    def __init__(self, block: Block, places: Array) -> None:
        symbol = block.stored("symbol")
        assert symbol.words is not None
        self._keys = [block.stored(name).values[places] for name in ("trade_ts_utc", "trade_id")]
        self._symbols = symbol.values[places]
        self._words = symbol.words.words

    def ids(self, rows: Mask, most: int) -> list[str]:
        """Ids of the first of some rows."""
        some = np.flatnonzero(rows)[:most]
        return [row_id(ts, id_) for ts, id_ in zip(*(key[some].tolist() for key in self._keys), strict=True)]

    def symbols(self, rows: Mask) -> Counter[str]:
        """Rows by symbol."""
        codes, found = np.unique(self._symbols[rows], return_counts=True)
        return Counter({self._words[code]: count for code, count in zip(codes.tolist(), found.tolist(), strict=True)})


def _bit(masks: Array, bit: int | None) -> Mask:
    return np.zeros(len(masks), np.bool_) if bit is None else masks & (1 << bit) != 0


def _by_bit(masks: Array) -> Counter[int]:
    found: Counter[int] = Counter()
    for mask, count in zip(*(part.tolist() for part in np.unique(masks, return_counts=True)), strict=True):
        while mask:
            found[mask.bit_length() - 1] += count
            mask ^= 1 << mask.bit_length() - 1
    return found


def _differ(chip: ChipCounts, was: Mask, is_: Mask, named: _Named) -> None:
    added, removed = is_ & ~was, was & ~is_
    chip.added += int(np.count_nonzero(added))
    chip.removed += int(np.count_nonzero(removed))
    chip.added_ids += named.ids(added, IDS - len(chip.added_ids))
    chip.removed_ids += named.ids(removed, IDS - len(chip.removed_ids))
    chip.symbols.update(named.symbols(was != is_))


def _spread(counts: Counts, block: Block, places: Array) -> None:
    """All rows, and the changed ones, by symbol and by time of day."""
    symbol = block.stored("symbol")
    assert symbol.words is not None
    slices = block.stored("trade_ts_et").values % DAY // SLICE_MS
    _tally(counts.symbols, symbol.words.words, symbol.values, places)
    _tally(counts.times, range(0, DAY, SLICE_MS), slices, places)


def _tally(into: dict[Any, list[int]], names: Sequence[Any], codes: Array, places: Array) -> None:
    rows = np.bincount(codes, minlength=len(names))
    changed = np.bincount(codes[places], minlength=len(names))
    for code in np.flatnonzero(rows).tolist():
        line = into.setdefault(names[code], [0, 0])
        line[0] += int(rows[code])
        line[1] += int(changed[code])


def _scores(counts: Counts, old: Column | None, new: Column | None) -> None:
    assert old is not None
    ones = np.ones(len(old.values), np.bool_)
    was = ones if old.known is None else old.known
    if new is None:  # the same by definition
        counts.scores.compared += int(np.count_nonzero(was))
        return
    is_ = ones if new.known is None else new.known
    both = was & is_
    apart = np.abs(old.values[both] - new.values[both])
    scores = counts.scores
    scores.compared += int(np.count_nonzero(both))
    scores.changed += int(np.count_nonzero(apart)) + int(np.count_nonzero(was != is_))
    if len(apart):
        whole = np.rint(apart * SCORE_SCALE).astype(np.int64)
        scores.sum += int(whole.sum())
        scores.largest = max(scores.largest, int(whole.max()))


def dates_of(block: Block) -> Iterator[tuple[int, slice]]:
    """Runs of rows of one session date."""
    dates = block.stored("session_date").values
    ends = (np.flatnonzero(dates[1:] != dates[:-1]) + 1).tolist()
    start = 0
    for end in [*ends, block.rows]:
        yield int(dates[start]), slice(start, end)
        start = end
