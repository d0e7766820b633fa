"""The file of saved queries and alerts: a second SQLite file, beside the store, that serve owns.

WAL and ``synchronous=FULL`` as in the store: what was answered is on the disk. Every change is one short immediate
transaction, so that several serving processes may share the file.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import apsw

from phenix.engine.store.alert_schema import create_alert_indexes, create_alert_tables
from phenix.engine.store.base import Problem, StoreError
from phenix.engine.store.migrations import Connection, Migration, migrate
from phenix.engine.store.saved import Entry, Kind
from phenix.engine.store.sqlite_alerts import AlertTables
from phenix.engine.store.sqlite_file import prepare, set_pragma
from phenix.engine.store.sqlite_guard import guarded, transaction

__all__ = ["SAVED_APPLICATION_ID", "SAVED_MIGRATIONS", "SavedFile", "connect_saved", "open_saved", "saved_beside"]

SAVED_APPLICATION_ID: Final = 0x50484E51
"""``PHNQ``: tells the file from a store and from any other SQLite file."""
_PAYLOAD_VERSION: Final = "v2"
_BUSY_MS: Final = 2_000
"""How long to wait for another process's change; each takes milliseconds."""

# Numbered as they came, never again the same number: a walk through a list stands on one.
_TABLE: Final = """CREATE TABLE saved_queries (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE, kind TEXT NOT NULL CHECK (kind IN ('preset', 'alert')), name TEXT NOT NULL,
        payload_version TEXT NOT NULL, query_dsl_v2_json TEXT NOT NULL, where_text TEXT NOT NULL,
        rule_version TEXT NOT NULL, fidelity TEXT NOT NULL, reasons_json TEXT NOT NULL, statement_text TEXT NOT NULL,
        created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL) STRICT"""
_INDEX: Final = "CREATE INDEX saved_queries_kind ON saved_queries (kind, number)"

_COLUMNS: Final = (
    "id, kind, name, query_dsl_v2_json, where_text, rule_version, fidelity, reasons_json, statement_text,"
    " created_at, updated_at"
)
_SELECT: Final = f"SELECT {_COLUMNS}, number FROM saved_queries"
# Updated, not replaced: an entry that is saved again keeps its number.
_PUT: Final = (
    f"INSERT INTO saved_queries ({_COLUMNS}, payload_version) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (id) DO UPDATE SET name = excluded.name, query_dsl_v2_json = excluded.query_dsl_v2_json,"
    " where_text = excluded.where_text, rule_version = excluded.rule_version, fidelity = excluded.fidelity,"
    " reasons_json = excluded.reasons_json, statement_text = excluded.statement_text, updated_at = excluded.updated_at"
)


def _create(connection: Connection) -> None:
    connection.execute(_TABLE)
    connection.execute(_INDEX)


SAVED_MIGRATIONS: Final = (
    Migration(1, "saved queries", _create),
    Migration(2, "alerts: revisions, events and the outbox", create_alert_tables),
    Migration(3, "alerts: indexes of what waits and of what is old", create_alert_indexes),
)
_LATEST: Final = SAVED_MIGRATIONS[-1].version


def saved_beside(store: Path) -> Path:
    """Where the saved queries of a store are, or of a backup: ``flow.saved.sqlite`` beside ``flow.sqlite``."""
    return store.with_name(f"{store.stem}.saved{store.suffix}")


def open_saved(path: Path, *, writing: bool, make: bool = True) -> SavedFile:
    """Open the file; for writing it is brought up to date, and with ``make`` made, as needed.

    Raises StoreError: not there yet (where it is not made), the path or disk does not allow it, the file is not ours,
    is damaged or was written by a newer Phenix.
    """
    return SavedFile(connect_saved(path, writing=writing, make=make), path)


def connect_saved(path: Path, *, writing: bool, make: bool = True, older: bool = False) -> apsw.Connection:
    """As :func:`open_saved`, the bare connection; ``older`` takes a file of an older schema for reading, too."""
    if not (writing and make) and not path.exists():
        raise StoreError(Problem.MISSING, f"there are no saved queries at {path} yet: saving the first makes the file")
    create = apsw.SQLITE_OPEN_CREATE if make else 0
    flags = apsw.SQLITE_OPEN_READWRITE | create if writing else apsw.SQLITE_OPEN_READONLY
    with guarded(path):
        connection = apsw.Connection(str(path), flags=flags)
        try:
            prepare(connection, _BUSY_MS)
            version = _check_identity(connection, path, older=writing or older)
            if writing:
                if version < _LATEST:
                    with suppress(OSError):  # of somebody else, who lets us write it
                        path.chmod(0o600)  # targets of alerts have secrets
                set_pragma(connection, "journal_mode", "wal")
                set_pragma(connection, "synchronous", 2)
                if version < _LATEST:
                    _bring_up_to_date(connection, path)
        except BaseException:
            connection.close()
            raise
    return connection


