"""How long prints take on their way in: exchange → received → stored → enriched, one histogram a step.

Each row keeps its own times of exchange, receipt and enrichment; what is stored together is stored at one time, so the
ledger is told of batches, and of those that wait for enrichment again once they have it. Milliseconds of this machine's
clock; the first step compares it with the exchange's, and is left out of a feed that plays another day.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Sequence
from operator import itemgetter
from typing import Final

from phenix.engine.durations import Durations
from phenix.engine.flow import INDEX, Row
from phenix.ingest.market_clock import plays_another_day

__all__ = ["Latency"]

_STEPS: Final = ("exchange to received", "received to stored", "stored to enriched", "received to enriched")
_SEQ: Final = INDEX["seq"]
_TS: Final = INDEX["trade_ts_utc"]
_RECEIVED: Final = INDEX["ingested_at_utc"]


class Latency:
    """The ledger: how long prints took for each of its ``steps``."""

    def __init__(self) -> None:
        self.steps = {step: Durations() for step in _STEPS}
        self._waiting: deque[tuple[int, int, int]] = deque()  # first and last seq of a batch, and when it was stored

    def enter(self, rows: Sequence[Row], stored_at: int, enriched_at: int | None) -> None:
        """Take raw rows that were stored together, and enriched then too, or not yet; UTC ms."""
        arrival, to_stored, _, _ = self.steps.values()
        for row in rows:
            exchange, received = row[_TS], row[_RECEIVED]
            if not plays_another_day(exchange, received):
                arrival.add(received - exchange)
            to_stored.add(stored_at - received)
        if enriched_at is None:
            self._waiting.append((rows[0][_SEQ], rows[-1][_SEQ], stored_at))
        else:
            self._enriched(rows, stored_at, enriched_at)

    def follow(self, rows: Sequence[Row], enriched_at: int) -> None:
        """Take raw rows that were enriched now, in seq order; those that never waited here are left out."""
        at = 0
        while self._waiting and at < len(rows):
            first, last, stored_at = self._waiting[0]
            begin = bisect_left(rows, first, at, key=itemgetter(_SEQ))
            at = bisect_right(rows, last, begin, key=itemgetter(_SEQ))
            self._enriched(rows[begin:at], stored_at, enriched_at)
            if rows[-1][_SEQ] < last:
                break
            self._waiting.popleft()

    def _enriched(self, rows: Sequence[Row], stored_at: int, enriched_at: int) -> None:
        _, _, to_enriched, inside = self.steps.values()
        to_enriched.add(enriched_at - stored_at, len(rows))
        for row in rows:
            inside.add(enriched_at - row[_RECEIVED])

    def __str__(self) -> str:
        said = []
        for step, durations in self.steps.items():
            middle, most, nearly_all = (durations.quantile(share) for share in (0.5, 0.95, 0.99))
            if middle is not None:
                said.append(f"{step} {middle:g} / {most:g} / {nearly_all:g}")
        return f"ms up to, for 50 / 95 / 99 % of the prints: {', '.join(said)}" if said else "no prints"
