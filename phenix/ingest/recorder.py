"""Storing and enriching in step: raw rows in one transaction, their enriched rows by seq in another.

The two have their own checkpoints. A process that dies between them leaves raw rows without enrichment; the next
recorder enriches those before anything else, and rebuilds its state from what is stored.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, Protocol

from phenix.engine.enrich.clock import DAY
from phenix.engine.enrich.enricher import Enriched
from phenix.engine.flow import Row
from phenix.engine.store.base import Appended, Batch, UnderlyingQuote, Writer

__all__ = ["Enriching", "Recorder", "now_utc"]

_BATCH: Final = 5_000


class Enriching(Protocol):
    """The part of the enricher a recorder needs."""

    def enrich(self, raws: Sequence[Row]) -> Enriched:
        """Enrich rows in seq order."""
        ...


class Recorder:
    """The way into the store for import and worker alike."""

    def __init__(self, writer: Writer, enricher: Enriching) -> None:
        self._writer = writer
        self._enricher = enricher
        self.unmatched_cancels = 0

    def recent_quotes(self, symbols: Iterable[str]) -> Iterator[UnderlyingQuote]:
        """Stored quotes of underlyings from the day before the latest print on, oldest first by symbol."""
        reads = self._writer.reads
        latest = reads.latest_trade()
        if latest is not None:
            for symbol in symbols:
                yield from reads.underlying_quotes(symbol, latest - DAY, 2**62)

    def catch_up(self) -> int:
        """Enrich what is stored and not enriched; returns how many rows that were."""
        reads = self._writer.reads
        done = 0
        while rows := reads.raw_rows(reads.watermark(), _BATCH):
            self._enrich(rows)
            done += len(rows)
        return done

    def record(self, batch: Batch) -> Appended:
        """Store a batch and enrich what is new of it; the answer holds the new rows with their seq."""
        appended = self._writer.append(batch)
        if appended.rows:
            self._enrich(appended.rows)
        return appended

    def _enrich(self, rows: Sequence[Row]) -> None:
        enriched = self._enricher.enrich(rows)
        self.unmatched_cancels += enriched.unmatched
        self._writer.append_enriched(
            [(raw[0], raw[1], *values) for raw, values in zip(rows, enriched.rows, strict=True)],
            enriched.cancels,
            enriched.contract_stats,
            enriched.symbol_stats,
        )


def now_utc() -> int:
    """UTC milliseconds."""
    return time.time_ns() // 1_000_000
