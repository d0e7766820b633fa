"""What the store keeps of a rule version in shadow: which one it is, and what its comparisons have counted.

At most one version is a candidate. Each comparison, of a session date under the active version and the candidate,
stands beside the seq up to which it counts: whoever counts on from there out of the store comes to the same numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

__all__ = [
    "CANDIDATE",
    "LIVE",
    "PUT_COMPARISON",
    "STORED",
    "Asks",
    "Candidate",
    "Comparison",
    "candidate",
    "comparisons",
    "latest_comparison",
]

LIVE: Final = "live"
"""Counted while the rows came."""
STORED: Final = "stored"
"""Computed afterwards, from stored rows."""


class Asks(Protocol):
    """The part of a reader that is needed here."""

    def execute(self, sql: str, params: Sequence[Any] = (), /) -> list[tuple[Any, ...]]:
        """All rows of one statement."""
        ...


@dataclass(frozen=True, slots=True)
class Candidate:
    """The version in shadow: rows after ``after_seq`` count, those up to ``counted_seq`` are counted."""

    version_id: str
    since_utc: int
    after_seq: int
    counted_seq: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """What is counted of a session date up to ``upto_seq``.

    ``rows`` were compared; ``missed`` rows of the session up to there were not, being older than the comparison or
    tagged by another version than ``active``. ``counts`` is the JSON of :class:`phenix.engine.shadow.counts.Counts`.
    """

    session_date: int
    active: str
    candidate: str
    upto_seq: int
    rows: int
    missed: int
    origin: str
    counts: str
    begun_at: int
    updated_at: int


CANDIDATE: Final = "SELECT version_id, since_utc, after_seq, counted_seq FROM shadow_candidate"
"""Gives the values of a :class:`Candidate`."""
PUT_COMPARISON: Final = f"INSERT OR REPLACE INTO shadow_comparisons VALUES ({', '.join('?' * 10)})"
"""Takes the values of a :class:`Comparison`."""


def candidate(reader: Asks) -> Candidate | None:
    """The version in shadow; None when there is none."""
    found = reader.execute(CANDIDATE)
    return Candidate(*found[0]) if found else None


def comparisons(reader: Asks, candidate: str | None = None, active: str | None = None) -> list[Comparison]:
    """Stored comparisons by session date; of one candidate, and with one active version, when named."""
    sql = (
        "SELECT session_date, active_version, candidate_version, upto_seq, rows, missed, origin, counts_json,"
        " begun_at, updated_at FROM shadow_comparisons"
        " WHERE (candidate_version = ?1 OR ?1 IS NULL) AND (active_version = ?2 OR ?2 IS NULL)"
        " ORDER BY session_date, begun_at, active_version, candidate_version"
    )
    return [Comparison(*row) for row in reader.execute(sql, (candidate, active))]


def latest_comparison(reader: Asks, candidate: str) -> tuple[Any, ...]:
    """What is another value once a comparison of a candidate is."""
    sql = (
        "SELECT count(*), max(updated_at), max(upto_seq), sum(rows) FROM shadow_comparisons WHERE candidate_version = ?"
    )
    return reader.execute(sql, (candidate,))[0]
