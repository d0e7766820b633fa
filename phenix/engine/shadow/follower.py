"""The candidate beside the active version on every row: a follower of the log that the recorder drives.

It has a position of its own. A batch that follows it directly is compared from the arrays the enricher has just made;
whenever it is behind (a candidate was named in the middle of a session, the process was killed) it reads stored rows,
some with each batch, until it is level again. What it counts is stored beside its position every so often, so that
a restart reads the rows after that again and comes to the same numbers. Nothing here holds up a row: batches are
compared once they are committed.
"""

from __future__ import annotations

import logging
import time
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Final

from phenix.engine.blocks import Block
from phenix.engine.bundle import Bundle
from phenix.engine.enrich.calendar import Calendar
from phenix.engine.enrich.enricher import Enriched
from phenix.engine.enrich.formulas import Constants
from phenix.engine.flow import ENRICHED, INDEX, Row
from phenix.engine.shadow.comparator import Comparator, dates_of
from phenix.engine.shadow.counts import Counts
from phenix.engine.shadow.evaluation import PAGE, Evaluation, Tagged, tagged
from phenix.engine.store.base import Writer
from phenix.engine.store.shadow import LIVE, Candidate, Comparison, candidate, comparisons

__all__ = ["Follower"]

_logger = logging.getLogger(__name__)
_SEQ, _DATE, _VERSION = INDEX["seq"], INDEX["session_date"], INDEX["rule_version"]
_TAGGED_BY: Final = next(i for i, field in enumerate(ENRICHED) if field.name == "rule_version")
_SAVE_ROWS: Final = 50_000
_SAVE_S: Final = 5.0
_GATHER_ROWS: Final = 1_000
_GATHER_S: Final = 0.5
_REST_S: Final = 0.1
_LEAVE_S: Final = 1.0
_STEP: Final = 1_000
"""Fewest stored rows that are read with a batch while the follower is behind."""
_PAGE: Final = 5_000
Tell = Callable[[list[Comparison]], None]


class Follower:
    """Compares what ``writer`` stores; ``bundles`` are rule versions by id, None where one cannot be had.

    It is to be asked whether it is :meth:`wanted` before it is told of rows: the candidate may be another by now.

    ``save_rows`` and ``save_s`` bound what is counted and not stored; small batches are compared together, up to
    ``gather_rows`` or for half a second; ``page`` rows of the past are entered at a time. ``clock`` is UTC
    milliseconds. ``tell`` gets the stored comparisons of sessions that are over, and at the end all that are new.
    """

    def __init__(
        self,
        writer: Writer,
        bundles: Callable[[str], Bundle | None],
        calendar: Calendar,
        clock: Callable[[], int],
        *,
        save_rows: int = _SAVE_ROWS,
        save_s: float = _SAVE_S,
        gather_rows: int = _GATHER_ROWS,
        page: int = PAGE,
        tell: Tell | None = None,
    ) -> None:
        self._writer = writer
        self._bundles = bundles
        self._calendar = calendar
        self._clock = clock
        self._save_rows = save_rows
        self._save_s = save_s
        self._gather_rows = gather_rows
        self._page = page
        self._tell = tell
        self._run: _Run | None = None

    def wanted(self) -> bool:
        """Whether a version is in shadow now, and can be used. Raises StoreError."""
        named = candidate(self._writer.reads)
        run = self._run
        if named is None:
            self._run = None
        elif run is None or (run.named.version_id, run.named.since_utc) != (named.version_id, named.since_utc):
            self._run = _Run(named, self._writer, self._bundles, self._calendar, self._clock, self._page)
        return self._run is not None and self._run.bundle is not None

    @property
    def constants(self) -> Constants | None:
        """What the formulas take from the version in shadow, None without one: as of the last time it was looked up."""
        bundle = None if self._run is None else self._run.bundle
        return None if bundle is None else Constants.of(bundle)

    def stored(self, rows: Sequence[Row], found: Enriched, constants: Constants | None) -> None:
        """Take rows that were just stored and enriched, and read under ``constants`` beside. Raises StoreError."""
        run = self._wanted()
        if run.reached == rows[0][_SEQ] - 1 and constants == self.constants:
            run.gather(rows, found)
            if run.gathered >= self._gather_rows or time.monotonic() >= run.gather_until:
                run.compare()
        else:
            run.step(max(_STEP, 2 * len(rows)))
        self._save(run)

    def rest(self) -> None:
        """Use a moment without rows. Raises StoreError."""
        run = self._wanted()
        run.compare()
        until = time.monotonic() + _REST_S
        while run.step(_STEP) and time.monotonic() < until:
            pass
        self._save(run)

    def finish(self, *, level: bool) -> None:
        """Compare and store what was taken, and with ``level`` all that is stored, else what a second is enough for.

        Raises StoreError.
        """
        run = self._wanted()
        run.compare()
        until = time.monotonic() + _LEAVE_S
        while run.step(_PAGE if level else _STEP) and (level or time.monotonic() < until):
            pass
        self._save(run, now=True)

    def _wanted(self) -> _Run:
        assert self._run is not None
        return self._run

    def _save(self, run: _Run, *, now: bool = False) -> None:
        due = run.unsaved >= self._save_rows or time.monotonic() >= run.saved_at + self._save_s
        if run.unsaved and (now or due):
            run.save()
        if self._tell is not None and (found := run.to_tell(everything=now)):
            self._tell(found)


