"""Pages and counts from the session in memory, in the order and with the ties the store's SQL gives.

Rows are looked at from the end a page begins at and no further than it needs; by another field, blocks are passed by
whose values cannot be among the best found so far.
"""

from __future__ import annotations

import math
import time
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from operator import itemgetter
from typing import Final

import numpy as np

from phenix.dsl import core as c
from phenix.dsl.types import TEXTUAL, Kind
from phenix.engine.flow import Field
from phenix.engine.live.block import LiveBlock
from phenix.engine.live.hints import Hints, hints_of
from phenix.engine.live.session import Snapshot
from phenix.engine.live.sieve import SPARSE, Sieve
from phenix.engine.live.tally import Tally
from phenix.engine.predicate import Predicate
from phenix.engine.store.base import StoreTimeout
from phenix.engine.targets.arrays import Array, Mask

__all__ = ["Search", "Spot", "can_sort"]

_STEP: Final = 4_096
"""Rows looked at first; more at each further step."""
_RUN: Final = 256
"""Rows first looked at in the order of a field, and what is a short run; more at each further step."""
_BEYOND: Final = {
    (True, False): np.greater_equal,
    (True, True): np.greater,
    (False, False): np.less_equal,
    (False, True): np.less,
}
"""How values compare with a bound: whether they lie above it, and strictly."""
_SHOWN: Final = (c.Not(c.Field("cancel_record", Kind.BOOL, False)), c.Not(c.Field("cancelled", Kind.BOOL, False)))

Key = bool | int | float | str | None
Ranked = tuple[int | float, int]
"""Value of a row and its seq: its place in an order."""


@dataclass(frozen=True, slots=True)
class Spot:
    """A row of a page: its seq and the value it is sorted by, in stored units."""

    seq: int
    key: Key