def _bring_up_to_date(connection: apsw.Connection, path: Path) -> None:
    with transaction(connection):
        version = _check_identity(connection, path, older=True)  # another process may have been first
        connection.execute(f"PRAGMA application_id = {SAVED_APPLICATION_ID}")
        migrate(connection, version, time.time_ns() // 1_000_000, SAVED_MIGRATIONS)


def _check_identity(connection: apsw.Connection, path: Path, *, older: bool) -> int:
    """The schema version of the file, 0 for an empty one."""
    application, version = connection.pragma("application_id"), int(connection.pragma("user_version"))
    bare = not application and not list(connection.execute("SELECT 1 FROM sqlite_schema LIMIT 1"))
    if not bare and application != SAVED_APPLICATION_ID:
        raise StoreError(
            Problem.FOREIGN,
            f"{path} is an SQLite database, but not the saved queries of a Phenix: move it away, it was not touched",
        )
    if version > _LATEST:
        raise StoreError(
            Problem.NEWER,
            f"the saved queries {path} have schema {version} of a newer Phenix, this one knows up to {_LATEST}:"
            " run the newer version, or put a backup from before it back with this one's `phenix restore`;"
            " the file was not touched",
        )
    if version < _LATEST and not older:
        raise StoreError(
            Problem.OLDER if version else Problem.MISSING,
            f"the saved queries {path} have schema {version}, this Phenix reads {_LATEST}:"
            " saving one brings it up to date",
        )
    return version


class SavedFile:
    """One connection to the file; used by one thread at a time. Each method raises StoreError."""

    def __init__(self, connection: apsw.Connection, path: Path) -> None:
        self._connection = connection
        self._path = path
        self._data_version = -1
        self.alerts = AlertTables(connection, path)

    def changed(self) -> bool:
        """Whether another connection committed since the last call (cheap); true the first time."""
        with guarded(self._path):
            version = int(self._connection.pragma("data_version"))
        before, self._data_version = self._data_version, version
        return before != version

    def get(self, id_: str) -> Entry | None:
        """An entry by its id, of either kind."""
        with guarded(self._path):
            rows = list(self._connection.execute(f"{_SELECT} WHERE id = ?", (id_,)))
        return _entry(rows[0]) if rows else None

    def page(self, kind: Kind, after: int, limit: int) -> list[tuple[int, Entry]]:
        """Entries of a kind numbered above ``after``, in the order they were made, with their numbers."""
        sql = f"{_SELECT} WHERE kind = ? AND number > ? ORDER BY number LIMIT ?"
        with guarded(self._path):
            return [(row[-1], _entry(row)) for row in self._connection.execute(sql, (kind, after, limit))]

    def count(self, kind: Kind) -> int:
        """How many entries of a kind there are."""
        sql = "SELECT count(*) FROM saved_queries WHERE kind = ?"
        with guarded(self._path):
            return int(next(iter(self._connection.execute(sql, (kind,))))[0])

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """What is read and written inside stands together: all of it is stored, or none."""
        with guarded(self._path), transaction(self._connection):
            yield

    def put(self, entry: Entry) -> None:
        """Store an entry, in the place of the one with its id."""
        reasons = json.dumps(entry.reasons, ensure_ascii=False)
        values = (
            entry.id, entry.kind, entry.name, entry.v2_json, entry.where, entry.rule_version, entry.fidelity, reasons,
            entry.statement, entry.created_at, entry.updated_at, _PAYLOAD_VERSION,
        )  # fmt: skip
        with guarded(self._path):
            self._connection.execute(_PUT, values)

    def remove(self, id_: str) -> None:
        """Remove an entry; none by that id is fine."""
        with guarded(self._path):
            self._connection.execute("DELETE FROM saved_queries WHERE id = ?", (id_,))

    def close(self) -> None:
        """Release the file; closing twice is fine."""
        self._connection.close()


def _entry(row: tuple[Any, ...]) -> Entry:
    id_, kind, name, v2_json, where, rule_version, fidelity, reasons, statement, created_at, updated_at, _ = row
    return Entry(
        id_, kind, name, v2_json, where, rule_version, fidelity, tuple(json.loads(reasons)), statement, created_at,
        updated_at,
    )  # fmt: skip