@dataclass(slots=True)
class _Counting:
    """A comparison as it grows."""

    counts: Counts
    upto_seq: int
    missed: int
    origin: str
    begun_at: int
    settled: bool = False
    """Whether it is known how many rows of the session lie before the next one and are not counted."""


class _Run:
    """A candidate's comparisons, from when it was named."""

    def __init__(
        self,
        named: Candidate,
        writer: Writer,
        bundles: Callable[[str], Bundle | None],
        calendar: Calendar,
        clock: Callable[[], int],
        page: int,
    ) -> None:
        self.named = named
        self.bundle = bundles(named.version_id)
        self.position = named.counted_seq
        self.unsaved = 0
        self.saved_at = time.monotonic()
        self.gather_until = 0.0
        self._writer = writer
        self._bundles = bundles
        self._calendar = calendar
        self._clock = clock
        self._page = page
        self._gathered: list[tuple[Sequence[Row], Enriched]] = []
        self._beside: tuple[str, tuple[Evaluation, Comparator] | None] = "", None
        self._counting: dict[tuple[int, str], _Counting] = {}
        self._dirty: set[tuple[int, str]] = set()
        self._untold: dict[tuple[int, str], Comparison] = {}
        # Of the two sessions counted last: the process before may have ended just before it told of the earlier one.
        kept = sorted(comparisons(writer.reads, named.version_id), key=lambda one: -one.upto_seq)
        recent = list(dict.fromkeys(one.session_date for one in kept))[:2]
        for one in kept:
            if one.session_date in recent:
                self._take_up(one)
        if self.bundle is not None:
            _logger.info("rule version %s is in shadow from seq %s on", named.version_id, self.position + 1)

    # -- what is compared

    @property
    def reached(self) -> int:
        """Seq of the last row taken, compared or gathered."""
        return int(self._gathered[-1][0][-1][_SEQ]) if self._gathered else self.position

    @property
    def gathered(self) -> int:
        """Rows taken and not compared yet."""
        return sum(len(rows) for rows, _ in self._gathered)

    def gather(self, rows: Sequence[Row], found: Enriched) -> None:
        """Take a batch that follows directly."""
        if self._gathered and _version(self._gathered[-1][1]) != _version(found):
            self.compare()
        if not self._gathered:
            self.gather_until = time.monotonic() + _GATHER_S
        self._gathered.append((rows, found))

    def compare(self) -> None:
        """Compare what is gathered; a batch is tagged by one version."""
        if not self._gathered:
            return
        found = [one for _, one in self._gathered]
        rows = [row for some, _ in self._gathered for row in some]
        self._gathered.clear()
        version = _version(found[0])
        block = Block.joined([one.block for one in found])
        beside = self._compared_with(version)
        new = beside and beside[0].of_figures(Block.joined([one.beside or one.block for one in found]))
        self._count(version, block, rows, tagged(block, sum(one.tag_ns for one in found)), new, timed=True)

    def step(self, most: int) -> int:
        """Compare some stored rows after the position, or come nearer to it; how many there were."""
        rows = self._writer.reads.rows_after(self.reached, most)
        if rows:
            self.compare()
            for version, some in groupby(rows, key=itemgetter(_VERSION)):
                part, beside = list(some), self._compared_with(version)
                if beside is not None and not beside[0].ready(part):
                    break
                block = Block.of_rows(part)
                self._count(version, block, part, tagged(block), beside and beside[0](block, part), timed=False)
        return len(rows)

    def _count(
        self, version: str, block: Block, rows: Sequence[Row], old: Tagged, new: Tagged | None, *, timed: bool
    ) -> None:
        beside = self._beside[1]
        for date, part in dates_of(block):
            if beside is not None and new is not None:
                counting = self._of(date, version, beside[1])
                start = bisect_right(rows, counting.upto_seq, part.start, part.stop, key=itemgetter(_SEQ))
                if start < part.stop:
                    some = slice(start, part.stop)
                    self._settle(date, counting, rows[start][_SEQ])
                    shares = [tags if _all(some, block) else _part(tags, some, block.rows) for tags in (old, new)]
                    beside[1].add(counting.counts, block if _all(some, block) else block[some], *shares, timed=timed)
                    counting.upto_seq = rows[part.stop - 1][_SEQ]
                    self._dirty.add((date, version))
            for key, other in self._counting.items():
                if key[0] == date and key[1] != version and other.upto_seq < rows[part.start][_SEQ]:
                    other.missed += part.stop - part.start
                    other.upto_seq = rows[part.stop - 1][_SEQ]
                    self._dirty.add(key)

        self.position = rows[-1][_SEQ]
        self.unsaved += len(rows)

    def _compared_with(self, version: str) -> tuple[Evaluation, Comparator] | None:
        """What compares rows of a version; None where that is the candidate itself, or cannot be had."""
        if version != self._beside[0]:
            # Anew after each change of version: an evaluation that enriches rows itself has to have seen each.
            active = None if version == self.named.version_id else self._bundles(version)
            self._beside = version, None if active is None else self._pair(active)
        return self._beside[1]

    def _pair(self, active: Bundle) -> tuple[Evaluation, Comparator]:
        assert self.bundle is not None
        history = self._writer.reads.session_raw
        evaluation = Evaluation(self.bundle, active, self._calendar, history, self._page)
        return evaluation, Comparator(active, self.bundle)

    def _of(self, date: int, version: str, comparator: Comparator) -> _Counting:
        """The comparison that rows go to; what is stored of it is gone on with."""
        counting = self._counting.get((date, version))
        if counting is None:
            reads = self._writer.reads
            kept = [one for one in comparisons(reads, self.named.version_id, version) if one.session_date == date]
            counting = self._take_up(kept[0]) if kept else None
        if counting is None:
            counting = self._counting[date, version] = _Counting(comparator.begin(), 0, 0, LIVE, self._clock())
        return counting

    def _settle(self, date: int, counting: _Counting, seq: int) -> None:
        """Note how many rows of the session there were before the first that is counted in this run."""
        if not counting.settled:
            counting.settled = True
            counting.missed = self._writer.reads.session_count(date, seq - 1) - counting.counts.rows

    def _take_up(self, kept: Comparison) -> _Counting | None:
        try:
            counts = Counts.from_json(kept.counts)
        except ValueError as error:
            _logger.warning("the comparison of %s begins anew: %s", kept.session_date, error)
            return None
        counting = _Counting(counts, kept.upto_seq, kept.missed, kept.origin, kept.begun_at)
        self._counting[kept.session_date, kept.active] = counting
        # Nobody may have been told of it before the process ended; telling twice changes nothing.
        self._untold[kept.session_date, kept.active] = kept
        return counting

    # -- what is stored

    def save(self) -> None:
        """Store what is counted, up to the position."""
        now = self._clock()
        found = [
            Comparison(
                date, version, self.named.version_id, one.upto_seq, one.counts.rows, one.missed, one.origin,
                one.counts.to_json(), one.begun_at, now,
            )
            for (date, version), one in self._counting.items() if (date, version) in self._dirty
        ]  # fmt: skip
        if self._writer.put_comparisons(self.named, self.position, found):
            self._untold |= {(one.session_date, one.active): one for one in found}
        self._dirty.clear()
        self.unsaved, self.saved_at = 0, time.monotonic()

    def to_tell(self, *, everything: bool) -> list[Comparison]:
        """Stored comparisons that nobody was told of: of sessions that others have followed, or ``everything``."""
        if not self._untold:
            return []
        latest = max(date for date, _ in self._counting)
        found = [one for (date, _), one in sorted(self._untold.items()) if everything or date < latest]
        for one in found:
            del self._untold[one.session_date, one.active]
        return found


def _version(found: Enriched) -> str:
    version: str = found.columns[_TAGGED_BY][0]
    return version


def _all(rows: slice, block: Block) -> bool:
    return bool(rows.stop - rows.start == block.rows)


def _part(tags: Tagged, rows: slice, of: int) -> Tagged:
    score = None if tags.score is None else tags.score[rows]
    ns = tags.ns * (rows.stop - rows.start) // of
    return Tagged(tags.chips_set[rows], tags.chips_known[rows], score, ns)
