"""Bands: how far a candidate may be from the active version, and the verdict over sessions.

A chip is within its bands when its rows under the candidate differ from those under the active version by no more
than a share of the latter, and the rows it gains and loses are no more than a share of all. A chip that only the
candidate has is held to the second alone; one that it lost is a chip without rows. Bounds are included; all
arithmetic is exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from typing import Final

from phenix.engine.enrich.clock import HOUR, MINUTE, utc_of
from phenix.engine.shadow.counts import Counts
from phenix.engine.store.schema import RAW_TABLE
from phenix.engine.store.shadow import Asks, Comparison, comparisons

__all__ = ["FEW", "REQUIRED", "Bands", "Breach", "Outcome", "SessionVerdict", "Verdict", "breaches", "judge", "verdict"]

REQUIRED: Final = 3
"""Whole sessions without which there is no verdict."""
FEW: Final = 10
"""Rows by which a chip may always differ: on rare chips a share says nothing."""
_WAITING: Final = f"SELECT count(*) FROM {RAW_TABLE} WHERE session_date = ? AND seq > ?"
_OVER: Final = 17 * HOUR + 15 * MINUTE
"""New York time at which every part of a session is over, with what is reported late."""


class Outcome(StrEnum):
    """What comes of a comparison."""

    WITHIN = "within"
    OUTSIDE = "outside"
    INSUFFICIENT = "insufficient"


@dataclass(frozen=True, slots=True)
class Bands:
    """Most that may change, in percent: of a chip's own rows, and rows it gains and loses, of all rows."""

    hits_pct: Fraction = Fraction(20)
    rows_pct: Fraction = Fraction(5)


@dataclass(frozen=True, slots=True)
class Breach:
    """A chip outside a band: ``band`` is ``hits`` or ``rows``, ``change`` and ``limit`` are in percent.

    The change of a chip that was on nowhere before is None: it is beyond every share.
    """

    chip: str
    band: str
    change: float | None
    limit: float

    def __str__(self) -> str:
        if self.change is None:
            return f"@{self.chip} was on nowhere and is now"
        change = f"{abs(self.change):,.{0 if abs(self.change) >= 100 else 2}f} %"
        if self.band == "rows":
            return f"@{self.chip} changes on {change} of the rows, {self.limit:g} % may"
        return f"@{self.chip} is on {change} {'more' if self.change > 0 else 'less'} often, {self.limit:g} % may be"


@dataclass(frozen=True, slots=True)
class SessionVerdict:
    """The verdict on a session. One that is not ``whole`` (rows are missing, or it is not over) says nothing yet."""

    session_date: int
    outcome: Outcome
    rows: int
    whole: bool
    origin: str
    breaches: tuple[Breach, ...] = ()
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The verdict over the sessions compared; ``reason`` is a sentence that says why."""

    active: str
    candidate: str
    outcome: Outcome
    reason: str
    sessions: tuple[SessionVerdict, ...]


def breaches(counts: Counts, bands: Bands) -> tuple[Breach, ...]:
    """Where a session is outside its bands, by chip."""
    found: list[Breach] = []
    for id_, chip in sorted(counts.chips.items()):
        difference = abs(chip.new - chip.old)
        if chip.has_old and difference > max(Fraction(FEW), bands.hits_pct * chip.old / 100):
            change = float(Fraction(100 * (chip.new - chip.old), chip.old)) if chip.old else None
            found.append(Breach(id_, "hits", change, float(bands.hits_pct)))
        moved = chip.added + chip.removed
        if moved > max(Fraction(FEW), bands.rows_pct * counts.rows / 100):
            found.append(Breach(id_, "rows", float(Fraction(100 * moved, counts.rows)), float(bands.rows_pct)))
    return tuple(found)


def judge(comparison: Comparison, bands: Bands, now_utc: int, waiting: int = 0) -> SessionVerdict:
    """The verdict on one stored comparison at a time (UTC ms); ``waiting`` rows of the session came after it."""
    date, rows, origin = comparison.session_date, comparison.rows, comparison.origin
    reason, counts = _lacks(comparison, now_utc, waiting), Counts()
    try:
        counts = Counts.from_json(comparison.counts)
    except ValueError as error:
        reason = f"{error}: compare the session again"
    if reason:
        return SessionVerdict(date, Outcome.INSUFFICIENT, rows, False, origin, (), reason)
    found = breaches(counts, bands)
    outcome = Outcome.OUTSIDE if found else Outcome.WITHIN
    return SessionVerdict(date, outcome, rows, True, origin, found, "; ".join(map(str, found)))


def _lacks(comparison: Comparison, now_utc: int, waiting: int) -> str:
    if not comparison.rows:
        return "no row was compared"
    if comparison.missed:
        return f"{comparison.missed:,} rows of the session were not compared"
    if waiting:
        return f"{waiting:,} rows of the session are not compared yet"
    return "the session is not over" if now_utc < utc_of(comparison.session_date, _OVER) else ""


def verdict(reader: Asks, active: str, candidate: str, *, now_utc: int, bands: Bands | None = None) -> Verdict:
    """Whether a candidate may take the place of the active version, from what the store has of both.

    ``within`` needs :data:`REQUIRED` whole sessions and none of them outside. Raises StoreError.
    """
    limits = bands or Bands()
    judged = tuple(
        judge(one, limits, now_utc, int(reader.execute(_WAITING, (one.session_date, one.upto_seq))[0][0]))
        for one in comparisons(reader, candidate, active)
    )
    outcome, reason = _sum(judged)
    return Verdict(active, candidate, outcome, reason, judged)


def _sum(judged: Sequence[SessionVerdict]) -> tuple[Outcome, str]:
    whole = [one for one in judged if one.whole]
    outside = [one for one in whole if one.outcome is Outcome.OUTSIDE]
    if outside:
        worst = outside[-1]
        return Outcome.OUTSIDE, (
            f"{len(outside)} of {len(whole)} sessions are outside the bands; the latest, {_date(worst.session_date)}: "
            f"{worst.reason}"
        )
    if len(whole) < REQUIRED:
        return Outcome.INSUFFICIENT, (
            f"{len(whole)} whole sessions are compared and {REQUIRED} are needed: leave the version in shadow, or "
            f"compare stored sessions with `phenix rules compare`"
        )
    return Outcome.WITHIN, f"{len(whole)} sessions are within the bands"


def _date(day: int) -> str:
    return f"{day // 10_000:04d}-{day // 100 % 100:02d}-{day % 100:02d}"
