"""Pages and counts from the session in memory, in the order and with the ties the store's SQL gives.

Rows are looked at from the end a page begins at and no further than it needs; by another field, blocks are passed by
whose values cannot be among the best found so far.
"""

from __future__ import annotations

import math
import time
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
from phenix.engine.live.tally import Tally
from phenix.engine.predicate import Predicate
from phenix.engine.store.base import StoreTimeout
from phenix.engine.targets.arrays import Array, Block, Mask
from phenix.engine.targets.columns import compile_filter

__all__ = ["Search", "Spot", "can_sort"]

_STEP: Final = 4_096
"""Rows looked at first; more at each further step."""
_SPARSE: Final = 8
"""One row in so many is few: they are read place by place, more of them as a run."""
_BEYOND: Final = {
    (True, False): np.greater_equal,
    (True, True): np.greater,
    (False, False): np.less_equal,
    (False, True): np.less,
}
"""How values compare with a bound: whether they lie above it, and strictly."""
_SHOWN: Final = (c.Not(c.Field("cancel_record", Kind.BOOL, False)), c.Not(c.Field("cancelled", Kind.BOOL, False)))

Key = bool | int | float | str | None


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
        self._matches: Callable[[Block, int], Mask] = compile_filter(core, bundle.params, bundle.bits)
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
        """Sums over every row that is shown: those of sealed blocks are known, but for what was taken back since."""
        count, sealed = self._snapshot.sealed
        tally = sealed.copy()
        for number, (block, rows) in enumerate(self._snapshot.blocks):
            taken = np.array([at for at, by in list(block.cancels.items()) if by <= self._as_of], np.int64)
            if number < count and len(taken):
                taken = taken[~block.values["cancel_record"][taken]]
                tally.add(block.view(taken, block.room), block.contracts_of(taken), -1)
            elif number >= count:
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
        for block, found in self._found(descending=descending, after=after):
            known = block.known.get(field.name)
            if known is None:
                continue
            unknown = found[~known[found]]
            spots += [Spot(seq, None) for seq in _first(block, unknown, limit - len(spots), descending)]
            if len(spots) == limit:
                break
        return spots

    def _known(self, field: Field, limit: int, descending: bool, after: Spot | None) -> list[Spot]:
        """Kept in order are the best so far, by ranks that rise along the sort: values, negated where it descends."""
        sign = -1 if descending else 1
        floor = None if after is None or after.key is None else (sign * _number(after.key), sign * after.seq)
        ranks = seqs = np.empty(0, np.int64)
        for best, first, block, rows in sorted(self._by_rank(field, sign), key=itemgetter(0, 1)):
            full = len(ranks) == limit
            tied_later = full and first > seqs[-1]
            if full and (best > ranks[-1] or (best == ranks[-1] and tied_later)):
                break
            # Once there is a page, a look at the values leaves fewer rows than most filters do.
            places = self._places(block, 128 if full else _SPARSE)
            if places is not None and not len(places):
                continue
            where: slice | Array = slice(0, rows) if places is None else places[: places.searchsorted(rows)]
            column = block.view(where, rows).column(field.name, self._as_of)
            wanted = column.known
            for bound, ahead in ((ranks[-1] * sign if full else None, False), (floor and floor[0] * sign, True)):
                if bound is not None:
                    compare = _BEYOND[ahead is (sign > 0), tied_later and not ahead]
                    fits = compare(column.values, bound)
                    wanted = fits if wanted is None else wanted & fits
            if wanted is None or (isinstance(where, slice) and np.count_nonzero(wanted) * _SPARSE > rows):
                hits = self._matching(block, where, rows)  # a run of rows is read faster than most of its places
                within = np.flatnonzero(hits if wanted is None else hits & wanted)
                near = within if isinstance(where, slice) else where[within]
            else:
                within = np.flatnonzero(wanted)
                near = within if isinstance(where, slice) else where[within]
                hits = self._matching(block, near, rows)
                within, near = within[hits], near[hits]
            values, seq = column.values[within], block.values["seq"][near].astype(np.int64)
            rank, seq = sign * (values if values.dtype.kind == "f" else values.astype(np.int64)), sign * seq
            if floor is not None:
                beyond = (rank > floor[0]) | (seq > floor[1])
                rank, seq = rank[beyond], seq[beyond]
            if len(rank) > limit:  # most of them need no place in an order
                some = rank <= np.partition(rank, limit - 1)[limit - 1]
                rank, seq = rank[some], seq[some]
            ranks, seqs = np.concatenate((ranks, rank)) if len(ranks) else rank, np.concatenate((seqs, seq))
            order = np.lexsort((seqs, ranks))[:limit]
            ranks, seqs = ranks[order], seqs[order]
        return [Spot(sign * seq, sign * rank) for seq, rank in zip(seqs.tolist(), ranks.tolist(), strict=True)]

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
        for block, rows in self._snapshot.blocks:
            rows = int(block.values["seq"][:rows].searchsorted(self._as_of, "right"))
            if rows:
                yield block, rows

    def _found(
        self, *, descending: bool, after: int | None = None, step: int | None = _STEP
    ) -> Iterator[tuple[LiveBlock, Array]]:
        """Places of matching rows, ascending within a part of a block; the parts in the direction of the walk."""
        for block, rows in sorted(self._rows(), key=lambda item: item[0].values["seq"][0], reverse=descending):
            seqs, low, high = block.values["seq"][:rows], 0, rows
            if after is not None and descending:
                high = int(seqs.searchsorted(after, "left"))
            elif after is not None:
                low = int(seqs.searchsorted(after, "right"))
            if low >= high:
                continue
            places = self._places(block)
            if places is not None:
                near = places[places.searchsorted(low) : places.searchsorted(high)]
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

    def _places(self, block: LiveBlock, sparse: int = _SPARSE) -> Array | None:
        return self._hints.places(block, self._snapshot.words.texts["symbol"].words, sparse)

    def _matching(self, block: LiveBlock, where: slice | Array, rows: int) -> Mask:
        if time.monotonic() > self._until or self._unwanted():
            raise StoreTimeout("the search took longer than it may")
        view = block.view(where, rows)
        self.looked_at += view.rows
        return self._matches(view, self._as_of)


def can_sort(field: Field) -> bool:
    """Whether rows can be sorted by a field here: numbers and yes-or-no, not text."""
    return field.type.kind not in TEXTUAL


def _first(block: LiveBlock, found: Array, count: int, descending: bool) -> list[int]:
    """Seqs of the first so many of some rows, which are given ascending."""
    seqs: list[int] = block.values["seq"][found[::-1][:count] if descending else found[:count]].tolist()
    return seqs


def _number(key: Key) -> int | float:
    assert key is not None and not isinstance(key, str)
    return key
