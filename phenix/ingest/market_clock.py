"""The market's time: this machine's, unless the feed plays another day. UTC milliseconds.

A print may be late by any time, but none comes before it happened. One with a wrong date ahead would become the current
session of the store, and the time of a feed that plays another day; :class:`Pace` tells it from a played day that goes
on after a night.
"""

from __future__ import annotations

from typing import Final

from phenix.engine.enrich.clock import HOUR, MINUTE

__all__ = ["BELIEVED", "MarketClock", "Pace", "plays_another_day"]

BELIEVED: Final = 8
"""Prints running that agree where one alone is not believed."""
_ANOTHER_DAY: Final = 6 * HOUR
_AHEAD: Final = 10 * MINUTE
"""Most a print of a live feed may be ahead: by so much a machine's clock may be behind."""


def plays_another_day(ts_utc: int, received_at: int) -> bool:
    """Whether an event's time is so far from its arrival that the feed cannot be live: it may be late, never early."""
    return not -_AHEAD <= received_at - ts_utc <= _ANOTHER_DAY


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


class Pace:
    """How far a feed has come, and whether a print is ahead of that.

    A print is in its place when it happened less than six hours before it came and at most ten minutes after. Else it
    may be as late as it likes, but later than the latest print before it and the time since that came by ten minutes at
    most; on a day that is played, which may be played fast, by six hours. The first print decides which past day that
    is. What is later is ahead: the feed has come that far only where :data:`BELIEVED` running say so, as after a night
    that is passed over, or the time of this machine has.
    """

    def __init__(self) -> None:
        self._latest: int | None = None
        self._received_at = 0

    @property
    def live(self) -> bool:
        """Whether the latest print told so."""
        return self._latest is not None and not plays_another_day(self._latest, self._received_at)

    def keeps(self, ts_utc: int, received_at: int) -> bool:
        """Whether a print is in its place; it tells then how far the feed has come."""
        latest = self._latest
        if not -_ANOTHER_DAY <= ts_utc - received_at <= _AHEAD:
            upto = received_at if latest is None else latest + max(0, received_at - self._received_at)
            if ts_utc > upto + (_AHEAD if latest is None or self.live else _ANOTHER_DAY):
                return False
        if latest is None or ts_utc > latest:
            self._latest, self._received_at = ts_utc, received_at
        return True

    def agree(self, ts_utc: int, other_utc: int) -> bool:
        """Whether two prints that are ahead may be of one day."""
        return abs(ts_utc - other_utc) <= _ANOTHER_DAY

    def has_come(self, ts_utc: int, since: int, now: int) -> bool:
        """Whether the time of a print that was ahead of this machine when it came, ``since``, is not any more."""
        return since + _AHEAD < ts_utc <= now + _AHEAD

    def was_late(self, ts_utc: int, now: int) -> bool:
        """Whether a print that was ahead was none of a day that is played, but late: the feed has turned out live."""
        return self.live and ts_utc <= now + _AHEAD

    def comes_to(self, ts_utc: int, received_at: int) -> None:
        """The feed has come to a time that was ahead."""
        self._latest, self._received_at = ts_utc, received_at
