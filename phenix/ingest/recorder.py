"""Storing and enriching in step: raw rows in one transaction, their enriched rows by seq in another.

The two have their own checkpoints. A process that dies between them leaves raw rows without enrichment; the next
recorder enriches those before anything else, and rebuilds its state from what is stored.
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
from phenix.engine.feed import Feed
from phenix.engine.flow import ENRICHED, Row
from phenix.engine.store.base import Batch, Gap, GapState, OpenInterest, UnderlyingQuote, Writer

__all__ = ["Enriching", "Recorded", "Recorder", "now_utc"]

_BATCH: Final = 10_000
_CHIPS: Final = next(i for i, field in enumerate(ENRICHED) if field.name == "chips_set")


class Enriching(Protocol):
    """The part of the enricher a recorder needs."""

    def enrich(self, raws: Sequence[Row]) -> Enriched:
        """Enrich rows in seq order."""
        ...


@dataclass(frozen=True, slots=True)
class Recorded:
    """What came of a batch: the new raw rows with their seq, how many were there already, and when each step was done.

    The times are UTC milliseconds; without new rows nothing was enriched.
    """

    rows: list[tuple[Any, ...]]
    duplicates: int
    stored_at: int
    enriched_at: int


class Recorder:
    """The way into the store for import and worker alike; ``chips`` are the ids of what the enricher tags, by bit.

    ``rule_version`` is what it tags by, ``watermark`` the last seq that is enriched.
    """

    def __init__(
        self, writer: Writer, enricher: Enriching, chips: Mapping[int, str] | None = None, rule_version: str = ""
    ) -> None:
        self.chips = chips or {}
        self.rule_version = rule_version
        self.watermark = writer.reads.watermark()
        self._writer = writer
        self._enricher = enricher
        self._failed: BaseException | None = None
        self.unmatched_cancels = 0
        self.cpu: defaultdict[str, float] = defaultdict(float)
        """CPU seconds by stage: ``store``, ``enrich`` (chips and score included), ``store enriched``."""
        self.hits: Counter[int] = Counter()
        """Enriched rows by the bit of each chip that is on."""

    def recent_quotes(self, symbols: Iterable[str]) -> Iterator[UnderlyingQuote]:
        """Stored quotes of underlyings from the day before the latest print on, oldest first by symbol."""
        reads = self._writer.reads
        latest = reads.latest_trade()
        if latest is not None:
            for symbol in symbols:
                yield from reads.underlying_quotes(symbol, latest - DAY, 2**62)

    def last_heard(self, stream: str) -> int | None:
        """Time of the latest print an earlier run of a stream stored; None when there was none."""
        checkpoint = self._writer.reads.checkpoint(stream)
        return int(checkpoint.watermark) if checkpoint else None

    def past_interest(self, stream: str, before: int) -> Iterator[OpenInterest]:
        """Stored open interest of the dates before one that prints of a gap may belong to, oldest first."""
        heard = self.last_heard(stream)
        since = [gap.from_utc for gap in self.open_gaps()] + ([] if heard is None else [heard])
        if since:
            yield from self._writer.reads.open_interest(et_of(min(since))[0], before - 1)

    def open_gaps(self) -> list[Gap]:
        """Gaps of the stream that nothing is known of yet."""
        return self._writer.reads.gaps(GapState.OPEN)

    def tell(self, feed: Feed) -> None:
        """Keep what the terminal's feed is like. Raises StoreError."""
        self._writer.put_feed(feed)

    def catch_up(self) -> int:
        """Enrich what is stored and not enriched; returns how many rows that were."""
        reads = self._writer.reads
        done = 0
        while rows := reads.raw_rows(reads.watermark(), _BATCH):
            self._enrich(rows)
            done += len(rows)
        return done

    def record(self, batch: Batch) -> Recorded:
        """Store a batch and enrich what is new of it.

        Raises StoreError and what the enricher raises, and from then on that always: rows may be stored without
        enrichment, which those that follow would hide. The next recorder enriches them first.
        """
        if self._failed is not None:
            raise self._failed
        try:
            with self._stage("store"):
                appended = self._writer.append(batch)
            stored_at = now_utc()
            if appended.rows:
                self._enrich(appended.rows)
        except BaseException as error:
            self._failed = error
            raise
        return Recorded(appended.rows, appended.duplicates, stored_at, now_utc())

    def _enrich(self, rows: Sequence[Row]) -> None:
        with self._stage("enrich"):
            enriched = self._enricher.enrich(rows)
        self.unmatched_cancels += enriched.unmatched
        with self._stage("store enriched"):
            self._writer.append_enriched(
                list(zip([row[0] for row in rows], [row[1] for row in rows], *enriched.columns, strict=True)),
                enriched.cancels,
                enriched.contract_stats,
                enriched.symbol_stats,
            )
        self.watermark = rows[-1][0]
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
