"""Removing whole sessions from a store, a little at a time, while its writer goes on.

One session after the other: first a transaction says that it is leaving; from then on no reader sees a row of it, and
streams know the seq before which the log has holes. Then its rows go in small transactions of their own, and at the end
the word that it is leaving. A removal that was killed is hidden as a whole, and completed by whoever opens the store
for writing.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import apsw

from phenix.engine.store.base import RETENTION_STREAM
from phenix.engine.store.schema import ENRICHED_TABLE, RAW_TABLE, RETAGGED_TABLE
from phenix.engine.store.sqlite_file import BUSY_MS, check_identity, lock_writer, open_beside, open_reading, prepare
from phenix.engine.store.sqlite_guard import guarded, transaction

__all__ = ["Held", "Leaving", "Removed", "compact", "finish", "held_sessions", "remove_sessions"]

_ROWS: Final = 5_000
"""Rows of one transaction: some tens of milliseconds in which the writer waits."""
_RETAGGED_BY: Final = "SELECT version_id FROM rule_retaggings WHERE session_date = ?"
_HOUR_MS: Final = 3_600_000

Tell = Callable[[int], None]
"""Told how many rows are gone so far."""


@dataclass(frozen=True, slots=True)
class Held:
    """A session the store holds: its rows, and the seqs of the first and the last."""

    session_date: int
    rows: int
    first_seq: int
    last_seq: int


class Leaving(NamedTuple):
    """A session to remove, and the time (from <= t < upto; UTC, and the New York wall clock) of what goes with it."""

    session_date: int
    from_date: int
    from_utc: int
    upto_utc: int
    from_wall: int
    upto_wall: int


@dataclass(slots=True)
class Removed:
    """What was removed, and what of the file is free now, in bytes."""

    rows: int = 0
    quotes: int = 0
    open_interest: int = 0
    statistics: int = 0
    dead_letters: int = 0
    gaps: int = 0
    free: int = 0


def held_sessions(path: Path) -> list[Held]:
    """Every session with rows, oldest first; those that are leaving are not among them. Raises StoreError."""
    connection = open_reading(path)
    try:
        with guarded(path):
            return [*_held(connection)]
    finally:
        connection.close()


def _held(connection: apsw.Connection) -> Iterator[Held]:
    date = -1
    leaving = connection.execute("SELECT session_date FROM session_leaving").get
    following = f"SELECT min(session_date) FROM {RAW_TABLE} WHERE session_date > ?"
    while (date := connection.execute(following, (date,)).get) is not None:
        sql = f"SELECT count(*), min(seq), max(seq) FROM {RAW_TABLE} WHERE session_date = ?"
        if date != leaving:
            yield Held(date, *connection.execute(sql, (date,)).get)


def remove_sessions(path: Path, sessions: Sequence[Leaving], tell: Tell) -> Removed:
    """Remove sessions, and complete what an earlier run began.

    The session at the end of the log stays, whatever is asked: the next seq follows from it. Raises StoreError.
    """
    with guarded(path):
        connection = open_beside(path)
        try:
            removed = finish(connection, tell)
            for session in sessions:
                _announce(connection, session)
                finish(connection, tell, removed)
            removed.free = connection.pragma("freelist_count") * connection.pragma("page_size")
            return removed
        finally:
            connection.close()


def _announce(connection: apsw.Connection, session: Leaving) -> None:
    """Say that a session is leaving, unless it is at the end of the log, or the latest, by now."""
    last = f"SELECT coalesce(max(seq), 0) FROM {RAW_TABLE}"
    with transaction(connection):
        last_seq = connection.execute(f"{last} WHERE session_date = ?", (session.session_date,)).get
        latest = connection.execute(f"SELECT max(session_date) FROM {RAW_TABLE}").get
        if last_seq in (0, connection.execute(last).get) or session.session_date == latest:
            return
        connection.execute("INSERT INTO session_leaving VALUES (1, ?, ?, ?, ?, ?, ?)", session)
        known = "SELECT watermark FROM ingest_checkpoints WHERE stream_name = ?"
        mark = max(last_seq, int(connection.execute(known, (RETENTION_STREAM,)).get or 0))
        values = (RETENTION_STREAM, str(mark), time.time_ns() // 1_000_000)
        connection.execute("INSERT OR REPLACE INTO ingest_checkpoints VALUES (?, ?, ?)", values)


def finish(connection: apsw.Connection, tell: Tell, removed: Removed | None = None) -> Removed:
    """Remove what is leaving, in transactions of at most some thousand rows, with pauses for the writer."""
    removed = removed or Removed()
    columns = ", ".join(Leaving._fields)
    for session in [Leaving(*row) for row in connection.execute(f"SELECT {columns} FROM session_leaving")]:
        date = session.session_date
        some = f"(SELECT seq FROM {RAW_TABLE} WHERE session_date = ? ORDER BY seq LIMIT {_ROWS})"
        while count := _delete(
            connection,
            (f"DELETE FROM {RETAGGED_TABLE} WHERE version_id IN ({_RETAGGED_BY}) AND seq IN {some}", (date, date)),
            (f"DELETE FROM {ENRICHED_TABLE} WHERE seq IN {some}", (date,)),
            (f"DELETE FROM {RAW_TABLE} WHERE seq IN {some}", (date,)),
        ):
            removed.rows += count
            tell(removed.rows)
        _remove_beside(connection, session, removed)
        _delete(
            connection,
            ("DELETE FROM rule_retaggings WHERE session_date = ?", (date,)),
            ("DELETE FROM session_leaving", ()),
        )
    return removed


def _remove_beside(connection: apsw.Connection, session: Leaving, removed: Removed) -> None:
    """Inputs, statistics, dead letters and gaps of a session's time."""
    date, from_date, since, upto = session.session_date, session.from_date, session.from_utc, session.upto_utc
    quotes = f"(SELECT id FROM underlying_quotes WHERE symbol = ? AND ts_utc >= ? AND ts_utc < ? LIMIT {_ROWS})"
    for symbol in _column(connection, "SELECT DISTINCT symbol FROM underlying_quotes"):
        sql = f"DELETE FROM underlying_quotes WHERE id IN {quotes}"
        while count := _delete(connection, (sql, (symbol, since, upto))):
            removed.quotes += count
    days = "SELECT DISTINCT date FROM open_interest WHERE date > ? AND date <= ?"
    for day in _column(connection, days, from_date, date):
        for root in _column(connection, "SELECT DISTINCT root FROM open_interest WHERE date = ?", day):
            sql = "DELETE FROM open_interest WHERE date = ? AND root = ?"
            removed.open_interest += _delete(connection, (sql, (day, root)))
    for root in _column(connection, "SELECT DISTINCT root FROM contract_stats_intraday WHERE session_date = ?", date):
        sql = "DELETE FROM contract_stats_intraday WHERE session_date = ? AND root = ?"
        removed.statistics += _delete(connection, (sql, (date, root)))
    within = "minute_bucket_et >= ? AND minute_bucket_et < ?"
    first = f"SELECT min(minute_bucket_et) FROM symbol_stats_intraday WHERE {within}"
    while (minute := connection.execute(first, (session.from_wall, session.upto_wall)).get) is not None:
        sql = f"DELETE FROM symbol_stats_intraday WHERE {within}"
        removed.statistics += _delete(connection, (sql, (minute, min(minute + _HOUR_MS, session.upto_wall))))
    letters = f"(SELECT id FROM ingest_dead_letter WHERE at_utc >= ? AND at_utc < ? LIMIT {_ROWS})"
    while count := _delete(connection, (f"DELETE FROM ingest_dead_letter WHERE id IN {letters}", (since, upto))):
        removed.dead_letters += count
    removed.gaps += _delete(connection, ("DELETE FROM ingest_gaps WHERE upto_utc >= ? AND upto_utc < ?", (since, upto)))


def compact(path: Path) -> int:
    """Give free pages back to the system; the file's size after. Raises StoreError, too where there is a writer."""
    lock = lock_writer(path)
    try:
        with guarded(path):
            connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
            try:
                prepare(connection, BUSY_MS)
                check_identity(connection, path, older=False, empty=False)
                connection.execute("VACUUM")
                list(connection.execute("PRAGMA wal_checkpoint(TRUNCATE)"))
            finally:
                connection.close()
        return path.stat().st_size
    finally:
        os.close(lock)


def _column(connection: apsw.Connection, sql: str, *values: Any) -> list[Any]:
    return [row[0] for row in connection.execute(sql, values)]


def _delete(connection: apsw.Connection, *statements: tuple[str, tuple[Any, ...]]) -> int:
    """Delete in one transaction, then leave the writer as long again; how many rows the last statement removed."""
    begun = time.monotonic()
    with transaction(connection):
        for sql, values in statements:
            connection.execute(sql, values)
        count = connection.changes()
    time.sleep(time.monotonic() - begun)
    return count
