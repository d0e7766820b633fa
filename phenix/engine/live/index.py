"""The open session in memory, kept level with the store by reading its log, and those before it on demand.

One thread at a time brings it further; searches take a snapshot and go on beside. Rows are never moved: an open block
grows at its end, a full one is put in the place of its open form.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from phenix.engine.blocks import Block
from phenix.engine.flow import Row
from phenix.engine.live.block import ROWS
from phenix.engine.live.sealed import SealedSessions
from phenix.engine.live.session import Session, Snapshot, begin
from phenix.engine.store.base import Reader
from phenix.engine.store.schema import HELD_SESSIONS

__all__ = ["LiveIndex"]

_WAIT_S: Final = 1.0
"""Longest wait for a thread that reads some rows: the store takes longer for most of what is asked."""


class LiveIndex:
    """The session with the latest date, in blocks of ``room`` rows (65,536 at most); ``folder`` keeps the full ones.

    Of the sessions before it up to ``sealed`` can be searched, too, and their blocks stay in the folder.
    """

    def __init__(self, folder: Path | None = None, room: int = ROWS, sealed: int = 0) -> None:
        self.sealed = SealedSessions(folder, room, sealed)
        self._folder = folder
        self._room = room
        self._open = Session(0, 0, room, None)
        self._lock = threading.Lock()
        self._closed = False

    def close(self) -> None:
        """Stop reading; what is there can still be searched."""
        self._closed = True

    def follow(self, reader: Reader, most: int | None = None) -> bool:
        """Bring it level with the store, unless that takes more than ``most`` rows; whether it is. Raises StoreError.

        Without a bound it waits for another thread that is at it; with one only where that has not much to read.
        """
        if most is not None:
            session, upto = self._open, reader.watermark()
            if session.date != (reader.current_session() or 0) or session.position < reader.removed_upto():
                return False
            if session.position >= upto:
                return True
            if upto - session.position > most:
                return False
        if not self._lock.acquire(timeout=-1 if most is None else _WAIT_S):
            return False
        try:
            upto, date = reader.watermark(), reader.current_session() or 0
            session = self._open
            if session.date != date or session.position < reader.removed_upto():
                if most is not None:
                    return False
                if session.date != date:
                    self.sealed.keep(session)
                session = self._open = self._begin(reader, date)
            if most is not None and upto - session.position > most:
                return False
            while session.position < upto:
                if self._closed:
                    return False
                session.read(reader, upto)
            return True
        finally:
            self._lock.release()

    def take(self, after: int, upto: int, rows: Sequence[Row], cancelled: Sequence[Row], columns: Block) -> None:
        """Go on with rows of the log that somebody else read, here also by column, and what they cancelled;
        :meth:`follow` reads the rest.

        Does nothing where they are not the next ones.
        """
        if not self._lock.acquire(blocking=False):
            return
        try:
            if self._open.date and self._open.position == after and not self._closed:
                self._open.take(rows, cancelled, upto, columns)
        finally:
            self._lock.release()

    def _begin(self, reader: Reader, date: int) -> Session:
        staying = {date, *(held for (held,) in reader.execute(HELD_SESSIONS) if self.sealed.most)}
        for folder in self._folder.glob("*") if self._folder is not None else ():
            if folder.name not in map(str, staying):
                shutil.rmtree(folder, ignore_errors=True)
        return begin(reader, date, self._room, self._folder)

    def snapshot(self) -> Snapshot:
        """What there is now of the latest session."""
        return self._open.snapshot()

    def snapshots(self, reader: Reader, dates: Sequence[int], as_of: int, most_rows: int) -> list[Snapshot] | None:
        """The sessions of some dates, level with a seq; None where one of them is not, and would take more than
        ``most_rows`` rows to be.
        """
        latest = reader.current_session()
        if len(set(dates) - {latest}) > self.sealed.most:
            return None
        found = []
        for date in dates:
            if date == latest:
                one = self.snapshot() if self.follow(reader, most_rows) else None
            else:
                one = self.sealed.snapshot(reader, date, most_rows)
            if one is not None and one.session == date and one.position >= as_of:
                found.append(one)
        return found if len(found) == len(dates) else None
