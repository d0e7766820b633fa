"""How long prints take on their way in: exchange → received → stored → enriched, one histogram a step.

Each row keeps its own times of exchange, receipt and enrichment; what is stored together is stored at one time, so the
ledger is told of batches. Milliseconds of this machine's clock; the first step compares it with the exchange's, and
is left out of a feed that plays another day.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from phenix.engine.durations import Durations
from phenix.engine.flow import INDEX, Row
from phenix.ingest.market_clock import plays_another_day

__all__ = ["Latency"]

_STEPS: Final = ("exchange to received", "received to stored", "stored to enriched", "received to enriched")
_TS: Final = INDEX["trade_ts_utc"]
_RECEIVED: Final = INDEX["ingested_at_utc"]


class Latency:
    """The ledger: how long prints took for each of its ``steps``."""

    def __init__(self) -> None:
        self.steps = {step: Durations() for step in _STEPS}

    def enter(self, rows: Sequence[Row], stored_at: int, enriched_at: int) -> None:
        """Take raw rows that were stored and enriched together at these times, UTC ms."""
        arrival, to_stored, to_enriched, inside = self.steps.values()
        to_enriched.add(enriched_at - stored_at, len(rows))
        for row in rows:
            exchange, received = row[_TS], row[_RECEIVED]
            if not plays_another_day(exchange, received):
                arrival.add(received - exchange)
            to_stored.add(stored_at - received)
            inside.add(enriched_at - received)

    def __str__(self) -> str:
        said = []
        for step, durations in self.steps.items():
            middle, most, nearly_all = (durations.quantile(share) for share in (0.5, 0.95, 0.99))
            if middle is not None:
                said.append(f"{step} {middle:g} / {most:g} / {nearly_all:g}")
        return f"ms up to, for 50 / 95 / 99 % of the prints: {', '.join(said)}" if said else "no prints"
