"""How far answers lag behind the tape: measured in one place, for answers, streams, readiness and metrics alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from phenix.engine.enrich.calendar import Calendar
from phenix.engine.enrich.clock import et_of
from phenix.engine.feed import Feed
from phenix.engine.flow import INDEX
from phenix.engine.logs import note
from phenix.engine.store.base import Reader

__all__ = [
    "DISCONNECTED",
    "LAG",
    "LAG_THRESHOLD_S",
    "NO_DATA",
    "REASONS",
    "SILENCE_S",
    "STALE_QUOTES",
    "Gauge",
    "Status",
]

LAG_THRESHOLD_S: Final = 30.0
"""Enrichment further behind than this is degraded."""
SILENCE_S: Final = 30.0
"""Nothing new for longer than this, while the market is open, is degraded."""
LAG: Final = "enrichment_lag_high"
NO_DATA: Final = "no_live_data"
DISCONNECTED: Final = "terminal_disconnected"
STALE_QUOTES: Final = "quote_feed_stale"
REASONS: Final = (LAG, NO_DATA, DISCONNECTED, STALE_QUOTES)
"""Why answers can lag behind the tape."""
_INGESTED: Final = INDEX["ingested_at_utc"]


@dataclass(frozen=True, slots=True)
class Status:
    """What was measured at a time.

    ``lag_s`` is the age of the oldest print not yet enriched, 0 when none waits; ``degraded`` the reasons why answers
    lag behind the tape; ``silent_s`` how long ago ingest, a print or quote, and a quote of an underlying were last
    heard of, None where no ingest ever told of a feed.
    """

    watermark: int
    backlog: int
    lag_s: float
    degraded: tuple[str, ...]
    silent_s: tuple[float, ...] | None = None

    def as_behind(self) -> Status:
        """The same for an answer that holds prints as they were received, as its walk began while there was a lag."""
        return replace(self, degraded=(LAG, *self.degraded))


class Gauge:
    """Measures a store; ``clock`` is seconds since 1970, ``calendar`` says when the market is open."""

    def __init__(self, calendar: Calendar, clock: Callable[[], float]) -> None:
        self._calendar = calendar
        self._clock = clock

    def measure(self, reader: Reader) -> Status:
        """The state now. Raises StoreError."""
        now = self._clock()
        watermark, raw = reader.watermark(), reader.raw_watermark()
        note(watermark=watermark)
        waiting = reader.raw_rows(watermark, 1) if raw > watermark else []
        lag = max(0.0, now - waiting[0][_INGESTED] / 1000) if waiting else 0.0
        late = (LAG,) if lag > LAG_THRESHOLD_S else ()
        feed = reader.feed()
        if feed is None:
            return Status(watermark, max(0, raw - watermark), lag, late)
        told, data, quote = silent = tuple(
            max(0.0, now - at / 1000) for at in (feed.at_utc, feed.data_utc, feed.quote_utc)
        )
        awaited = max(data, quote) > SILENCE_S and self._open(feed, now)
        silence = NO_DATA if data > SILENCE_S else STALE_QUOTES if quote > SILENCE_S else ""
        # What ingest does not tell any more it does not know: then there is no data, whatever the line is like.
        lost = told <= SILENCE_S and not feed.whole
        found = {LAG: bool(late), DISCONNECTED: lost, silence: awaited}
        reasons = tuple(reason for reason in REASONS if found.get(reason))
        return Status(watermark, max(0, raw - watermark), lag, reasons, silent)

    def _open(self, feed: Feed, now: float) -> bool:
        """Whether the regular session has been running for as long as silence is borne."""
        moment = int(now * 1000) + feed.offset_ms
        parts = [self._calendar.session("", "", at)[1] for at in (moment - int(SILENCE_S * 1000), moment)]
        closed_today = feed.closed and et_of(feed.data_utc + feed.offset_ms)[0] == et_of(moment)[0]
        return not closed_today and parts == ["regular", "regular"]
