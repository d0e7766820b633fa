"""What happened at each seq, in batches, and what it means to a watch: a filter on the log.

Nothing here waits or is shared between threads; ``groups`` gives the same meaning for many watches at once.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, TypeAlias

from phenix.engine.blocks import Block
from phenix.engine.flow import INDEX, Row
from phenix.engine.predicate import Predicate
from phenix.engine.query.plan import CANCEL_FIELDS
from phenix.engine.store.base import Reader

__all__ = ["Batch", "Event", "Kind", "Step", "Watch", "WatchKey", "read_batch"]

_SEQ: Final = INDEX["seq"]
_RECORD: Final = INDEX["cancel_record"]
_CANCELLED: Final = INDEX["cancelled_seq"]
_VERSION: Final = INDEX["rule_version"]
_BATCH_ROWS: Final = 1000

WatchKey: TypeAlias = tuple[str, str, bool]
"""Rule version, canonical filter, with cancelled rows or not."""


@dataclass(frozen=True, slots=True)
class Step:
    """One seq of the log: its row, and the row it takes back when it is a cancel that found one."""

    seq: int
    row: Row
    original: Row | None = None

    @property
    def special(self) -> bool:
        """Whether it is anything but a new print."""
        return self.original is not None or bool(self.row[_RECORD])


@dataclass(frozen=True, slots=True)
class Batch:
    """Every step in (after, upto].

    ``matched`` holds what they mean to watches, ``encoded`` what streams made of that, so that both are made once for
    all subscribers who want the same. ``replayed`` says that the subscriber was too slow and these are read again,
    ``published_at`` when it was offered to all, UTC seconds; 0 for what one subscriber reads itself.
    """

    after: int
    upto: int
    steps: tuple[Step, ...] = ()
    replayed: bool = False
    published_at: float = 0.0
    encoded: dict[Hashable, bytes] = field(default_factory=dict, compare=False, repr=False)
    matched: dict[WatchKey, tuple[Event, ...]] = field(default_factory=dict, compare=False, repr=False)
    _columns: list[Block] = field(default_factory=list, compare=False, repr=False)

    @property
    def version(self) -> str:
        """The rule version that tagged its rows, one for all of them; empty without any."""
        return self.steps[0].row[_VERSION] if self.steps else ""

    @property
    def rows(self) -> list[Row]:
        """The row of each step."""
        return [step.row for step in self.steps]

    @property
    def columns(self) -> Block:
        """The same by column, each built when it is first read; for one thread at a time."""
        if not self._columns:
            self._columns.append(Block.of_rows(self.rows))
        return self._columns[0]

    @property
    def taken_back(self) -> list[Row]:
        """The rows that its cancels took back."""
        return [step.original for step in self.steps if step.original is not None]

    def since(self, position: int) -> Batch:
        """The part of it after a seq."""
        if position <= self.after:
            return self
        later = tuple(step for step in self.steps if step.seq > position)
        return Batch(position, self.upto, later, published_at=self.published_at)

    def events(self, watch: Watch) -> tuple[Event, ...]:
        """What it means to a watch."""
        found = self.matched.get(watch.key)
        if found is None:
            found = self.matched[watch.key] = tuple(event for step in self.steps if (event := watch.event(step)))
        return found


def read_batch(reader: Reader, after: int, upto: int | None = None, limit: int = _BATCH_ROWS) -> Batch:
    """The next steps after a seq, at most ``limit``, none beyond ``upto``, all tagged by one rule version.

    Raises StoreError.
    """
    rows = reader.rows_after(after, limit)
    full = len(rows) == limit
    if upto is not None and rows and rows[-1][_SEQ] > upto:
        rows, full = [row for row in rows if row[_SEQ] <= upto], False
    same = next((at for at, row in enumerate(rows) if row[_VERSION] != rows[0][_VERSION]), len(rows))
    if same < len(rows):
        rows, full = rows[:same], True
    last = rows[-1][_SEQ] if rows else after
    if not full and upto is not None:
        last = max(last, upto)
    taken_back = {}
    if any(row[_RECORD] for row in rows):
        taken_back = {row[_CANCELLED]: row for row in reader.cancelled_between(after, last)}
    return Batch(after, last, tuple(Step(row[_SEQ], row, taken_back.get(row[_SEQ])) for row in rows))


class Kind(StrEnum):
    """What an event does to the row it carries."""

    UPDATED = "flow.updated"
    RETRACTED = "flow.retracted"


@dataclass(frozen=True, slots=True)
class Event:
    """What one seq means to one subscriber.

    ``row`` is the print (for a retraction the original), ``record`` the cancel record where the
    subscriber's filter matches that as well. There is at most one event a seq, so a seq is a place
    to resume from.
    """

    seq: int
    kind: Kind
    row: Row
    record: Row | None = None

    @property
    def key(self) -> Hashable:
        """Equal for events of one log that say the same: at a cancel's seq one is told of its print, another of it."""
        return self.kind, self.seq, self.row[_SEQ], self.record is None


@dataclass(frozen=True, slots=True)
class Watch:
    """A filter on the log, judged at each seq as of that seq.

    Cancel records and prints already taken back are left out unless ``include_cancelled`` is set or
    the filter reads them; a print that matched before its cancel is retracted at the cancel's seq.
    """

    predicate: Predicate
    include_cancelled: bool = False

    @property
    def key(self) -> WatchKey:
        """Equal for watches that mean the same."""
        return self.predicate.bundle.version, self.predicate.text, self.include_cancelled

    def event(self, step: Step) -> Event | None:
        """What a step means to this filter."""
        matches, original = self.predicate.matches, step.original
        return self.meaning(
            step,
            here=matches(step.row, step.seq),
            before=original is not None and matches(original, step.seq - 1),
            after=original is not None and matches(original, step.seq),
        )

    def meaning(self, step: Step, *, here: bool, before: bool, after: bool) -> Event | None:
        """What a step means where its row matches, and its original does before the cancel and after it."""
        reads = self.predicate.reads
        here = here and (self.include_cancelled or not step.row[_RECORD] or bool(CANCEL_FIELDS & reads))
        if step.original is not None:
            record = step.row if here else None
            if before:
                return Event(step.seq, Kind.RETRACTED, step.original, record)
            if after and "cancelled" in reads:
                return Event(step.seq, Kind.UPDATED, step.original, record)
        return Event(step.seq, Kind.UPDATED, step.row) if here else None
