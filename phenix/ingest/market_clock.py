"""The market's time: this machine's, unless the feed plays another day. UTC milliseconds."""

from __future__ import annotations

from typing import Final

from phenix.engine.enrich.clock import HOUR

__all__ = ["MarketClock", "plays_another_day"]

_ANOTHER_DAY: Final = 6 * HOUR


def plays_another_day(ts_utc: int, received_at: int) -> bool:
    """Whether an event's time is so far from its arrival that the feed cannot be live."""
    return abs(received_at - ts_utc) > _ANOTHER_DAY


class MarketClock:
    """Follows a feed."""

    def __init__(self) -> None:
        self._played: int | None = None

    def heard(self, ts_utc: int, received_at: int) -> None:
        """Take the time of an event and of its arrival."""
        self._played = max(ts_utc, self._played or 0) if plays_another_day(ts_utc, received_at) else None

    def now(self, machine: int) -> int:
        """What time it is; ``machine`` is what this machine says."""
        return machine if self._played is None else self._played
