"""Sessions before the latest, opened when somebody asks for them: as many as a setting says, those asked last.

A request never waits for one to be opened. What it asked for and is not there is noted, no more than can stay open,
and :meth:`build`, on a thread of its own, opens one after the other: from its blocks on disk, else from the store's
rows, a little at a time.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from pathlib import Path

from phenix.engine.live.session import Session, Snapshot, begin
from phenix.engine.store.base import Reader

__all__ = ["SealedSessions"]


class SealedSessions:
    """At most ``most`` sessions in blocks of ``room`` rows; ``folder`` keeps the blocks."""

    def __init__(self, folder: Path | None, room: int, most: int) -> None:
        self.most = most
        self._folder = folder
        self._room = room
        self._ready: OrderedDict[int, Session] = OrderedDict()
        self._wanted: dict[int, Session | None] = {}
        """What was asked for, with what was read of it."""
        self._removed = 0
        self._lock = threading.Lock()

    def keep(self, session: Session) -> None:
        """Go on with a session that is the latest no more: its last rows are to be read, its last block sealed."""
        if self.most and session.date:
            with self._lock:
                self._wanted[session.date] = session

    def snapshot(self, reader: Reader, date: int, most_rows: int) -> Snapshot | None:
        """A session as the store has it now; None, and it is noted, while it is not there or much came to it since."""
        with self._lock:
            self._forget(reader.removed_upto())
            session = self._ready.get(date)
            if session is None:
                if len(self._wanted) < self.most:
                    self._wanted.setdefault(date, None)
                return None
            if not session.advance(reader, reader.watermark(), most_rows):
                self._wanted[date] = self._ready.pop(date)
                return None
            self._ready.move_to_end(date)
            return session.snapshot()

    def build(self, reader: Reader) -> bool:
        """One step towards what was asked for first; whether there may be more to do. Raises StoreError."""
        if not self._wanted:
            return False
        with self._lock:
            self._forget(reader.removed_upto())
            date, session = next(iter(self._wanted.items()))
            removed = self._removed
        if session is None:
            session = begin(reader, date, self._room, self._folder)
        done = session.advance(reader, reader.watermark())
        if done:
            session.seal()
        with self._lock:
            if removed != self._removed:  # begin again: its rows may be gone
                return True
            self._wanted[date] = session
            if done:
                del self._wanted[date]
                if session.blocks:
                    self._ready[date] = session
                while len(self._ready) > self.most:
                    self._ready.popitem(last=False)
            return bool(self._wanted)

    def _forget(self, removed: int) -> None:
        """After rows were removed, every session is held against the store again."""
        if removed != self._removed:
            self._removed = removed
            self._ready.clear()
            self._wanted = dict.fromkeys(self._wanted)
