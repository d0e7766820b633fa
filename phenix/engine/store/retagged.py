"""What the store keeps of re-tagging: the tags of other rule versions beside those that rows are stored with.

A version is held session by session, each up to a seq: below it every row of the session has the version's tags, and
the transaction that stores some moves it on. Rows themselves are never touched.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from phenix.engine.store.schema import RAW_TABLE
from phenix.engine.store.shadow import Asks

__all__ = ["LEAVING", "Retagging", "covers", "retagging", "retaggings", "waiting"]

LEAVING: Final = -1
"""In the place of a seq: the tags are being removed."""


@dataclass(frozen=True, slots=True)
class Retagging:
    """A version's tags for ``rows`` rows of a session, those up to ``upto_seq``."""

    version_id: str
    session_date: int
    upto_seq: int
    rows: int
    updated_at: int


_SELECT: Final = "SELECT version_id, session_date, upto_seq, rows, updated_at FROM rule_retaggings"
_WAITING: Final = f"SELECT count(*) FROM {RAW_TABLE} WHERE session_date = ? AND seq > ?"
_LAST: Final = f"SELECT coalesce(max(seq), 0) FROM {RAW_TABLE} WHERE session_date = ? AND seq <= ?"


def retaggings(reader: Asks) -> list[Retagging]:
    """All there are, by version, the latest session first."""
    return [Retagging(*row) for row in reader.execute(f"{_SELECT} ORDER BY version_id, session_date DESC")]


def retagging(reader: Asks, version_id: str, session_date: int) -> Retagging | None:
    """That of one session."""
    found = reader.execute(f"{_SELECT} WHERE version_id = ? AND session_date = ?", (version_id, session_date))
    return Retagging(*found[0]) if found else None


def waiting(reader: Asks, found: Retagging) -> int:
    """How many rows of its session come after those that have the tags."""
    return int(reader.execute(_WAITING, (found.session_date, found.upto_seq))[0][0])


def covers(reader: Asks, version_id: str, dates: Iterable[int], as_of: int) -> bool:
    """Whether every row of some sessions up to a seq has the version's tags."""
    sql = "SELECT session_date, upto_seq FROM rule_retaggings WHERE version_id = ?"
    held = dict(reader.execute(sql, (version_id,)))
    return bool(held) and all(
        date in held and held[date] >= reader.execute(_LAST, (date, as_of))[0][0] for date in dates
    )