class Search:
    """A filter over a snapshot, as of a seq; without ``cancelled``, prints taken back and cancels are left out.

    What takes longer than ``timeout_s``, or is ``unwanted``, raises StoreTimeout between two blocks.
    """

    def __init__(
        self,
        predicate: Predicate,
        snapshot: Snapshot,
        as_of: int,
        *,
        cancelled: bool,
        timeout_s: float | None = None,
        unwanted: Callable[[], bool] = lambda: False,
    ) -> None:
        self._whole = not cancelled and not predicate.text
        core = predicate.core if cancelled else c.And((predicate.core, *_SHOWN))
        bundle = predicate.bundle
        self._sieve = Sieve(core, bundle.params, bundle.bits)
        self._hints: Hints = hints_of(predicate.core, bundle.params, bundle.bits)
        self._snapshot = snapshot
        self._as_of = as_of
        self._until = math.inf if timeout_s is None else time.monotonic() + timeout_s
        self._unwanted = unwanted
        self.contracts = snapshot.words.contracts.known
        """Contracts by their code in a tally."""
        self.looked_at = 0
        """Rows that were looked at."""

    @property
    def plan(self) -> str:
        """How it was found."""
        return f"memory, {self.looked_at:,} rows looked at"

    def count(self) -> int:
        """How many rows match."""
        return sum(len(found) for _, found in self._found(descending=True, step=None))

    def tally(self) -> Tally:
        """Sums over the rows that match."""
        if self._whole:
            return self._tally_of_all()
        tally = Tally()
        for block, found in self._found(descending=True, step=None):
            tally.add(block.view(found, block.room), block.contracts_of(found))
        return tally

    def _tally_of_all(self) -> Tally:
        """Sums over every row that is shown: those of sealed blocks are known, but for what is not: prints taken back
        by now, and those after the seq that is asked for.
        """
        count, sealed = self._snapshot.sealed
        tally = sealed.copy()
        for number, (block, whole) in enumerate(self._snapshot.blocks):
            rows = self._rows_of(block, whole)
            if number < count:
                taken = [at for at, by in list(block.cancels.items()) if by <= self._as_of]
                gone = np.concatenate((np.array(taken, np.int64), np.arange(rows, whole)))
                gone = gone[~block.values["cancel_record"][gone]]
                tally.add(block.view(gone, block.room), block.contracts_of(gone), -1)
            elif rows:
                found = np.flatnonzero(self._matching(block, slice(0, rows), rows))
                tally.add(block.view(found, block.room), block.contracts_of(found))
        return tally

    def by_seq(self, limit: int, *, descending: bool, after: int | None = None) -> list[Spot]:
        """The first rows by seq, those after a seq in that direction."""
        spots: list[Spot] = []
        for block, found in self._found(descending=descending, after=after):
            spots += [Spot(seq, seq) for seq in _first(block, found, limit - len(spots), descending)]
            if len(spots) == limit:
                break
        return spots

    def by_field(self, field: Field, limit: int, *, descending: bool, after: Spot | None = None) -> list[Spot]:
        """The first rows by a field, unknown values last, ties by seq in the sort's direction."""
        spots: list[Spot] = []
        if after is None or after.key is not None:
            spots = self._known(field, limit, descending, after)
        if len(spots) < limit and field.nullable:
            beyond = after.seq if after is not None and after.key is None else None
            spots += self._unknown(field, limit - len(spots), descending, beyond)
        return spots

    def _unknown(self, field: Field, limit: int, descending: bool, after: int | None) -> list[Spot]:
        spots: list[Spot] = []
        for block, found in self._found(descending=descending, after=after, lacking=field.name):
            unknown = found[~block.known[field.name][found]]
            spots += [Spot(seq, None) for seq in _first(block, unknown, limit - len(spots), descending)]
            if len(spots) == limit:
                break
        return spots

    def _known(self, field: Field, limit: int, descending: bool, after: Spot | None) -> list[Spot]:
        """Kept in order are the best so far, by ranks that rise along the sort: values, negated where it descends."""
        sign = -1 if descending else 1
        floor = None if after is None or after.key is None else (_number(after.key), after.seq)
        ranks = seqs = np.empty(0, np.int64)
        in_turn = True
        for best, first, block, rows in sorted(self._by_rank(field, sign), key=itemgetter(0, 1)):
            worst = None
            if len(ranks) == limit:
                # Python's numbers: one of NumPy's would have a whole column converted to its type.
                worst = sign * ranks[-1].item(), sign * seqs[-1].item()
                if (best, first) > (ranks[-1], seqs[-1]):
                    break
            run = _run(block, field, sign, floor, worst)
            if run is None:
                near = self._compared(block, field, sign, floor, worst, rows)
            else:
                near, in_turn = self._of_run(block, field, run, rows, limit, in_turn)
            if floor is not None:
                near = self._later(block, field, sign, floor, rows, near)
            if not len(near):
                continue
            values = block.view(near, rows).column(field.name, self._as_of).values
            seq = sign * block.values["seq"][near].astype(np.int64)
            rank = sign * (values if values.dtype.kind == "f" else values.astype(np.int64))
            if len(rank) > limit:  # most of them need no place in an order
                some = rank <= np.partition(rank, limit - 1)[limit - 1]
                rank, seq = rank[some], seq[some]
            ranks, seqs = np.concatenate((ranks, rank)) if len(ranks) else rank, np.concatenate((seqs, seq))
            order = np.lexsort((seqs, ranks))[:limit]
            ranks, seqs = ranks[order], seqs[order]
        return [Spot(sign * seq, sign * rank) for seq, rank in zip(seqs.tolist(), ranks.tolist(), strict=True)]

    def _of_run(
        self, block: LiveBlock, field: Field, run: Array, rows: int, limit: int, in_turn: bool
    ) -> tuple[Array, bool]:
        """The first matching places of a run, or more of the block in which the field is known.

        ``in_turn`` is whether it is worth looking for them along the run, and whether that was.
        """
        places = self._places(block) if len(run) > _RUN else None
        if places is not None and not len(places):
            return places, in_turn
        if places is not None and len(places) <= len(run):
            where: slice | Array = _among(places[: bisect_left(places, rows)], block.values[field.name], run)
        elif in_turn or len(run) <= _RUN:
            found = self._in_turn(block, run, rows, limit)
            if found is not None:
                return found, in_turn
            where, in_turn = slice(0, rows), False
        else:
            where = run[run < rows] if len(run) * SPARSE <= rows else slice(0, rows)
        hits = self._matching(block, where, rows)
        near = np.flatnonzero(hits) if isinstance(where, slice) else where[hits]
        known = block.known.get(field.name)
        return near if known is None else near[known[near]], in_turn

    def _in_turn(self, block: LiveBlock, run: Array, rows: int, limit: int) -> Array | None:
        """The first matching places of a run; None where so many of it had to be looked at that all are sooner."""
        found: list[Array] = []
        count, at, step = 0, 0, _RUN
        while at < len(run) and count < limit:
            step = min(step, rows // SPARSE + 1 - at)
            if step <= 0:
                return None
            near = run[at : at + step]
            near = near[near < rows]
            found.append(near[self._matching(block, near, rows)])
            count, at, step = count + len(found[-1]), at + step, step * 4
        return np.concatenate(found)[:limit] if found else run[:0]

    def _compared(
        self, block: LiveBlock, field: Field, sign: int, floor: Ranked | None, worst: Ranked | None, rows: int
    ) -> Array:
        """Matching places whose value is known and not before one row nor after another along the sort."""
        # Once there is a page, a look at the values leaves fewer rows than most filters do.
        places = self._places(block, SPARSE if worst is None else 128)
        if places is not None and not len(places):
            return places
        where: slice | Array = slice(0, rows) if places is None else places[: bisect_left(places, rows)]
        column = block.view(where, rows).column(field.name, self._as_of)
        wanted = column.known
        first = sign * int(block.values["seq"][0 if sign > 0 else rows - 1])
        for bound, ahead in ((worst, False), (floor, True)):
            if bound is not None:
                tied_later = not ahead and first > sign * bound[1]
                fits = _BEYOND[ahead is (sign > 0), tied_later](column.values, bound[0])
                wanted = fits if wanted is None else wanted & fits
        if wanted is None or (isinstance(where, slice) and np.count_nonzero(wanted) * SPARSE > rows):
            hits = self._matching(block, where, rows)  # a run of rows is read faster than most of its places
            within = np.flatnonzero(hits if wanted is None else hits & wanted)
            return within if isinstance(where, slice) else where[within]
        within = np.flatnonzero(wanted)
        near = within if isinstance(where, slice) else where[within]
        return near[self._matching(block, near, rows)]

    def _later(self, block: LiveBlock, field: Field, sign: int, floor: Ranked, rows: int, near: Array) -> Array:
        """Those of some places that come after a row along the sort."""
        values, seqs = block.view(near, rows).column(field.name, self._as_of).values, block.values["seq"][near]
        later = np.greater if sign > 0 else np.less
        wanted: Mask = later(values, floor[0]) | ((values == floor[0]) & later(seqs, floor[1]))
        return near[wanted]

    def _by_rank(self, field: Field, sign: int) -> Iterator[tuple[float, int, LiveBlock, int]]:
        """Blocks in which the field is known somewhere, with how many rows count.

        Before them the least rank there can be, and the least seq along the sort.
        """
        for block, rows in self._rows():
            first = sign * int(block.values["seq"][0 if sign > 0 else rows - 1])
            held = block.values.get(field.name)
            if block.zones is None or held is None or held.dtype.kind == "b":
                yield -np.inf, first, block, rows
                continue
            end = (block.zones.high if sign < 0 else block.zones.low).get(field.name)
            if end is not None:
                yield sign * end, first, block, rows

    def _rows(self) -> Iterator[tuple[LiveBlock, int]]:
        for block, whole in self._snapshot.blocks:
            if rows := self._rows_of(block, whole):
                yield block, rows

    def _rows_of(self, block: LiveBlock, rows: int) -> int:
        """How many of the first rows of a block count as of the seq that is asked for."""
        seqs = block.values["seq"]  # narrow: searchsorted would convert all of them to find a place
        return rows if not rows or seqs[rows - 1] <= self._as_of else bisect_right(seqs, self._as_of, hi=rows)

    def _found(
        self, *, descending: bool, after: int | None = None, step: int | None = _STEP, lacking: str | None = None
    ) -> Iterator[tuple[LiveBlock, Array]]:
        """Places of matching rows, ascending within a part of a block; the parts in the direction of the walk.

        ``lacking`` is a field: blocks in which it is known everywhere are passed by.
        """
        for block, rows in sorted(self._rows(), key=lambda item: item[0].values["seq"][0], reverse=descending):
            seqs, low, high = block.values["seq"][:rows], 0, rows
            if after is not None and descending:
                high = bisect_left(seqs, after)
            elif after is not None:
                low = bisect_right(seqs, after)
            if low >= high or (lacking is not None and lacking not in block.known):
                continue
            places = self._places(block)
            if places is not None:
                near = places[bisect_left(places, low) : bisect_left(places, high)]
                if len(near):
                    yield block, near[self._matching(block, near, rows)]
                continue
            while low < high:
                length = high - low if step is None else min(step, high - low)
                part = slice(high - length, high) if descending else slice(low, low + length)
                hits = self._matching(block, part, rows)
                yield block, np.flatnonzero(hits) + part.start
                if descending:
                    high -= length
                else:
                    low += length
                step = None if step is None else step * 4

    def _places(self, block: LiveBlock, sparse: int = SPARSE) -> Array | None:
        return self._hints.places(block, self._snapshot.words.texts["symbol"].words, sparse)

    def _matching(self, block: LiveBlock, where: slice | Array, rows: int) -> Mask:
        if time.monotonic() > self._until or self._unwanted():
            raise StoreTimeout("the search took longer than it may")
        hits = self._sieve.hits(block, where, rows, self._as_of)
        self.looked_at += len(hits)
        return hits


def can_sort(field: Field) -> bool:
    """Whether rows can be sorted by a field here: numbers and yes-or-no, not text."""
    return field.type.kind not in TEXTUAL


def _run(block: LiveBlock, field: Field, sign: int, floor: Ranked | None, worst: Ranked | None) -> Array | None:
    """Places in the order of a field, along the sort, after one row and up to another and what is tied with that.

    None where no order is kept.
    """
    places = block.zones.ranked.get(field.name) if block.zones else None
    if places is None:
        return None
    values, seqs = block.values[field.name], block.values["seq"]
    first, end = 0, len(places)
    if worst is not None and sign > 0:
        end = bisect_right(places, worst[0], key=values.item)
    elif worst is not None:
        first = bisect_left(places, worst[0], key=values.item)
    if floor is not None:
        bisect = bisect_right if sign > 0 else bisect_left
        at = bisect(places, floor, key=lambda place: (values.item(place), seqs.item(place)))
        first, end = (max(first, at), end) if sign > 0 else (first, min(end, at))
    return places[first : max(first, end)][::sign]


def _among(places: Array, values: Array, run: Array) -> Array:
    """Those of some places with a value that the run has, or one between."""
    low, high = sorted((values[run[0]].item(), values[run[-1]].item()))
    here = values[places]
    wanted: Mask = (here >= low) & (here <= high)
    return places[wanted]


def _first(block: LiveBlock, found: Array, count: int, descending: bool) -> list[int]:
    """Seqs of the first so many of some rows, which are given ascending."""
    seqs: list[int] = block.values["seq"][found[::-1][:count] if descending else found[:count]].tolist()
    return seqs


def _number(key: Key) -> int | float:
    assert key is not None and not isinstance(key, str)
    return key
