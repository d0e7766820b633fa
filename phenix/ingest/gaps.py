"""Times in which prints may have been missed, noticed from what the stream says of itself.

A gap begins with the last that was heard before the loss and ends when prints come and the stream is whole again, all
its subscriptions answered: until then prints of some contracts come and those of others do not. Of a feed that plays
another day only its own times count; a live one is timed by this machine. A print of another day alone tells neither:
a live feed may repeat a stale one.

Prints are asked for by the time they happened, and come later, or at an earlier time of a machine whose clock is
behind: a live gap begins earlier by what prints were late, and ends later by what this clock is behind.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

from phenix.engine.enrich.clock import DAY, et_of, utc_of
from phenix.engine.store.base import Cause, Gap
from phenix.ingest.market_clock import plays_another_day

__all__ = ["GapWatch"]

_BELIEVED: Final = 8
"""Prints of another day, one after the other, that tell a day that is played, and of that day those that end a gap:
the first may be late ones, which tell too early a time.
"""


_TIMED: Final = 8
"""Latest prints that tell how late the feed is: the one in the middle of them, some are reported late by themselves."""


@dataclass(slots=True)
class _Open:
    cause: Cause
    from_utc: int
    messages: int
    resumed_at: int | None = None
    played: bool = False
    live: bool = False
    """Whether prints told that the feed is live, before the loss or since."""
    heard: bool = False
    """Whether prints came since it began, though the stream may not have been whole; not what may be stale ones."""
    strange: int = 0
    """Prints of another day, since the last of this one."""
    begins: int = 0
    """Where it begins if these are of a day that is played."""
    upto_utc: int = 0
    """The latest of those since the last loss."""
    later: int = 0
    """Those since the stream is whole again; stale ones, from before the gap, do not count."""
    untimed: bool = False
    """Whether it begins at a time of this machine that no print was held against yet."""


class GapWatch:
    """At most one gap is open: what is lost before it ends belongs to it.

    ``since`` is the time of the last print an earlier run stored, or that of its subscription when there was none; the
    time since then is the first gap.
    """

    def __init__(self, since: int | None = None) -> None:
        self._open = None if since is None else _Open(Cause.RESTARTED, since, 0)
        self._lags: deque[int] = deque(maxlen=_TIMED)
        self._timed_at = 0

    @property
    def since(self) -> int | None:
        """Where the gap begins that is open; None when none is."""
        return None if self._open is None else self._open.from_utc

    def timed(self, ts_utc: int, received_at: int) -> None:
        """A print came: how late it is. Of those that are told to come together only the first did by that time."""
        if received_at != self._timed_at and not plays_another_day(ts_utc, received_at):
            self._timed_at = received_at
            self._lags.append(received_at - ts_utc)

    @property
    def _lag(self) -> int:
        """How late prints come, by this machine's clock; less than nothing where that is behind."""
        return sorted(self._lags)[len(self._lags) // 2] if self._lags else 0

    def lost(self, cause: Cause, since: int, latest: int, *, messages: int = 0) -> None:
        """The stream broke: ``since`` by this machine, ``latest`` the time of the last print (0 for none)."""
        if self._open is None:
            played = bool(latest) and plays_another_day(latest, since)
            live = bool(latest) and not played
            begins = latest if played else since - max(0, self._lag)
            self._open = _Open(cause, begins, messages, played=played, live=live, untimed=not self._lags)
        else:
            self._open.messages += messages
            self._open.resumed_at = None
            self._open.upto_utc = self._open.later = 0

    def resumed(self, at: int) -> None:
        """The stream is whole again, at a time of this machine."""
        if self._open is not None:
            self._open.resumed_at = at

    def heard(self, ts_utc: int, received_at: int) -> Gap | None:
        """A print came: the gap that ends with it, if the stream was whole again."""
        gap = self._open
        if gap is None:
            return None
        if plays_another_day(ts_utc, received_at):
            return self._of_another_day(gap, ts_utc)
        gap.live = gap.heard = True
        gap.played, gap.strange, gap.later, gap.upto_utc = False, 0, 0, 0
        if gap.resumed_at is None:
            return None
        if gap.untimed:
            gap.from_utc -= max(0, self._lag)
        if received_at < gap.from_utc:  # the clock was set back since
            gap.from_utc = ts_utc
        return self._close(gap.resumed_at + max(0, -self._lag))

    def _of_another_day(self, gap: _Open, ts_utc: int) -> Gap | None:
        gap.strange += 1
        if not gap.played:
            # It began before a print told the day played, at a time of this machine; or was left in that day.
            timed = plays_another_day(gap.from_utc, ts_utc)
            if gap.strange == 1:  # how late it was in that day nobody knows
                gap.begins = utc_of(et_of(ts_utc)[0], 0) if timed else gap.from_utc
            if not timed or gap.strange == _BELIEVED:
                if timed and gap.cause is Cause.RESTARTED and not gap.messages:
                    self._open = None
                    return None
                gap.from_utc, gap.played = gap.begins, True
        gap.heard = gap.heard or gap.played
        gap.upto_utc = max(gap.upto_utc, ts_utc)
        if gap.resumed_at is None:
            return None
        gap.later += ts_utc > (gap.from_utc if gap.played else gap.begins)
        return self._close(gap.upto_utc) if gap.played and gap.later >= _BELIEVED else None

    def finish(self, at: int) -> Gap | None:
        """The work ends, at a time of this machine: the gap still open; a restart that heard nothing has none."""
        gap = self._open
        if gap is None or (gap.cause is Cause.RESTARTED and not gap.heard):
            return None
        if gap.strange and not gap.live and not gap.played:  # too few to be believed, but all there were
            gap.from_utc, gap.played = gap.begins, True
        if not gap.played:
            return self._close(gap.resumed_at or at)
        # How late it is in a played day only its prints tell. Those since the stream is whole are too few to be
        # believed, those before came while prints of other contracts did not: the rest of the day may be missing.
        return self._close(utc_of(et_of(max(gap.from_utc, gap.upto_utc))[0], DAY - 1))

    def _close(self, upto_utc: int) -> Gap:
        assert self._open is not None
        gap, self._open = self._open, None
        return Gap(gap.cause, gap.from_utc, max(gap.from_utc, upto_utc), gap.messages)
