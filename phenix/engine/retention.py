"""Which sessions leave a store: those before a date, or all but the latest ones; never the one being written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from phenix.engine.enrich.clock import DAY, HOUR, day_of_date, utc_of
from phenix.engine.store.sqlite_retention import Held, Leaving

__all__ = ["choose_sessions"]

_ROLL: Final = 20 * HOUR


def choose_sessions(held: Sequence[Held], *, keep: int | None = None, before: int | None = None) -> list[Leaving]:
    """The sessions to remove of those held (oldest first), each with the time of what goes with it.

    A session ends at 20:00 New York time of its date; what came since the session before it ended is its own.
    The latest session and the one at the end of the log stay.
    """
    end = max((session.last_seq for session in held), default=0)
    sealed = [session for session in held[:-1] if session.last_seq != end]
    if keep is not None:
        oldest_kept = held[-keep].session_date if keep <= len(held) else 0
        sealed = [session for session in sealed if session.session_date < oldest_kept]
    if before is not None:
        sealed = [session for session in sealed if session.session_date < before]
    leaving = {session.session_date for session in sealed}
    chosen, earlier = [], 0
    for session in held:
        date = session.session_date
        if date in leaving:
            since = (utc_of(earlier, _ROLL), day_of_date(earlier) * DAY + _ROLL) if earlier else (0, 0)
            chosen.append(
                Leaving(date, earlier, since[0], utc_of(date, _ROLL), since[1], day_of_date(date) * DAY + _ROLL)
            )
        earlier = date
    return chosen
