"""The log: one tail of the store by seq, shared by any number of bounded subscriptions.

Commit first, publish second: the tail reads what is stored, so a position is always a stored seq.
A subscription is one sequence of batches without seam: from its position it is read from the store
until it meets what the tail published, then it follows the tail. A subscriber that falls behind
its bound loses its queue, not rows: it is read from the store again from where it stands, and told.

Subscriptions belong to one asyncio loop; every read of the store happens on another thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

from phenix.engine.flow import INDEX, Row
from phenix.engine.predicate import Predicate
from phenix.engine.query.plan import CANCEL_FIELDS
from phenix.engine.store.base import Reader, StoreError

__all__ = ["Batch", "Event", "Kind", "Log", "Step", "Subscription", "Watch", "read_batch"]

_SEQ: Final = INDEX["seq"]
_RECORD: Final = INDEX["cancel_record"]
_CANCELLED: Final = INDEX["cancelled_seq"]
_POLL_S: Final = 0.01
_RETRY_S: Final = 1.0
_BATCH_ROWS: Final = 1000
_QUEUE_ROWS: Final = 20_000
_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Step:
    """One seq of the log: its row, and the row it takes back when it is a cancel that found one."""

    seq: int
    row: Row
    original: Row | None = None


@dataclass(frozen=True, slots=True)
class Batch:
    """Every step in (after, upto].

    ``encoded`` is where a stream keeps the text of an event, so that it is made once for all
    subscribers. ``replayed`` says that the subscriber was too slow and these are read again.
    """

    after: int
    upto: int
    steps: tuple[Step, ...] = ()
    replayed: bool = False
    encoded: dict[tuple[str, int], bytes] = field(default_factory=dict, compare=False, repr=False)

    def since(self, position: int) -> Batch:
        """The part of it after a seq."""
        if position <= self.after:
            return self
        return replace(self, after=position, steps=tuple(step for step in self.steps if step.seq > position))


def read_batch(reader: Reader, after: int, upto: int | None = None, limit: int = _BATCH_ROWS) -> Batch:
    """The next steps after a seq, at most ``limit`` and none beyond ``upto``. Raises StoreError."""
    rows = reader.rows_after(after, limit)
    full = len(rows) == limit
    if upto is not None and rows and rows[-1][_SEQ] > upto:
        rows, full = [row for row in rows if row[_SEQ] <= upto], False
    last = rows[-1][_SEQ] if rows else after
    if not full and upto is not None:
        last = max(last, upto)
    taken_back = {}
    if any(row[_RECORD] for row in rows):
        taken_back = {row[_CANCELLED]: row for row in reader.cancelled_between(after, last)}
    return Batch(after, last, tuple(Step(row[_SEQ], row, taken_back.get(row[_SEQ])) for row in rows))


class Kind(StrEnum):
    """What an event does to the row it carries."""

    UPDATED = "flow.updated"
    RETRACTED = "flow.retracted"


@dataclass(frozen=True, slots=True)
class Event:
    """What one seq means to one subscriber.

    ``row`` is the print (for a retraction the original), ``record`` the cancel record where the
    subscriber's filter matches that as well. There is at most one event a seq, so a seq is a place
    to resume from.
    """

    seq: int
    kind: Kind
    row: Row
    record: Row | None = None


@dataclass(frozen=True, slots=True)
class Watch:
    """A filter on the log, judged at each seq as of that seq.

    Cancel records and prints already taken back are left out unless ``include_cancelled`` is set or
    the filter reads them; a print that matched before its cancel is retracted at the cancel's seq.
    """

    predicate: Predicate
    include_cancelled: bool = False

    def event(self, step: Step) -> Event | None:
        """What a step means to this filter."""
        matches = self.predicate.matches
        reads = self.predicate.reads
        shown = self.include_cancelled or not step.row[_RECORD] or bool(CANCEL_FIELDS & reads)
        here = shown and matches(step.row, step.seq)
        original = step.original
        if original is not None:
            record = step.row if here else None
            if matches(original, step.seq - 1):
                return Event(step.seq, Kind.RETRACTED, original, record)
            if "cancelled" in reads and matches(original, step.seq):
                return Event(step.seq, Kind.UPDATED, original, record)
        return Event(step.seq, Kind.UPDATED, step.row) if here else None


class Subscription:
    """One subscriber's way through the log; ``position`` is the last seq it was given."""

    def __init__(self, log: Log, position: int, queue_rows: int) -> None:
        self.position = position
        self.overflows = 0
        self._log = log
        self._bound = queue_rows
        self._queue: deque[Batch] = deque()
        self._rows = 0
        self._behind = False
        self._wake = asyncio.Event()

    @property
    def queued(self) -> int:
        """Rows waiting."""
        return self._rows

    async def next(self, timeout_s: float) -> Batch | None:
        """The next batch; an empty one when none came in time; None when the log is closed.

        Raises StoreError when rows must be read again and cannot be.
        """
        if not self._ready():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout_s):
                    await self._wake.wait()
        self._wake.clear()
        if self._log.closed:
            return None
        while self._queue and self._queue[0].upto <= self.position:
            self._rows -= len(self._queue.popleft().steps)
        if self._queue and self._queue[0].after <= self.position:
            batch = self._queue.popleft()
            self._rows -= len(batch.steps)
            batch = batch.since(self.position)
        elif self.position < (upto := self._queue[0].after if self._queue else self._log.position):
            after, behind = self.position, self._behind
            self._behind = False
            batch = await self._log.read(lambda reader: read_batch(reader, after, upto))
            if behind:
                batch = replace(batch, replayed=True)
        else:
            return Batch(self.position, self.position)
        self.position = batch.upto
        return batch

    def _ready(self) -> bool:
        return bool(self._queue) or self.position < self._log.position or self._log.closed

    def offer(self, batch: Batch) -> None:
        """Queue what the tail read; over the bound the queue is given up, to be read again from the store."""
        if self._rows + len(batch.steps) > self._bound and self._queue:
            self.skip()
            self._behind = True
            self.overflows += 1
        self._queue.append(batch)
        self._rows += len(batch.steps)
        self._wake.set()

    def skip(self) -> None:
        """Give up the queue."""
        self._queue.clear()
        self._rows = 0
        self._wake.set()

    def close(self) -> None:
        """Leave the log."""
        self._log.leave(self)


