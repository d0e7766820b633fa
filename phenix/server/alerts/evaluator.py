"""Follows the log for saved alerts on a thread of its own: what they raise is stored with how far it came.

Any number of serving processes may share a store: each judges the rows, and what one was first to store the others
pass over. A kill at any instant leaves what was raised, what is to be sent and the seq it reaches as one.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from phenix.engine.alerts import Judge, terms_of
from phenix.engine.flow import INDEX, Row
from phenix.engine.store.base import Reader, StoreError
from phenix.engine.store.sqlite_saved import SavedFile
from phenix.engine.watch import read_batch
from phenix.server.rulebook import Rulebook
from phenix.server.rules import Rules

__all__ = ["Evaluator"]

_VERSION: Final = INDEX["rule_version"]
_POLL_S: Final = 0.02
_RETRY_S: Final = 1.0
_ROWS: Final = 2_000
_STORED_S: Final = 1.0
"""How often the place is stored while nothing is raised: rows from there on are judged again after a restart."""
_logger = logging.getLogger(__name__)


class Evaluator:
    """Raises events of the alerts in ``path``, which ``open_file`` opens for writing, once there is such a file.

    ``rulebook`` makes one for each thread that reads rows. ``raised`` is called on its thread after events were stored.
    ``position`` is the last seq judged, ``events`` how many were raised here, ``unknown`` how many alerts the rules of
    the latest rows do not understand, ``failure`` why it cannot go on now, "" while it can.
    """

    def __init__(
        self,
        path: Path,
        open_file: Callable[[], SavedFile],
        open_reader: Callable[[], Reader],
        rulebook: Callable[[], Rulebook],
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.position = self.events = self.unknown = 0
        self.failure = ""
        self.raised: Callable[[], None] = lambda: None
        self._path = path
        self._open_file = open_file
        self._open_reader = open_reader
        self._rulebook, self._samples = rulebook(), rulebook()
        self._clock = clock
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to follow the log."""
        self._thread = threading.Thread(target=self._run, name="phenix-alerts", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End, after the batch under way; closing twice is fine."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._follow()
            except StoreError as error:
                if self.failure != error.message:
                    _logger.warning("alerts wait, and try again: %s", error.message)
                self.failure = error.message
            except Exception as error:  # the thread's outermost frame: every alert hangs on it
                if self.failure != type(error).__name__:
                    _logger.exception("alerts failed, and try again")
                self.failure = type(error).__name__
            self._stop.wait(_RETRY_S)

    def _follow(self) -> None:
        while not self._path.exists():
            if self._stop.wait(_POLL_S):
                return
        reader = self._open_reader()
        try:
            file = self._open_file()
            try:
                _Following(self, reader, file, self._stop).run()
            finally:
                file.close()
        finally:
            reader.close()

    def now(self) -> int:
        """UTC milliseconds."""
        return int(self._clock() * 1000)

    def rules(self, reader: Reader, version: str) -> Rules:
        """The rule version that tagged rows; on its own thread. Raises StoreError."""
        return self._rulebook.under(reader, version)

    def latest(self, reader: Reader) -> str:
        """The latest row as JSON, an empty object before any. Raises StoreError."""
        watermark = reader.watermark()
        for row in reader.rows_at([watermark]):
            return self._samples.under(reader, row[_VERSION]).encoder.encode(row, watermark).decode()
        return "{}"


class _Following:
    """The log followed with one connection to each file, from where the alerts' file says."""

    def __init__(self, of: Evaluator, reader: Reader, file: SavedFile, stop: threading.Event) -> None:
        self._of, self._reader, self._file, self._stop = of, reader, file, stop
        self._alerts = file.alerts
        self._judge = Judge()
        self._stored = self._position = self._changes = -1
        self._known = 0
        """The number of the last event that the judge remembers."""
        self._due = 0.0

    def run(self) -> None:
        """Judge every batch until told to stop. Raises StoreError."""
        self._reader.changed()
        self._begin()
        news, rest_s = True, 0.0
        while not self._stop.wait(rest_s):
            if self._file.changed():
                self._reload()
            news = self._reader.changed() or news
            if news:
                news = self._step()
            elif self._position > self._stored:
                self._store_place()
            rest_s = 0.0 if news else _POLL_S
            self._of.failure = ""

    def _begin(self) -> None:
        """Where to go on: alerts saved before there was anybody to judge them begin with the rows to come."""
        watermark = self._reader.watermark()
        with self._file.transaction():
            for id_ in self._alerts.without_revision():
                entry = self._file.get(id_)
                assert entry is not None
                delivery = self._alerts.delivery(id_)
                self._alerts.revise(id_, entry.where, terms_of(entry.statement, delivery), watermark)
            seq, _ = self._alerts.state()
            if seq < 0:
                since = [one.since for one in self._alerts.revisions(-1) if one.until is None]
                self._alerts.place(min([watermark, *since]))
            elif seq > watermark:
                _logger.warning(
                    "the store ends at seq %d, alerts were at %d: it is another, or an older copy; they go on from its"
                    " end, and what a row raised before is not raised again", watermark, seq,
                )  # fmt: skip
                self._alerts.rewind(watermark)
        self._again()

    def _again(self) -> None:
        """Go on from what is stored."""
        with self._file.transaction():
            self._stored, self._changes = self._alerts.state()
            revisions, spoken = self._alerts.revisions(self._stored), self._alerts.spoken(self._known)
            self._known = self._alerts.newest()
        self._of.position = self._position = self._stored
        self._judge.take(revisions)
        self._judge.remember(*spoken)
        removed = self._reader.removed_upto()
        if removed > self._position and not self._judge.idle:
            _logger.warning("rows %d to %d left the store before alerts saw them", self._position + 1, removed)

    def _reload(self) -> None:
        """See to what changed in the file; rows that were passed and not stored yet are judged again if they must."""
        with self._file.transaction():
            seq, changes = self._alerts.state()
            if seq == self._stored and changes == self._changes:
                return
            revisions = self._alerts.revisions(seq)
        if seq != self._stored:  # another process was first
            self._again()
            return
        self._changes = changes
        self._position = self._stored
        self._judge.take(revisions)
        self._of.unknown = len(self._judge.unknown)

    def _step(self) -> bool:
        """Judge the next batch; whether there may be more."""
        if self._judge.idle:
            self._of.position = self._position = max(self._position, self._reader.watermark())
            return False
        batch = read_batch(self._reader, self._position, limit=_ROWS)
        if not batch.steps:
            self._position = max(self._position, batch.upto)
            return False
        rules = self._of.rules(self._reader, batch.version)

        def encode(row: Row, as_of: int) -> str:
            return rules.encoder.encode(row, as_of).decode()

        verdict = self._judge.judge(batch, rules.bundle, encode, self._alerts.of_row)
        self._of.unknown = len(self._judge.unknown)
        if verdict.events or time.monotonic() >= self._due:
            raised = self._alerts.advance(self._stored, batch.upto, self._changes, verdict.events, self._of.now())
            if raised is None:
                self._again()
                return True
            self._judge.accept(verdict)
            count, self._known = raised
            self._stored = batch.upto
            self._due = time.monotonic() + _STORED_S
            self._of.events += count
            if count:
                self._of.raised()
        self._position = batch.upto
        self._of.position = batch.upto
        return True

    def _store_place(self) -> None:
        if time.monotonic() < self._due:
            return
        self._due = time.monotonic() + _STORED_S
        if self._alerts.advance(self._stored, self._position, self._changes, (), self._of.now()) is None:
            self._again()
        else:
            self._stored = self._position
