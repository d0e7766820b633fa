"""A block of a session in memory: up to 65,536 rows by column, in seq order.

An open block takes rows; a sealed one is full, its columns as narrow as their values, and knows what lets a search
pass it by (:mod:`phenix.engine.live.zones`). Only ``cancelled_seq`` ever changes after that: cancels are kept beside.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Any, Final

import numpy as np

from phenix.dsl.types import REAL, TEXTUAL, Kind
from phenix.engine import blocks
from phenix.engine.flow import INDEX, Row
from phenix.engine.live.tally import Tally
from phenix.engine.live.words import CONTRACT, HELD, Vocabulary
from phenix.engine.live.zones import Zones, zones_of
from phenix.engine.targets.arrays import Array, Column

__all__ = ["ROWS", "LiveBlock", "OpenBlock"]

ROWS: Final = 65_536
_CONTRACT: Final = tuple(INDEX[name] for name in CONTRACT)
_CANCELLED: Final = INDEX["cancelled_seq"]


_NOWHERE: Final = Column(np.zeros(ROWS, np.int64), np.zeros(ROWS, np.bool_))
"""``cancelled_seq`` of rows of which none was taken back."""


class LiveBlock:
    """Rows by column. ``values`` and ``known`` are arrays by field; without a mask a value is known everywhere.

    ``contract`` is a code for each row, whose contract the vocabulary has under ``contracts[code]``.
    """

    def __init__(
        self,
        values: Mapping[str, Array],
        known: Mapping[str, Array],
        contract: Array,
        contracts: Array | None,
        rows: int,
        words: Vocabulary,
        zones: Zones | None,
        cancels: dict[int, int] | None = None,
        sums: Tally | None = None,
    ) -> None:
        self.values = values
        self.known = known
        self.contract = contract
        self.contracts = contracts
        self.rows = rows
        self.room = len(values["seq"])
        self.zones = zones
        self._words = words
        self.sums = sums
        """Of a sealed block over its prints, those taken back too; contracts by their place in :attr:`contracts`."""
        self.cancels: dict[int, int] = {} if cancels is None else cancels
        """Place of each row that was taken back -> seq of its cancel."""
        self._cancelled: tuple[int, Column] | None = None

    @property
    def seqs(self) -> Array:
        """Seq of each row, ascending."""
        return self.values["seq"][: self.rows]

    def view(self, rows: slice | Array, as_of_rows: int) -> blocks.Block:
        """Some rows as compiled conditions read them: a run of them, or those at places in order."""
        length = len(range(as_of_rows)[rows]) if isinstance(rows, slice) else len(rows)

        def build(name: str) -> Column:
            whole = self._column(name)
            known = None if whole.known is None else whole.known[rows]
            return Column(whole.values[rows], known, whole.words)

        return blocks.Block({}, length, build)

    def contracts_of(self, rows: slice | Array) -> Array:
        """Codes of the contracts of some rows."""
        codes = self.contract[rows]
        return codes if self.contracts is None else self.contracts[codes]

    def cancel(self, seq: int, by: int) -> bool:
        """Note that a row was taken back by the cancel at seq ``by``; False when the row is not here."""
        seqs = self.seqs
        place = bisect_left(seqs, seq)
        if place == len(seqs) or seqs[place] != seq:
            return False
        self.cancels[place] = by
        return True

    def _column(self, name: str) -> Column:
        if name == "cancelled_seq":
            return self._taken_back()
        lexicon = self._words.texts.get(name)
        return Column(self.values[name], self.known.get(name), None if lexicon is None else lexicon.words)

    def _taken_back(self) -> Column:
        count = len(self.cancels)
        if not count:
            return _NOWHERE
        kept = self._cancelled
        if kept is None or kept[0] != count:
            values, known = np.zeros(self.room, np.int64), np.zeros(self.room, np.bool_)
            for place, by in list(self.cancels.items()):
                values[place], known[place] = by, True
            kept = self._cancelled = count, Column(values, known)
        return kept[1]  # ours: another thread that began with fewer may have put an older one there


class OpenBlock(LiveBlock):
    """A block that still takes rows."""

    values: dict[str, Array]
    known: dict[str, Array]

    def __init__(self, words: Vocabulary, room: int = ROWS) -> None:
        super().__init__(
            {f.name: np.zeros(room, _dtype(f.type.kind)) for f in HELD},
            {f.name: np.zeros(room, np.bool_) for f in HELD if f.nullable},
            np.zeros(room, np.uint32),
            None,
            0,
            words,
            None,
        )

    @property
    def full(self) -> bool:
        """Whether there is no room left."""
        return self.rows == self.room

    def append(self, rows: Sequence[Row], columns: blocks.Block) -> int:
        """Take rows, given also by column, as far as there is room; how many that were."""
        room = self.room - self.rows
        if len(rows) > room:
            rows, columns = rows[:room], columns[:room]
        start, end = self.rows, self.rows + len(rows)
        for field in HELD:
            column = columns.stored(field.name)
            lexicon = self._words.texts.get(field.name)
            self.values[field.name][start:end] = column.values if lexicon is None else lexicon.recoded(column)
            if field.nullable:
                self.known[field.name][start:end] = True if column.known is None else column.known
        self.contract[start:end] = self._words.contracts.codes(map(itemgetter(*_CONTRACT), rows))
        for place, row in enumerate(rows, start):
            if row[_CANCELLED] is not None:
                self.cancels[place] = row[_CANCELLED]
        self.rows = end
        return len(rows)

    def sealed(self) -> LiveBlock:
        """The same rows for good, narrow and with what lets a search pass them by."""
        values = {name: _narrowed(array[: self.rows]) for name, array in self.values.items()}
        known = {name: mask[: self.rows] for name, mask in self.known.items() if not mask[: self.rows].all()}
        zones = zones_of(values, known, self._words.texts["symbol"].words)
        contracts, contract = np.unique(self.contract[: self.rows], return_inverse=True)
        codes = contract.astype(np.uint16)
        prints = np.flatnonzero(~values["cancel_record"])
        sums = Tally()
        sums.add(self.view(prints, self.rows), codes[prints])
        return LiveBlock(values, known, codes, contracts, self.rows, self._words, zones, self.cancels, sums)


def _dtype(kind: Kind) -> Any:
    if kind in TEXTUAL:
        return np.uint16
    return np.bool_ if kind is Kind.BOOL else np.float64 if kind in REAL else np.int64


def _narrowed(values: Array) -> Array:
    """A copy in the smallest type that holds its whole numbers; never uint64, which NumPy compares as doubles."""
    if values.dtype.kind not in "iu":
        return values.copy()
    smallest = np.result_type(*map(np.min_scalar_type, (values.min(), values.max())))
    return values.astype(np.int64 if smallest == np.uint64 else smallest)
