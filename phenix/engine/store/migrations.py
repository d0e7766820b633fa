"""Numbered, forward-only steps from an empty database to the present schema.

A step is never edited once released. Tables are created from the catalog as it stands, so a step that adds a
field's column finds it already there in a new database and leaves it alone (:func:`add_column`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from phenix.engine.flow import BY_NAME, Part
from phenix.engine.store.schema import (
    ACTIVATIONS,
    ENRICHED_TABLE,
    FEED,
    GAPS,
    INDEXES,
    LEAVING,
    RAW_TABLE,
    RETAGGED,
    SHADOW,
    TABLES,
    column,
    column_sql,
)

__all__ = ["LATEST", "MIGRATIONS", "Connection", "Migration", "add_column", "migrate"]


class Connection(Protocol):
    """The part of a database connection a step needs."""

    def execute(self, statements: str, bindings: Any = ..., /) -> Iterable[Any]:
        """Run one statement."""
        ...


@dataclass(frozen=True, slots=True)
class Migration:
    """One step: its number, what it does, and how."""

    version: int
    name: str
    apply: Callable[[Connection], None]


def _create(connection: Connection) -> None:
    for statement in (*TABLES, *INDEXES):
        connection.execute(statement)


def add_column(name: str) -> Callable[[Connection], None]:
    """A step that adds the column of a (nullable) catalog field where it is missing."""

    def apply(connection: Connection) -> None:
        field = BY_NAME[name]
        table = RAW_TABLE if field.part is Part.RAW else ENRICHED_TABLE
        present = {row[0] for row in connection.execute(f"SELECT name FROM pragma_table_info('{table}')")}
        if column(field) not in present:
            connection.execute(f"ALTER TABLE {table} ADD COLUMN {column_sql(field)}")

    return apply


def _gaps(connection: Connection) -> None:
    connection.execute(GAPS)


def _leaving(connection: Connection) -> None:
    connection.execute(LEAVING)
    present = {row[0] for row in connection.execute("SELECT name FROM pragma_table_info('ingest_dead_letter')")}
    if "redriven_at" not in present:
        connection.execute("ALTER TABLE ingest_dead_letter ADD COLUMN redriven_at INTEGER")


def _feed(connection: Connection) -> None:
    connection.execute(FEED)


def _shadow(connection: Connection) -> None:
    for statement in SHADOW:
        connection.execute(statement)


def _activations(connection: Connection) -> None:
    """The ledger of activations; what it would have said of the version that is active already comes first."""
    connection.execute(ACTIVATIONS)
    connection.execute(
        "INSERT INTO rule_activations"
        " (cause, version_id, asked_at, asked_by, reason, forced, activated_seq, activated_at)"
        " SELECT 'bootstrap', version_id, created_at, '', '', 0, coalesce(activated_seq, 0), activated_at"
        " FROM filter_rule_versions WHERE is_active = 1 AND NOT EXISTS (SELECT 1 FROM rule_activations)"
    )


def _retagged(connection: Connection) -> None:
    for statement in RETAGGED:
        connection.execute(statement)


MIGRATIONS: Final = (
    Migration(1, "tables and indexes", _create),
    Migration(2, "gaps of the stream", _gaps),
    Migration(3, "a session that leaves, letters read again", _leaving),
    Migration(4, "what the terminal's feed is like", _feed),
    Migration(5, "a rule version in shadow", _shadow),
    Migration(6, "what was asked of the rules", _activations),
    Migration(7, "tags of other rule versions", _retagged),
)

LATEST: Final = MIGRATIONS[-1].version


def migrate(connection: Connection, from_version: int, now_utc: int, steps: Sequence[Migration] | None = None) -> None:
    """Apply every later step, of a store where none are named; the caller holds the transaction."""
    connection.execute(
        "CREATE TABLE IF NOT EXISTS schema_migrations"
        " (version INTEGER PRIMARY KEY, name TEXT NOT NULL, applied_at INTEGER NOT NULL) STRICT"
    )
    for step in MIGRATIONS if steps is None else steps:
        if step.version > from_version:
            step.apply(connection)
            connection.execute("INSERT INTO schema_migrations VALUES (?, ?, ?)", (step.version, step.name, now_utc))
            connection.execute(f"PRAGMA user_version = {step.version}")
