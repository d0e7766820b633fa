"""Saying which rule version is in shadow, and keeping what was compared afterwards, while the writer goes on."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import astuple
from pathlib import Path
from typing import Final

from phenix.engine.store.schema import RAW_TABLE
from phenix.engine.store.shadow import CANDIDATE, PUT_COMPARISON, Candidate, Comparison
from phenix.engine.store.sqlite_file import open_beside
from phenix.engine.store.sqlite_guard import guarded, transaction

__all__ = ["keep_comparisons", "set_candidate"]

# From the beginning of the running session on, whose rows are counted out of the store.
_LATEST: Final = f"SELECT max(session_date) FROM {RAW_TABLE}"
_BEGIN: Final = f"SELECT coalesce(min(seq) - 1, 0) FROM {RAW_TABLE} WHERE session_date = ({_LATEST})"


def set_candidate(path: Path, version_id: str | None) -> Candidate | None:
    """Put a rule version in shadow, in the place of another; None ends it. What it replaced.

    Raises StoreError, and LookupError for a version that is not stored, or is the active one.
    """
    with guarded(path):
        connection = open_beside(path)
        try:
            with transaction(connection):
                before = next((Candidate(*row) for row in connection.execute(CANDIDATE)), None)
                if version_id is None:
                    connection.execute("DELETE FROM shadow_candidate")
                    return before
                known = connection.execute(
                    "SELECT is_active FROM filter_rule_versions WHERE version_id = ?", (version_id,)
                ).get
                if known is None:
                    raise LookupError(f"the store holds no rule version {version_id}")
                if known:
                    raise LookupError(f"rule version {version_id} is the active one: there is nothing to compare")
                after = connection.execute(_BEGIN).get
                values = (version_id, time.time_ns() // 1_000_000, after, after)
                connection.execute("INSERT OR REPLACE INTO shadow_candidate VALUES (1, ?, ?, ?, ?)", values)
                return before
        finally:
            connection.close()


def keep_comparisons(path: Path, found: Sequence[Comparison]) -> None:
    """Store comparisons in the place of earlier ones of their kind. Raises StoreError."""
    with guarded(path):
        connection = open_beside(path)
        try:
            with transaction(connection):
                connection.executemany(PUT_COMPARISON, map(astuple, found))
        finally:
            connection.close()
