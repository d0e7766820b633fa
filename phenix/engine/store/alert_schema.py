"""Tables of alerts in the file of saved queries."""

from __future__ import annotations

from typing import Final

from phenix.engine.store.migrations import Connection

__all__ = ["create_alert_indexes", "create_alert_tables"]

_TABLES: Final = (
    # seq: rows up to it were evaluated, -1 before any; changes: counts what happened to revisions
    """CREATE TABLE alert_state (
        one INTEGER PRIMARY KEY CHECK (one = 1), seq INTEGER NOT NULL, changes INTEGER NOT NULL) STRICT""",
    "INSERT INTO alert_state VALUES (1, -1, 0)",
    """CREATE TABLE alert_revisions (
        alert_id TEXT NOT NULL, revision INTEGER NOT NULL, since_seq INTEGER NOT NULL, until_seq INTEGER,
        opened INTEGER NOT NULL, ended INTEGER, where_text TEXT NOT NULL, cooldown_ms INTEGER NOT NULL,
        per TEXT NOT NULL CHECK (per IN ('contract', 'symbol')), quiet_from INTEGER, quiet_to INTEGER,
        daily_cap INTEGER NOT NULL, severity TEXT NOT NULL, PRIMARY KEY (alert_id, revision)) STRICT, WITHOUT ROWID""",
    """CREATE TABLE alert_delivery (
        alert_id TEXT PRIMARY KEY, cooldown_ms INTEGER, per TEXT, quiet_from INTEGER, quiet_to INTEGER,
        daily_cap INTEGER, digest_ms INTEGER) STRICT, WITHOUT ROWID""",
    """CREATE TABLE alert_targets (
        id TEXT PRIMARY KEY, alert_id TEXT NOT NULL, place INTEGER NOT NULL, kind TEXT NOT NULL, url TEXT NOT NULL,
        secret TEXT NOT NULL) STRICT, WITHOUT ROWID""",
    "CREATE INDEX alert_targets_alert ON alert_targets (alert_id, place)",
    """CREATE TABLE alert_events (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL, kind TEXT NOT NULL CHECK (kind IN ('matched', 'retracted', 'test')),
        alert_id TEXT NOT NULL, revision INTEGER NOT NULL, seq INTEGER NOT NULL, row_ts INTEGER NOT NULL,
        row_id INTEGER NOT NULL, cool_key TEXT NOT NULL, session_date INTEGER NOT NULL, severity TEXT NOT NULL,
        row_json TEXT NOT NULL, name TEXT NOT NULL, created_at INTEGER NOT NULL) STRICT""",
    "CREATE UNIQUE INDEX alert_events_id ON alert_events (id, kind)",
    "CREATE INDEX alert_events_alert ON alert_events (alert_id, number)",
    "CREATE INDEX alert_events_row ON alert_events (row_ts, row_id)",
    """CREATE TABLE alert_outbox (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        alert_id TEXT NOT NULL, target_id TEXT NOT NULL, digest INTEGER NOT NULL,
        first_event INTEGER NOT NULL, last_event INTEGER NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('waiting', 'delivered', 'dead')), attempts INTEGER NOT NULL,
        due_at INTEGER NOT NULL, claimed_until INTEGER NOT NULL, problem TEXT NOT NULL, target_kind TEXT NOT NULL,
        created_at INTEGER NOT NULL, done_at INTEGER) STRICT""",
    "CREATE UNIQUE INDEX alert_outbox_event ON alert_outbox (target_id, first_event)",
    "CREATE INDEX alert_outbox_alert ON alert_outbox (alert_id, last_event)",
    "CREATE INDEX alert_outbox_due ON alert_outbox (due_at) WHERE state = 'waiting'",
    "CREATE INDEX alert_outbox_dead ON alert_outbox (alert_id) WHERE state = 'dead'",
)  # fmt: skip

_INDEXES: Final = (
    "CREATE INDEX alert_events_created ON alert_events (created_at)",
    "CREATE INDEX alert_events_tests ON alert_events (created_at) WHERE kind = 'test'",
    "CREATE INDEX alert_outbox_waiting ON alert_outbox (alert_id, last_event) WHERE state = 'waiting'",
    "CREATE INDEX alert_outbox_old ON alert_outbox (created_at) WHERE state != 'waiting'",
)


def create_alert_tables(connection: Connection) -> None:
    """A step of the file's schema."""
    for statement in _TABLES:
        connection.execute(statement)


def create_alert_indexes(connection: Connection) -> None:
    """A step of the file's schema: what is asked again and again is not looked for in all that was ever sent."""
    for statement in _INDEXES:
        connection.execute(statement)
