"""Importing files: parts of them through the recorder, with figures to show meanwhile.

Importing again adds nothing: a print already stored is counted as a duplicate, a dead letter of the same place is
kept once. So an import that was interrupted is completed by running it again.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from phenix.engine.store.base import Batch, OpenInterest, UnderlyingQuote
from phenix.ingest.deadletter import IMPORT, letter
from phenix.ingest.normalize import Refusal
from phenix.ingest.reading import Part
from phenix.ingest.recorder import Recorder, now_utc
from phenix.ingest.rules import Rulebook

__all__ = ["Progress", "Summary", "import_parts"]


@dataclass(slots=True)
class Summary:
    """What an import did. ``read`` counts lines of trade files that reached a decision (row or dead letter)."""

    caught_up: int = 0
    read: int = 0
    stored: int = 0
    duplicates: int = 0
    dead_letters: Counter[str] = field(default_factory=Counter)
    quotes: int = 0
    open_interest: int = 0
    unmatched_cancels: int = 0
    seconds: float = 0.0
    cpu: dict[str, float] = field(default_factory=dict)
    """CPU seconds of this process by stage; ``receive`` is all that is not the recorder's, files read here included."""

    @property
    def rate(self) -> float:
        """Prints a second, stored or found to be stored."""
        return (self.stored + self.duplicates) / self.seconds if self.seconds else 0.0


@dataclass(frozen=True, slots=True)
class Progress:
    """Where an import stands: ``phase`` is ``enrich``, ``index`` (bytes) or ``read`` (lines)."""

    phase: str
    done: int
    total: int
    seconds: float


def import_parts(parts: Iterator[Part], recorder: Recorder, tell: Callable[[Progress], None]) -> Summary:
    """Store and enrich every part; raises StoreError and what reading raises, with all before it safely stored."""
    summary = Summary()
    started, cpu_before = time.perf_counter(), time.thread_time()
    summary.caught_up = recorder.catch_up()
    rulebook = Rulebook()
    for part in parts:
        for asked, version in recorder.asked_rules():
            recorder.switch(asked, rulebook.prepare(asked, version))
        now = now_utc()
        batch = Batch(
            rows=part.rows,
            quotes=[UnderlyingQuote(*quote) for quote in part.quotes],
            open_interest=[OpenInterest(*row) for row in part.interest],
            dead_letters=[
                letter(IMPORT, place, Refusal(reason, detail), snippet, now)
                for place, reason, detail, snippet in part.letters
            ],
            stream=IMPORT,
            watermark=f"{part.phase} {part.done} of {part.total}",
        )
        recorded = recorder.record(batch)
        summary.stored += len(recorded.rows)
        summary.duplicates += recorded.duplicates
        summary.quotes += len(part.quotes)
        summary.open_interest += len(part.interest)
        summary.dead_letters.update(reason for _, reason, _, _ in part.letters)
        summary.seconds = time.perf_counter() - started
        tell(Progress(part.phase, part.done, part.total, summary.seconds))
    recorder.finish(level=True)
    summary.read = summary.stored + summary.duplicates + sum(summary.dead_letters.values())
    summary.unmatched_cancels = recorder.unmatched_cancels
    received = time.thread_time() - cpu_before - sum(recorder.cpu.values())
    summary.cpu = {"receive": received, **recorder.cpu}
    return summary
