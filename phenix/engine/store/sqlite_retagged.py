"""Writing the tags of other rule versions beside the rows, while the store's writer goes on."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final, Self

from phenix.engine.store.retagged import LEAVING, Retagging
from phenix.engine.store.schema import INSERT_RETAGGED, RAW_TABLE, RETAGGED_TABLE, STAYING
from phenix.engine.store.sqlite_file import open_beside
from phenix.engine.store.sqlite_guard import guarded, transaction

__all__ = ["SqliteRetags"]

_REMOVED: Final = 5_000
"""Rows removed in one transaction: some tens of milliseconds in which the writer waits."""
_BEGIN: Final = (
    "INSERT OR IGNORE INTO rule_retaggings SELECT ?1, ?2, 0, 0, ?3"
    f" WHERE EXISTS (SELECT 1 FROM {RAW_TABLE} t WHERE t.session_date = ?2 AND {STAYING})"
)
# Only from where it was found, and while the rows are there: who removes either takes this line first.
_GO_ON: Final = (
    "UPDATE rule_retaggings SET upto_seq = ?4, rows = rows + ?5, updated_at = ?6"
    " WHERE version_id = ?1 AND session_date = ?2 AND upto_seq = ?3"
    f" AND EXISTS (SELECT 1 FROM {RAW_TABLE} t WHERE t.seq = ?4 AND {STAYING})"
)
_LEAVE: Final = (
    "UPDATE rule_retaggings SET upto_seq = ?1, rows = 0, updated_at = ?2 WHERE version_id = ?3 AND upto_seq <> ?1"
)
_SOME: Final = f"SELECT seq FROM {RETAGGED_TABLE} WHERE version_id = ?1 LIMIT {_REMOVED}"


class SqliteRetags:
    """A way to the retaggings of a store. Methods raise StoreError; each transaction of theirs is a small one."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection = open_beside(path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def begin(self, version_id: str, dates: Iterable[int]) -> None:
        """Enter sessions that are to be re-tagged; of those that are, nothing changes."""
        with guarded(self._path), transaction(self._connection):
            self._connection.executemany(_BEGIN, ((version_id, date, _now()) for date in dates))

    def put(self, found: Retagging, upto_seq: int, tags: Sequence[Sequence[Any]]) -> None:
        """Store the tags (seq, and the values of :data:`~phenix.engine.store.schema.TAGS`) of the rows that follow
        what was found, and that they are up to a seq; nothing where another went on from there, or it was removed.
        """
        since = found.version_id, found.session_date, found.upto_seq
        with guarded(self._path), transaction(self._connection):
            self._connection.execute(_GO_ON, (*since, upto_seq, len(tags), _now()))
            if self._connection.changes():
                self._connection.executemany(INSERT_RETAGGED, ((found.version_id, *row) for row in tags))

    def remove(self, version_id: str) -> int:
        """Remove a version's tags, a little at a time; how many there were.

        From the first on no reader uses any of them. One that was killed goes on by the same call.
        """
        removed = 0
        with guarded(self._path):
            while count := self._remove_some(version_id):
                removed += count
        return removed

    def _remove_some(self, version_id: str) -> int:
        begun = time.monotonic()
        with transaction(self._connection):
            # Each time: what another process entered meanwhile loses tags here, too, and must not seem to have them.
            self._connection.execute(_LEAVE, (LEAVING, _now(), version_id))
            delete = f"DELETE FROM {RETAGGED_TABLE} WHERE version_id = ?1 AND seq IN ({_SOME})"
            self._connection.execute(delete, (version_id,))
            count = self._connection.changes()
            if not count:
                self._connection.execute("DELETE FROM rule_retaggings WHERE version_id = ?", (version_id,))
        time.sleep(time.monotonic() - begun)  # for the writer
        return count


def _now() -> int:
    return time.time_ns() // 1_000_000
