"""Re-tagging: the chips and the score that another rule version gives stored rows, kept beside those they have.

They are what ``rules=`` computes for one query: the version's definitions over the figures that rows are stored with.
A session is gone through in small steps, each a transaction that also says how far it came, and as long a rest after
it: what writes the store waits some milliseconds at most, a processor is half taken, and a kill loses one step.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from phenix.engine.blocks import Block, cells_of
from phenix.engine.bundle import Bundle
from phenix.engine.flow import INDEX
from phenix.engine.store.base import Reader
from phenix.engine.store.retagged import LEAVING, Retagging, retagging, retaggings, waiting
from phenix.engine.store.schema import HELD_SESSIONS, TAGS
from phenix.engine.store.sqlite_retagged import SqliteRetags
from phenix.engine.tagging import Tagging

__all__ = ["Retaggings"]

_ROWS: Final = 1_000
"""Rows of a step."""
_POLL_S: Final = 0.1
_SEQ: Final = INDEX["seq"]


class Retaggings:
    """Re-tags rows of the store at ``path``, beside whoever writes it; ``bundles`` gives the rule versions of a reader.

    Methods raise StoreError.
    """

    def __init__(
        self,
        path: Path,
        open_reader: Callable[[], Reader],
        bundles: Callable[[Reader], Callable[[str], Bundle | None]],
    ) -> None:
        self._path = path
        self._open_reader = open_reader
        self._bundles = bundles

    def make(
        self, version_id: str, sessions: int | None = None, *, follow: bool = False
    ) -> Iterator[tuple[Retagging, int]]:
        """Re-tag the latest sessions, all without a number, the latest first; with ``follow`` new rows, too, for ever.

        Goes on where it was left. Each step gives how far its session is and how many rows that has. Raises LookupError
        for a version that cannot be used, and where the tags are removed meanwhile.
        """
        with self._open_reader() as reader, SqliteRetags(self._path) as kept:
            bundle = self._bundles(reader)(version_id)
            if bundle is None:
                raise LookupError(f"rule version {version_id} of the store cannot be used")
            tagging, begun = Tagging(bundle), None
            if any(one.upto_seq == LEAVING for one in retaggings(reader) if one.version_id == version_id):
                kept.remove(version_id)
            while True:
                dates = [date for (date,) in reader.execute(HELD_SESSIONS)][:sessions]
                if dates != begun:
                    kept.begin(version_id, dates)
                    begun = dates
                for date in dates:
                    yield from _session(reader, kept, tagging, date)
                if not follow:
                    return
                time.sleep(_POLL_S)
                while not reader.changed():
                    time.sleep(_POLL_S)

    def remove(self, version_id: str) -> int:
        """Remove what a version tagged; how many rows that were."""
        with SqliteRetags(self._path) as kept:
            return kept.remove(version_id)


def _session(reader: Reader, kept: SqliteRetags, tagging: Tagging, date: int) -> Iterator[tuple[Retagging, int]]:
    upto, rows = reader.watermark(), 0
    while True:
        began = time.monotonic()
        # Looked up for each step: another process may have gone on from there, or have removed it.
        found = retagging(reader, tagging.version, date)
        if found is None or found.upto_seq == LEAVING:
            if (date,) in reader.execute(HELD_SESSIONS):
                raise LookupError(f"what {tagging.version} tagged was removed meanwhile; the same command begins anew")
            return
        rows = rows or found.rows + waiting(reader, found)
        yield found, rows
        page = reader.session_stored(date, found.upto_seq, upto, _ROWS)
        if not page:
            return
        kept.put(found, page[-1][_SEQ], _tags(tagging, [row for row in page if row[-1] is not None]))
        time.sleep(time.monotonic() - began)


def _tags(tagging: Tagging, rows: Sequence[Sequence[Any]]) -> list[tuple[Any, ...]]:
    """The seq of each row, and its tags."""
    columns = tagging.tag(Block.of_rows(rows))
    return list(zip((row[_SEQ] for row in rows), *(cells_of(columns[name]) for name in TAGS), strict=True))
