"""Storing and enriching in step: raw rows in one transaction, their enriched rows by seq in another.

The two have their own checkpoints. A process that dies between them leaves raw rows without enrichment; the next
recorder enriches those before any later row, and rebuilds its state from what is stored. While that takes long, raw
rows are stored and wait (:meth:`Recorder.store`), and :meth:`Recorder.follow` enriches them once it can, in short
steps between which more are stored.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, Protocol

from phenix.engine.enrich.clock import DAY, et_of
from phenix.engine.enrich.enricher import Enriched
from phenix.engine.enrich.formulas import Constants
from phenix.engine.feed import Feed
from phenix.engine.flow import ENRICHED, INDEX, Row
from phenix.engine.spans import Kind, Spans
from phenix.engine.store.base import Appended, Batch, Gap, GapState, OpenInterest, Reader, UnderlyingQuote, Writer
from phenix.engine.store.versions import Activation, RuleVersion
from phenix.ingest.rules import Enriching, Prepared

__all__ = ["Beside", "Recorded", "Recorder", "now_utc"]

_BATCH: Final = 10_000
_STEP: Final = 2_000
"""Rows enriched between two batches that are stored."""
_SEQ, _DATE = INDEX["seq"], INDEX["session_date"]
_CHIPS: Final = next(i for i, field in enumerate(ENRICHED) if field.name == "chips_set")


@dataclass(frozen=True, slots=True)
class Recorded:
    """What came of a batch: the new raw rows with their seq, how many were there already, and when each step was done.

    The times are UTC milliseconds; without new rows nothing was enriched. ``enriched_at`` is None while they wait.
    """

    rows: list[tuple[Any, ...]]
    duplicates: int
    stored_at: int
    enriched_at: int | None


class Beside(Protocol):
    """What compares rules on rows once these are stored."""

    def wanted(self) -> bool:
        """Whether there is anything to compare with."""
        ...

    @property
    def constants(self) -> Constants | None:
        """What rows shall be read under, beside the active rules; None while there is nothing to compare with."""
        ...

    def stored(self, rows: Sequence[Row], found: Enriched, constants: Constants | None) -> None:
        """Take rows that were just stored and enriched, and read under some constants beside."""
        ...

    def rest(self) -> None:
        """Use a moment without rows."""
        ...

    def finish(self, *, level: bool) -> None:
        """Store what was taken, with ``level`` of all that is stored."""
        ...


class Recorder:
    """The way into the store for import and worker alike; ``chips`` are the ids of what the enricher tags, by bit.

    ``rule_version`` is what it tags by, ``watermark`` the last seq that is enriched. ``beside`` sees each batch once it
    is committed.
    """

    def __init__(
        self,
        writer: Writer,
        enricher: Enriching,
        chips: Mapping[int, str] | None = None,
        rule_version: str = "",
        beside: Beside | None = None,
        spans: Spans | None = None,
    ) -> None:
        self.chips = chips or {}
        self.rule_version = rule_version
        self.watermark = writer.reads.watermark()
        self._beside = beside
        self._spans = spans or Spans()
        self._writer = writer
        self._enricher = enricher
        self._failed: BaseException | None = None
        self._expected = 0
        self._ahead: list[tuple[Any, ...]] = []
        self.left = writer.reads.raw_watermark()
        """The last seq of earlier runs."""
        self.behind = self.left > self.watermark
        """Whether rows are stored that are not enriched: those that follow wait, too."""
        self.unmatched_cancels = 0
        self.cpu: defaultdict[str, float] = defaultdict(float)
        """CPU seconds by stage: ``store``, ``enrich`` (chips and score included), ``store enriched``, ``shadow``."""
        self.hits: Counter[int] = Counter()
        """Enriched rows by the bit of each chip that is on."""

    @property
    def reads(self) -> Reader:
        """What is stored, for the thread that stores."""
        return self._writer.reads

    def recent_quotes(self, symbols: Iterable[str], keep: int | None = None) -> Iterator[UnderlyingQuote]:
        """Stored quotes of underlyings from the day before the latest print on, oldest first by symbol.

        Of each symbol the latest ``keep`` at most.
        """
        reads = self._writer.reads
        latest = reads.latest_trade()
        if latest is not None:
            for symbol in symbols:
                yield from reads.underlying_quotes(symbol, latest - DAY, 2**62, keep)

    def last_heard(self, stream: str) -> int | None:
        """Time of the latest print an earlier run of a stream stored; None when there was none."""
        checkpoint = self._writer.reads.checkpoint(stream)
        return int(checkpoint.watermark) if checkpoint else None

    def known_interest(self, stream: str, date: int) -> Iterator[OpenInterest]:
        """Stored open interest of a date, and of those before it that late prints may belong to, oldest first."""
        heard = self.last_heard(stream)
        since = date if heard is None else min(date, et_of(heard)[0])
        yield from self._writer.reads.open_interest(since, date)

    def open_gaps(self) -> list[Gap]:
        """Gaps of the stream that nothing is known of yet."""
        return self._writer.reads.gaps(GapState.OPEN)

    def tell(self, feed: Feed) -> None:
        """Keep what the terminal's feed is like. Raises StoreError."""
        self._writer.put_feed(feed)
        if self._beside is not None and self._beside.wanted():
            with self._stage("shadow"):
                self._beside.rest()

    def leave(self, feed: Feed) -> None:
        """Keep what the feed was like in the end, and what is only in memory. Raises StoreError."""
        self._writer.put_feed(feed)
        self.finish(level=False)

    def finish(self, *, level: bool) -> None:
        """Store what was compared, with ``level`` on every row that is stored. Raises StoreError."""
        if self._beside is not None and self._beside.wanted():
            with self._stage("shadow"):
                self._beside.finish(level=level)

    def asked_rules(self) -> list[tuple[Activation, RuleVersion | None]]:
        """What was asked of the rules since the last look, with the version that shall be active, if it is there."""
        reads = self._writer.reads
        waiting = reads.activations(waiting=True) if reads.changed() else []
        return [(asked, reads.rule_version(asked.version_id)) for asked in waiting]

    def switch(self, asked: Activation, rules: Prepared | str) -> Activation:
        """Tag by other rules from the next row on, or keep those there are and say why. Raises StoreError."""
        if isinstance(rules, str):
            return self._writer.refuse(asked, rules)
        done = self._writer.activate(asked, now_utc())  # before this nothing has changed, after it nothing can fail
        self._enricher.activate(rules.tagger)
        self.chips = {**self.chips, **rules.chips}
        self.rule_version = rules.tagger.version
        return done

    def catch_up(self) -> int:
        """Enrich what is stored and not enriched; returns how many rows that were."""
        done = 0
        with self._or_fail():
            while rows := self._waiting(_BATCH):
                self._enrich(rows)
                done += len(rows)
        self.behind = False
        return done

    def record(self, batch: Batch) -> Recorded:
        """Store a batch and enrich what is new of it, and what waited before it.

        Raises StoreError and what the enricher raises, and from then on that always: rows may be stored without
        enrichment, which those that follow would hide. The next recorder enriches them first.
        """
        with self._spanned() as said:
            appended, stored_at = self._append(batch, said)
            if self.behind:
                self.catch_up()
            elif appended.rows:
                self._enrich(appended.rows)
        return Recorded(appended.rows, appended.duplicates, stored_at, now_utc())

    def store(self, batch: Batch) -> Recorded:
        """Store a batch, and enrich what is new of it where the state for that is there; else it waits, ``behind``.

        Raises as :meth:`record`.
        """
        with self._spanned() as said:
            appended, stored_at = self._append(batch, said)
            self.behind = self.behind or not self._state_of(appended.rows)
            if not self.behind and appended.rows:
                self._enrich(appended.rows)
        return Recorded(appended.rows, appended.duplicates, stored_at, None if self.behind else now_utc())

    def expect(self, session_date: int) -> None:
        """Have :meth:`follow` build the state of a session date before its next row comes."""
        self._expected, self.behind = session_date, True

    def follow(self) -> Sequence[Row]:
        """A step towards having enriched what is stored: a page of the past, or some rows, which are returned.

        It is not ``behind`` any more once there was nothing to do. Raises as :meth:`record`.
        """
        with self._or_fail():
            rows = self._waiting(_STEP)
            date = self._expected
            if not (self._state_of(rows) if rows else not date or self._state(date, self.watermark + 1)):
                return []
            if rows:
                self._enrich(rows)
                return rows
            self.behind = False
            return []

    def _waiting(self, limit: int) -> list[tuple[Any, ...]]:
        """The first rows that are stored and not enriched, read once."""
        if not self._ahead or self._ahead[0][_SEQ] <= self.watermark:
            self._ahead = self._writer.reads.raw_rows(self.watermark, limit)
        return self._ahead

    def _state_of(self, rows: Sequence[Row]) -> bool:
        """Whether rows can be enriched now; where not, it is a page nearer."""
        first = {row[_DATE]: row[_SEQ] for row in reversed(rows)}
        return all(self._state(date, seq) for date, seq in first.items())

    def _state(self, date: int, before_seq: int) -> bool:
        if self._enricher.knows(date):
            return True
        with self._stage("enrich"):
            return self._enricher.approach(date, before_seq)

    def _append(self, batch: Batch, said: dict[str, Any]) -> tuple[Appended, int]:
        with self._stage("store"):
            appended = self._writer.append(batch)
        said |= {"phenix.prints": len(appended.rows), "phenix.duplicates": appended.duplicates}
        return appended, now_utc()

    @contextmanager
    def _spanned(self) -> Iterator[dict[str, Any]]:
        """A batch, which may fail, as a span; what is said of it goes into what is given."""
        span, said, failed = self._spans.begin(Kind.CONSUMER), dict[str, Any](), True
        try:
            with self._or_fail():
                yield said
            failed = False
        finally:
            state = {"phenix.watermark": self.watermark, "phenix.rule_version": self.rule_version}
            span.end("ingest batch", {**said, **state}, failed=failed)

    @contextmanager
    def _or_fail(self) -> Iterator[None]:
        """What fails once fails from then on."""
        if self._failed is not None:
            raise self._failed
        try:
            yield
        except BaseException as error:
            self._failed = error
            raise

    def _enrich(self, rows: Sequence[Row]) -> None:
        constants = None if self._beside is None else self._beside.constants
        with self._stage("enrich"):
            enriched = self._enricher.enrich(rows, constants)
        self.unmatched_cancels += enriched.unmatched
        with self._stage("store enriched"):
            self._writer.append_enriched(
                list(zip([row[0] for row in rows], [row[1] for row in rows], *enriched.columns, strict=True)),
                enriched.cancels,
                enriched.contract_stats,
                enriched.symbol_stats,
            )
        self.watermark = rows[-1][0]
        if self._beside is not None and self._beside.wanted():
            with self._stage("shadow"):
                self._beside.stored(rows, enriched, constants)
        for chips, count in Counter(enriched.columns[_CHIPS]).items():
            while chips:
                self.hits[chips.bit_length() - 1] += count
                chips ^= 1 << chips.bit_length() - 1

    @contextmanager
    def _stage(self, name: str) -> Iterator[None]:
        began = time.thread_time()
        yield
        self.cpu[name] += time.thread_time() - began


def now_utc() -> int:
    """UTC milliseconds."""
    return time.time_ns() // 1_000_000
