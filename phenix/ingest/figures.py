"""What a worker did since it started, as numbers: its summary, and what its metrics are read from."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Final

from phenix.engine.durations import Durations
from phenix.engine.flow import INDEX, Row
from phenix.engine.store.base import DeadLetter
from phenix.ingest.latency import Latency

__all__ = ["Figures"]

_SEQ: Final = INDEX["seq"]
_BATCH_ROWS: Final = tuple(m * 10**e for e in range(5) for m in (1, 2, 5))


@dataclass(slots=True)
class Figures:
    """What a worker did since it started."""

    caught_up: int = 0
    """Rows that an earlier run left without enrichment."""
    stored: int = 0
    duplicates: int = 0
    events: Counter[str] = field(default_factory=Counter)
    """Messages by kind."""
    refused: Counter[str] = field(default_factory=Counter)
    """Dead letters by reason."""
    dropped_messages: int = 0
    gaps: Counter[str] = field(default_factory=Counter)
    """By cause."""
    recovered: int = 0
    connections: int = 0
    disconnections: int = 0
    streams: dict[str, int] = field(default_factory=lambda: {"subscribed": 0, "refused": 0})
    batches: Durations = field(default_factory=lambda: Durations(_BATCH_ROWS))
    """Rows of each."""
    lag_ms: int = 0
    """From the exchange to the store, of the latest print; from its receipt where the feed plays another day."""
    sessions: list[int] = field(default_factory=list)
    """Session dates that were planned, in order."""
    latency: Latency = field(default_factory=Latency)
    """Of the prints that the stream brought; what history brought is as late as its gap."""

    @property
    def dead_letters(self) -> int:
        """Records that became no row."""
        return self.refused.total()

    def letters(self, letters: Iterable[DeadLetter]) -> None:
        """Count dead letters."""
        self.refused.update(letter.reason for letter in letters)

    def followed(self, rows: Sequence[Row], at: int, left: int) -> None:
        """Count rows that waited and were enriched at a time; those up to ``left`` were of an earlier run."""
        self.caught_up += bisect_right(rows, left, key=itemgetter(_SEQ))
        self.latency.follow(rows, at)
