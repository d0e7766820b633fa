"""Rule versions in SQLite: kept by anyone, entered in the ledger by anyone, made active by the writer alone.

What is asked while another process writes is a small transaction beside its own; the writer looks for what waits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

import apsw

from phenix.engine.store.schema import ENRICHED_TABLE
from phenix.engine.store.sqlite_file import open_beside
from phenix.engine.store.sqlite_guard import guarded, transaction
from phenix.engine.store.versions import Activation, BitTakenError, RuleVersion, Why, bits_in

__all__ = ["SELECT_ACTIVATIONS", "SqliteLedger", "activate", "activation_of", "ask", "keep", "refuse"]

_T = TypeVar("_T")

SELECT_ACTIVATIONS: Final = (
    "SELECT id, cause, version_id, asked_at, asked_by, reason, forced, before_id, activated_seq, activated_at, refused"
    " FROM rule_activations"
)


def activation_of(row: Sequence[Any]) -> Activation:
    """A row of :data:`SELECT_ACTIVATIONS`."""
    number, cause, version, asked_at, asked_by, reason, forced, *after = row
    return Activation(number, Why(cause), version, asked_at, asked_by, reason, bool(forced), *after)


def keep(connection: apsw.Connection, version: RuleVersion) -> bool:
    """Keep a rule version; False when it was there.

    Raises BitTakenError, and ValueError when its id is another configuration's.
    """
    sql = "SELECT checksum FROM filter_rule_versions WHERE version_id = ?"
    stored = connection.execute(sql, (version.version_id,)).get
    if stored not in (None, version.checksum):
        raise ValueError(f"rule version {version.version_id} is already stored with another checksum")
    if stored is None:
        _check_bits(connection, version)  # here, where nobody stores another between the look and the insert
        connection.execute(
            "INSERT INTO filter_rule_versions VALUES (?, ?, ?, 0, ?, NULL, NULL)",
            (version.version_id, version.config_json, version.checksum, version.created_at),
        )
    return stored is None


def _check_bits(connection: apsw.Connection, version: RuleVersion) -> None:
    """Rows hold bits, whatever version set them: a bit is one chip's in all versions, and a chip has one.

    What is stored against that already is left: a store of an older Phenix must take new versions all the same.
    """
    stored = {
        pair: version_id
        for version_id, config in connection.execute("SELECT version_id, config_json FROM filter_rule_versions")
        for pair in bits_in(config).items()
    }
    for chip, bit in bits_in(version.config_json).items() - stored.keys():
        for (other, taken), version_id in stored.items():
            if (other == chip) is not (taken == bit):
                raise BitTakenError(f"bit {bit} is for the chip `{chip}`, but {taken} for `{other}` in {version_id}")


def ask(connection: apsw.Connection, asked: Activation) -> Activation:
    """Enter what is asked in the ledger, behind what is there; its number is given."""
    sql = (
        "INSERT INTO rule_activations (cause, version_id, asked_at, asked_by, reason, forced)"
        " VALUES (?, ?, ?, ?, ?, ?) RETURNING id"
    )
    values = (asked.cause.value, asked.version_id, asked.asked_at, asked.asked_by, asked.reason, int(asked.forced))
    return _entry(connection, connection.execute(sql, values).get)


def activate(connection: apsw.Connection, number: int, now_utc: int) -> Activation:
    """Make the version of an entry the active one, after the rows that are enriched."""
    seq = connection.execute(f"SELECT coalesce(max(seq), 0) FROM {ENRICHED_TABLE}").get
    version = _entry(connection, number).version_id
    before = connection.execute("SELECT version_id FROM filter_rule_versions WHERE is_active = 1").get
    connection.execute("UPDATE filter_rule_versions SET is_active = 0 WHERE is_active = 1")
    connection.execute(
        "UPDATE filter_rule_versions SET is_active = 1, activated_at = ?, activated_seq = ? WHERE version_id = ?",
        (now_utc, seq, version),
    )
    connection.execute(
        "UPDATE rule_activations SET before_id = ?, activated_seq = ?, activated_at = ? WHERE id = ?",
        (before, seq, now_utc, number),
    )
    return _entry(connection, number)


def refuse(connection: apsw.Connection, number: int, why: str) -> Activation:
    """Say why the active version stays."""
    connection.execute("UPDATE rule_activations SET refused = ? WHERE id = ?", (why, number))
    return _entry(connection, number)


def _entry(connection: apsw.Connection, number: int) -> Activation:
    (row,) = connection.execute(f"{SELECT_ACTIVATIONS} WHERE id = ?", (number,))
    return activation_of(row)


class SqliteLedger:
    """Implements :class:`phenix.engine.store.versions.Ledger`. Raises StoreError."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def keep(self, version: RuleVersion) -> bool:
        """Keep a rule version; False when it was there."""
        return self._write(lambda connection: keep(connection, version))

    def ask(self, asked: Activation) -> Activation:
        """Enter what is asked, numbered."""
        return self._write(lambda connection: ask(connection, asked))

    def _write(self, write: Callable[[apsw.Connection], _T]) -> _T:
        with guarded(self._path):
            connection = open_beside(self._path)
            try:
                with transaction(connection):
                    return write(connection)
            finally:
                connection.close()
