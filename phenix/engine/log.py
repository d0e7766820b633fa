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
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Final

from phenix.engine.durations import Durations
from phenix.engine.flow import INDEX
from phenix.engine.groups import Groups
from phenix.engine.store.base import Problem, Reader, StoreError
from phenix.engine.watch import Batch, Watch, read_batch

__all__ = ["Log", "Subscription"]

_ENRICHED_AT: Final = INDEX["enriched_at_utc"]
_POLL_S: Final = 0.005
_RETRY_S: Final = 1.0
_REST_S: Final = 0.1
_TAIL_ROWS: Final = 4000
_QUEUE_ROWS: Final = 20_000
_logger = logging.getLogger(__name__)


def _read_again(reader: Reader, after: int, upto: int) -> Batch:
    """As :func:`read_batch`, missing nothing: raises StoreError when rows after the seq were removed, too."""
    batch = read_batch(reader, after, upto)
    if after < reader.removed_upto():  # asked last, so that a removal under way is not missed
        raise StoreError(Problem.MISSING, f"rows after seq {after} were removed from the store")
    return batch


class Subscription:
    """One subscriber's way through the log; ``position`` is the last seq it was given."""

    def __init__(self, log: Log, position: int, queue_rows: int, watch: Watch | None, version: str) -> None:
        self.position = position
        self.watch = watch
        self._key = watch.key if watch else None
        self._version = version
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
            batch = await self._log.read(lambda reader: _read_again(reader, after, upto))
            if behind:
                batch = replace(batch, replayed=True)
        else:
            return Batch(self.position, self.position)
        self.position = batch.upto
        return batch

    def _ready(self) -> bool:
        return bool(self._queue) or self.position < self._log.position or self._log.closed

    def offer(self, batch: Batch) -> None:
        """Queue what the tail read; over the bound the queue is given up, to be read again from the store.

        What is known to mean nothing to the subscriber's watch does not wake it.
        """
        known = self._key is not None and batch.version in ("", self._version)
        if known and batch.matched.get(self._key) == ():  # type: ignore[arg-type] # it is known
            self._pass_over(batch)
            return
        if self._rows + len(batch.steps) > self._bound and self._queue:
            self.skip()
            self._behind = True
            self._log.overflows += 1
        self._queue.append(batch)
        self._rows += len(batch.steps)
        self._wake.set()

    def _pass_over(self, batch: Batch) -> None:
        after = batch.after
        if self._queue and not self._queue[-1].steps:  # one such batch in a row is enough
            after = self._queue.pop().after
        if not self._queue and self.position >= after:
            self.position = max(self.position, batch.upto)
        else:
            self._queue.append(Batch(after, batch.upto))

    def skip(self) -> None:
        """Give up the queue."""
        self._queue.clear()
        self._rows = 0
        self._wake.set()

    def follow(self, watch: Watch, version: str) -> None:
        """Go on with another watch, for rows tagged by a rule version."""
        self._log.leave(self)
        self.watch, self._key, self._version = watch, watch.key, version
        self._log.join(self)

    def jump(self, position: int) -> None:
        """Go on after a later seq, not sending what is between."""
        self.position = max(self.position, position)

    def wake(self) -> None:
        """Let who waits for the next batch look around: an empty one comes if there is none."""
        self._wake.set()

    def sent(self, batch: Batch, rows: int) -> None:
        """Count rows of a batch that the subscriber was sent."""
        took = (time.time() - batch.published_at) * 1000 if batch.published_at else 0.0
        self._log.sent.add(took, rows)

    def close(self) -> None:
        """Leave the log."""
        self._log.leave(self)


