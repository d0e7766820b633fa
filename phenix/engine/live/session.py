"""One session in blocks, read from the log or from the store's rows of it, and kept on disk where there is a folder.

One thread at a time takes it further; a snapshot is what there is at a moment, and stays that.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from phenix.engine.blocks import Block
from phenix.engine.flow import INDEX, Row
from phenix.engine.live.block import LiveBlock, OpenBlock
from phenix.engine.live.file import UnfitError, read_block, write_block
from phenix.engine.live.tally import Tally
from phenix.engine.live.words import Vocabulary
from phenix.engine.store.base import Reader
from phenix.engine.store.schema import ENRICHED_TABLE, RAW_TABLE, SELECT_STORED

__all__ = ["Session", "Snapshot", "begin"]

_SEQ: Final = INDEX["seq"]
_SAME: Final = ("trade_id", "ingested_at_utc", "enriched_at_utc")
"""What tells a row from the same print stored by another run."""
_DATE: Final = INDEX["session_date"]
_RECORD: Final = INDEX["cancel_record"]
_CANCELLED: Final = INDEX["cancelled_seq"]
_READ: Final = 5_000
"""Rows that are read at a time."""
_FIRST: Final = f"SELECT min(seq) FROM {RAW_TABLE} WHERE session_date = ?"
_NEXT: Final = f"{SELECT_STORED} WHERE t.session_date = ? AND t.seq > ? AND t.seq <= ? ORDER BY t.seq LIMIT ?"
_TAKEN_BACK: Final = (
    f"SELECT seq, cancelled_seq FROM {ENRICHED_TABLE}"
    " WHERE cancelled_seq > ? AND cancelled_seq <= ? AND seq BETWEEN ? AND ?"
)
_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The session up to ``position``: blocks in seq order, each with how many of its rows count.

    ``sealed`` are sums over all rows of so many first blocks, cancel records left out and prints taken back not.
    """

    session: int
    position: int
    blocks: tuple[tuple[LiveBlock, int], ...]
    words: Vocabulary
    sealed: tuple[int, Tally]