class Log:
    """Tails a store for subscribers.

    ``open_reader`` opens the tail's own connection, on its own thread; ``read`` runs a function with
    some reader on another thread. ``position`` is the last seq published.
    """

    def __init__(
        self,
        open_reader: Callable[[], Reader],
        read: Callable[[Callable[[Reader], Batch]], Awaitable[Batch]],
        *,
        poll_s: float = _POLL_S,
        queue_rows: int = _QUEUE_ROWS,
    ) -> None:
        self.read = read
        self.position = 0
        self.closed = False
        self.failure = ""
        self._open_reader = open_reader
        self._poll_s = poll_s
        self._queue_rows = queue_rows
        self._subscriptions: set[Subscription] = set()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop
        self._tailed = 0

    @property
    def subscribers(self) -> int:
        """How many follow the log now."""
        return len(self._subscriptions)

    def start(self, position: int) -> None:
        """Begin to follow the store after a seq; call on the loop that the subscriptions live on."""
        self.position = self._tailed = position
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._tail, name="phenix-tail", daemon=True)
        self._thread.start()

    def subscribe(self, position: int | None = None) -> Subscription:
        """Follow from after ``position``; from now when it is None."""
        subscription = Subscription(self, self.position if position is None else position, self._queue_rows)
        self._subscriptions.add(subscription)
        return subscription

    def leave(self, subscription: Subscription) -> None:
        """Forget a subscription; forgetting it twice is fine."""
        self._subscriptions.discard(subscription)

    async def close(self) -> None:
        """End every subscription, then the tail; closing twice is fine."""
        self.closed = True
        for subscription in self._subscriptions:
            subscription.skip()
        self._stop.set()
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join)

    def _publish(self, batch: Batch, whole: bool) -> None:
        self.position = batch.upto
        for subscription in self._subscriptions:
            if whole:
                subscription.offer(batch)
            else:
                subscription.skip()  # nobody was there when it was read: the newcomer reads it from the store

    def _tail(self) -> None:
        while not self._stop.is_set():
            try:
                reader = self._open_reader()
                try:
                    self._follow(reader)
                finally:
                    reader.close()
            except StoreError as error:
                if self.failure != error.message:
                    _logger.warning("the tail lost the store and tries again: %s", error.message)
                self.failure = error.message
            except Exception as error:  # the thread's outermost frame: every stream hangs on it
                _logger.exception("the tail failed and tries again")
                self.failure = type(error).__name__
            else:
                return
            self._stop.wait(_RETRY_S)

    def _follow(self, reader: Reader) -> None:
        """Hand every commit to the loop until told to stop. ``_tailed`` belongs to this thread."""
        news = True
        while not self._stop.is_set():
            if not news:
                self._stop.wait(self._poll_s)
                news = reader.changed()
                continue
            news = False
            if self._subscriptions:
                batch = read_batch(reader, self._tailed)
                news = batch.upto > self._tailed  # there may be more than one batch of it
                self._hand_over(batch, whole=True)
            else:
                self._hand_over(Batch(self._tailed, max(self._tailed, reader.watermark())), whole=False)
            self.failure = ""

    def _hand_over(self, batch: Batch, *, whole: bool) -> None:
        if batch.upto == self._tailed:
            return
        self._tailed = batch.upto
        with contextlib.suppress(RuntimeError):  # the loop ended without closing the log: nobody is left to tell
            self._loop.call_soon_threadsafe(self._publish, batch, whole)