class Log:
    """Tails a store for subscribers.

    ``open_reader`` opens the tail's own connection, on its own thread; ``read`` runs a function with
    some reader on another thread. ``groups`` match what was read before it is published; ``also`` is given it on the
    tail's thread. ``position`` is the last seq published, ``overflows`` how often a queue was given up; ``published``
    is how long rows took from their enrichment to being offered, ``sent`` from there to each subscriber (0 for those
    it read itself).
    """

    def __init__(
        self,
        open_reader: Callable[[], Reader],
        read: Callable[[Callable[[Reader], Batch]], Awaitable[Batch]],
        *,
        groups: Groups | None = None,
        also: Callable[[Batch], None] | None = None,
        poll_s: float = _POLL_S,
        queue_rows: int = _QUEUE_ROWS,
    ) -> None:
        self.read = read
        self.position = 0
        self.closed = False
        self.failure = ""
        self.overflows = 0
        self.published, self.sent = Durations(), Durations()
        self._groups = groups or Groups()
        self._also = also
        self._open_reader = open_reader
        self._poll_s = poll_s
        self._queue_rows = queue_rows
        self._subscriptions: set[Subscription] = set()
        self._stop = threading.Event()
        self._delivered = threading.Event()
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

    def subscribe(self, position: int | None = None, watch: Watch | None = None, version: str = "") -> Subscription:
        """Follow from after ``position``; from now when it is None.

        Rows tagged by rule ``version`` that mean nothing to ``watch`` are passed over.
        """
        at = self.position if position is None else position
        subscription = Subscription(self, at, self._queue_rows, watch, version)
        self.join(subscription)
        return subscription

    def join(self, subscription: Subscription) -> None:
        """Publish to a subscription."""
        self._subscriptions.add(subscription)
        if subscription.watch is not None:
            self._groups.join(subscription.watch)

    def wake(self) -> None:
        """Wake every subscription."""
        for subscription in self._subscriptions:
            subscription.wake()

    def leave(self, subscription: Subscription) -> None:
        """Forget a subscription; forgetting it twice is fine."""
        if subscription not in self._subscriptions:
            return
        self._subscriptions.remove(subscription)
        if subscription.watch is not None:
            self._groups.leave(subscription.watch)

    async def close(self) -> None:
        """End every subscription, then the tail; closing twice is fine."""
        self.closed = True
        for subscription in self._subscriptions:
            subscription.skip()
        self._stop.set()
        self._delivered.set()
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join)

    def _publish(self, batch: Batch, whole: bool) -> None:
        self.position = batch.upto
        for subscription in self._subscriptions:
            if whole:
                subscription.offer(batch)
            else:
                subscription.skip()  # nobody was there when it was read: the newcomer reads it from the store
        self._loop.call_soon(self._delivered.set)  # after everyone just woken

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
        """Hand every commit to the loop until told to stop. ``_tailed`` belongs to this thread.

        After a batch it rests as long as the loop took to deliver it: the more there is to send, the more is sent at
        once, and the loop keeps time for others.
        """
        news, rest_s = True, 0.0
        while not self._stop.wait(rest_s):
            rest_s = self._poll_s
            if not (news or reader.changed()):
                continue
            news = False
            if self._subscriptions:
                batch = read_batch(reader, self._tailed, limit=_TAIL_ROWS)
                self._groups.match(batch)
                batch = self._published(batch)
                news = batch.upto > self._tailed  # there may be more than one batch of it
                begun = time.monotonic()
                self._hand_over(batch, whole=True)
                took = time.monotonic() - begun
                if self._also is not None:
                    self._also(batch)
                rest_s = 0.0 if len(batch.steps) == _TAIL_ROWS else min(max(self._poll_s, took), _REST_S)
            else:
                self._hand_over(Batch(self._tailed, max(self._tailed, reader.watermark())), whole=False)
            self.failure = ""

    def _published(self, batch: Batch) -> Batch:
        """The batch as it is offered now."""
        now = time.time()
        for enriched_at, rows in Counter(step.row[_ENRICHED_AT] for step in batch.steps).items():
            self.published.add(now * 1000 - enriched_at, rows)
        return replace(batch, published_at=now)

    def _hand_over(self, batch: Batch, *, whole: bool) -> None:
        """Publish a batch on the loop, and wait until those it woke have run."""
        if batch.upto == self._tailed:
            return
        self._tailed = batch.upto
        self._delivered.clear()
        with contextlib.suppress(RuntimeError):  # the loop ended without closing the log: nobody is left to tell
            self._loop.call_soon_threadsafe(self._publish, batch, whole)
            while not self._delivered.wait(_RETRY_S) and not self._stop.is_set():
                pass