class Session:
    """A session as far as it was read; its blocks share the words. Sealed blocks go to ``folder``, if there is one."""

    def __init__(self, date: int, position: int, room: int, folder: Path | None) -> None:
        self.date = date
        self.position = position
        self.blocks: list[LiveBlock] = []
        self.words = Vocabulary()
        self.sealed = (0, Tally())
        self._room = room
        self._folder = folder
        self._told = 0
        """How many contracts the blocks on disk hold."""

    def restore(self, reader: Reader) -> bool:
        """Begin with the blocks on disk; False, with nothing taken, when they are not what the store holds."""
        if self._folder is None:
            return True
        before, cancels_upto = self.position, None
        try:
            while (path := self._path(len(self.blocks))).exists():
                block, as_of = read_block(path, self.date, self.words, self.position)
                self.blocks.append(block)
                self.position = int(block.seqs[-1])
                self._told = len(self.words.contracts.known)
                cancels_upto = as_of if cancels_upto is None else min(as_of, cancels_upto)
        except (UnfitError, OSError) as error:
            _logger.warning("the blocks of %s are read anew: %s does not fit", self.date, error)
            return False
        if cancels_upto is None:
            return True
        if not self._is_of(reader, before):
            _logger.warning("the blocks of %s are read anew: they are of another store", self.date)
            return False
        self._take_back(self._taken_back(reader, cancels_upto, self.position))
        self._sum_up()
        return True

    def _is_of(self, reader: Reader, after: int) -> bool:
        """Whether the blocks hold the rows of the store from a seq on: their ends, and as many between."""
        ours = {
            int(block.values["seq"][at]): [int(block.values[name][at]) for name in _SAME]
            for block in self.blocks
            for at in (0, -1)
        }
        if {row[_SEQ]: [row[INDEX[name]] for name in _SAME] for row in reader.rows_at(sorted(ours))} != ours:
            return False
        for block in self.blocks:
            last = int(block.seqs[-1])
            # Where a block has every seq there is, the store cannot have more: that saves counting millions of rows.
            if last - after != block.rows and reader.session_count(self.date, last, after) != block.rows:
                return False
            after = last
        return True

    def read(self, reader: Reader, upto: int) -> None:
        """Take the next rows of the log up to a seq, and what they cancel."""
        rows = reader.rows_after(self.position, _READ)
        last = rows[-1][_SEQ] if len(rows) == _READ else max(upto, rows[-1][_SEQ] if rows else 0)
        cancelled = reader.cancelled_between(self.position, last) if any(row[_RECORD] for row in rows) else ()
        self.take(rows, cancelled, last)

    def take(self, rows: Sequence[Row], cancelled: Iterable[Row], last: int, columns: Block | None = None) -> None:
        """Take the rows up to a seq, and what they cancelled; ``columns`` are the same rows where somebody has them."""
        ours = [row for row in rows if row[_DATE] == self.date]
        if columns is None or len(ours) < len(rows):
            columns = Block.of_rows(ours)
        while ours:
            if not self.blocks or not isinstance(self.blocks[-1], OpenBlock):
                self.blocks.append(OpenBlock(self.words, self._room))
            block = self.blocks[-1]
            assert isinstance(block, OpenBlock)
            taken = block.append(ours, columns)
            ours, columns = ours[taken:], columns[taken:]
            if block.full:
                self.blocks[-1] = self._kept(block.sealed())
        self._take_back((row[_SEQ], row[_CANCELLED]) for row in cancelled)
        self.position = last  # last: whoever sees it finds the rows there
        self._sum_up()

    def advance(self, reader: Reader, upto: int, most: int = _READ) -> bool:
        """Take the next rows of this session alone, at most so many of those up to a seq; whether those are all."""
        if self.position >= upto:
            return True
        rows = reader.execute(_NEXT, (self.date, self.position, upto, most))
        last = upto if len(rows) < most else rows[-1][_SEQ]
        # Both are read before anything is taken: a statement may be stopped. New rows say what cancelled them.
        cancelled = self._taken_back(reader, self.position, last)
        self._take_back(cancelled)
        self.take(rows, (), last)
        return last == upto

    def seal(self) -> None:
        """Nothing more is expected: the last block is sealed, too."""
        if self.blocks and isinstance(self.blocks[-1], OpenBlock):
            self.blocks[-1] = self._kept(self.blocks[-1].sealed())
            self._sum_up()

    def snapshot(self) -> Snapshot:
        """What there is now."""
        sealed = self.sealed  # first: its rows are up to the position
        position = self.position  # second: rows and cancels up to it are there
        counted = tuple((block, block.rows) for block in tuple(self.blocks))
        return Snapshot(self.date, position, counted, self.words, sealed)

    def _sum_up(self) -> None:
        """Take blocks that were sealed since into the sums."""
        count, tally = self.sealed
        new = [block for block in self.blocks[count:] if not isinstance(block, OpenBlock)]
        if new:
            tally = tally.copy()  # whoever has the old one keeps it as it is
            for block in new:
                assert block.sums is not None and block.contracts is not None
                tally.merge(block.sums, block.contracts)
            self.sealed = (count + len(new), tally)

    def _taken_back(self, reader: Reader, after: int, upto: int) -> Iterable[tuple[int, int]]:
        """Seqs of rows here that were taken back by a cancel in (after, upto], and that cancel's."""
        if not self.blocks:
            return ()
        ends = int(self.blocks[0].seqs[0]), int(self.blocks[-1].seqs[-1])
        return ((seq, by) for seq, by in reader.execute(_TAKEN_BACK, (after, upto, *ends)))

    def _take_back(self, cancelled: Iterable[tuple[int, int]]) -> None:
        for seq, by in cancelled:
            for block in reversed(self.blocks):
                if block.cancel(seq, by):
                    break

    def _kept(self, block: LiveBlock) -> LiveBlock:
        """The same block on disk; as it is where it cannot be written."""
        if self._folder is None:
            return block
        path = self._path(len(self.blocks) - 1)
        try:
            write_block(path, block, self.date, self.words, self._told, self.position)
            kept, _ = read_block(path, self.date, self.words)
        except (UnfitError, OSError) as error:
            _logger.warning("the blocks of %s stay in memory: %s", self.date, error)
            self._folder = None
            return block
        self._told = len(self.words.contracts.known)
        kept.cancels = block.cancels  # whoever still holds the other form sees new ones, too
        return kept

    def _path(self, number: int) -> Path:
        assert self._folder is not None
        return self._folder / str(self.date) / f"{number:04d}.block"


def begin(reader: Reader, date: int, room: int, folder: Path | None) -> Session:
    """A session with what blocks on disk hold of it, where they fit the store."""
    before = (reader.execute(_FIRST, (date,))[0][0] or 1) - 1
    session = Session(date, before, room, folder)
    if session.restore(reader):
        return session
    if folder is not None:
        shutil.rmtree(folder / str(date), ignore_errors=True)
    return Session(date, before, room, folder)
