"""Sends what is in the outbox: claimed, sent, marked; tried again later and later, then put aside.

At least once: a server killed after a receiver took a message and before that was marked sends it again, under the same
id. A claim ends by itself, so that what a killed server was sending is sent by the next.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from phenix.engine.durations import Durations
from phenix.engine.store.alerts import Message
from phenix.engine.store.base import Problem, StoreError
from phenix.engine.store.sqlite_saved import SavedFile
from phenix.server.alerts.message import message_body, message_id, message_text
from phenix.server.alerts.notify import notify
from phenix.server.alerts.sent import Outcome
from phenix.server.alerts.webhook import Webhooks
from phenix.server.readers import Readers

__all__ = ["Deliveries", "Retries"]

_AT_ONCE: Final = 16
_OF_A_TARGET: Final = 4
"""Messages under way to one target: a slow one holds up no other."""
_RESULTS: Final = ("delivered", "failed", "dead")
_LONGEST_HOLD_S: Final = 60.0
"""Between tries of a target that takes nothing."""
_IDLE_S: Final = 1.0
"""Longest rest: other processes put entries into the outbox, too."""
_MARGIN_S: Final = 2.0
_MOST_WAIT_S: Final = 900.0
_KEPT_MS: Final = 90 * 86_400_000
_FORGET_S: Final = 3_600.0
_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Retries:
    """How often a message is tried (``most`` times in all) and how long each try may take.

    The n-th rest lies anywhere between 0 and ``base_s`` · 2ⁿ⁻¹, up to a quarter of an hour.
    """

    most: int
    base_s: float
    timeout_s: float

    def rest_s(self, attempts: int) -> float:
        """How long to wait after so many tries."""
        return random.uniform(0, min(_MOST_WAIT_S, self.base_s * 2 ** min(attempts - 1, 30)))  # noqa: S311 - jitter


class Deliveries:
    """Works on the outbox of one file; ``files`` has one connection for writing.

    ``results`` counts tries by what came of them (delivered, failed, dead), ``took`` is how long entries that arrived
    had waited since they were made.
    """

    def __init__(
        self,
        files: Readers[SavedFile],
        webhooks: Webhooks,
        retries: Retries,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.results = Counter(dict.fromkeys(_RESULTS, 0))  # all of them from the start, so that the first one shows
        self.took = Durations()
        self.settled: Callable[[], None] = lambda: None
        self._files = files
        self._webhooks = webhooks
        self._retries = retries
        self._clock = clock
        self._wake = asyncio.Event()
        self._busy: Counter[str] = Counter()
        self._held: dict[str, tuple[int, float]] = {}
        """Targets that failed: how often in a row, and until when nothing else is sent to them."""
        self._sending: set[asyncio.Task[None]] = set()
        self._forgotten = 0.0

    def wake(self) -> None:
        """Something new is in the outbox; on the loop."""
        self._wake.set()

    async def run(self) -> None:
        """Send until cancelled. A file that cannot be used is tried again."""
        said = ""
        try:
            while True:
                try:
                    rest_s = await self._round()
                    said = ""
                except StoreError as error:
                    if error.problem is not Problem.MISSING and said != error.message:
                        _logger.warning("alerts cannot be delivered now: %s", error.message)
                    said, rest_s = error.message, _IDLE_S
                try:
                    async with asyncio.timeout(rest_s):
                        await self._wake.wait()
                except TimeoutError:
                    pass
        finally:
            for task in self._sending:
                task.cancel()
            await asyncio.gather(*self._sending, return_exceptions=True)

    async def _round(self) -> float:
        """Begin to send what is due; how long there is nothing else to do."""
        self._wake.clear()
        if time.monotonic() >= self._forgotten:
            self._forgotten = time.monotonic() + _FORGET_S
            before = self._now() - _KEPT_MS
            await self._files.run(lambda file: file.alerts.forget(before))
        free = _AT_ONCE - len(self._sending)
        if free <= 0:
            return _IDLE_S
        busy = {target for target, count in self._busy.items() if count >= _OF_A_TARGET}
        busy |= {target for target, (_, until) in self._held.items() if until > time.monotonic()}
        now = self._now()
        until = now + int((self._retries.timeout_s + _MARGIN_S) * 1000)

        def take(file: SavedFile) -> tuple[list[Message], int | None]:
            due = file.alerts.next_due()
            if due is None or due > now:  # what is claimed is written down, so it is looked at first
                return [], due
            return file.alerts.claim(now, until, sorted(busy), min(free, _OF_A_TARGET)), due

        claimed, due = await self._files.run(take)
        for message in claimed:
            self._busy[message.target.id] += 1
            task = asyncio.create_task(self._deliver(message))
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)
        if claimed:
            return 0.0
        if due is None or due > now:
            return _IDLE_S if due is None else min(_IDLE_S, (due - now) / 1000)
        over = [until - time.monotonic() for _, until in self._held.values()]
        return min([_IDLE_S, *(rest for rest in over if rest > 0)])

    async def _deliver(self, message: Message) -> None:
        """Send one message and mark what came of it; unmarked it is claimed again later."""
        try:
            try:
                outcome = await self._send(message)
            except Exception as error:
                _logger.exception("a message of alert %s could not be made or sent", message.alert_id)
                outcome = Outcome(f"not sent: {type(error).__name__} inside the server, whose log says why")
            await self._mark(message, outcome)
        except StoreError as error:
            _logger.warning("what came of a message cannot be stored, it is sent again: %s", error.message)
        finally:
            self._busy[message.target.id] -= 1
            if not self._busy[message.target.id]:
                del self._busy[message.target.id]
            self._wake.set()

    async def _send(self, message: Message) -> Outcome:
        if not message.events:
            return Outcome("not sent: its events are gone", again=False)
        target = message.target
        if target.kind == "webhook":
            id_, body = message_id(message), message_body(message)
            return await self._webhooks.send(target.url, target.secret, id_, body, int(self._clock()))
        return await notify(target.url, *message_text(message))

    async def _mark(self, message: Message, outcome: Outcome) -> None:
        now, tries = self._now(), message.attempts + 1
        self._note(message.target.id, failed=bool(outcome.problem))
        if not outcome.problem:
            await self._files.run(lambda file: file.alerts.delivered(message.number, now))
            self.results["delivered"] += 1
            self.took.add(now - message.events[-1].at)
        else:
            again = outcome.again and tries < self._retries.most
            rest_s = max(self._retries.rest_s(tries), outcome.wait_s)
            due = now + int(rest_s * 1000) if again else None
            await self._files.run(lambda file: file.alerts.failed(message.number, outcome.problem, due, now))
            self.results["failed" if again else "dead"] += 1
            if not again:
                _logger.warning(
                    "an event of alert %s was not delivered in %d tries: %s; it can be sent again",
                    message.alert_id, tries, outcome.problem,
                )  # fmt: skip
        self.settled()

    def _note(self, target: str, *, failed: bool) -> None:
        """Hold back what else waits for a target that fails: it is not to be tried with each of them."""
        if failed:
            times = self._held.get(target, (0, 0.0))[0] + 1
            hold_s = min(_LONGEST_HOLD_S, self._retries.base_s * 2 ** min(times - 1, 30))
            self._held[target] = times, time.monotonic() + hold_s
        else:
            self._held.pop(target, None)

    def _now(self) -> int:
        return int(self._clock() * 1000)
