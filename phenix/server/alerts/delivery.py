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
from typing import Final, NamedTuple

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

_AT_ONCE: Final = 24
_OF_A_RECEIVER: Final = 16
"""Messages under way to one receiver, whatever alerts they are of: a slow one holds up no other."""
_SPARE: Final = 8
"""Of all that may be under way these are for receivers with nothing under way."""
_RESULTS: Final = ("delivered", "failed", "dead")
_LONGEST_HOLD_S: Final = 60.0
"""Between tries of a receiver that takes nothing."""
_UNANSWERED: Final = 4
"""So many messages in a row without an answer, and a receiver is taken for gone."""
_IDLE_S: Final = 1.0
"""Longest rest: other processes put entries into the outbox, too."""
_MARGIN_S: Final = 2.0
_MOST_WAIT_S: Final = 900.0
_TRIED_MS: Final = 3_600_000
"""How long a message waits for a receiver that takes nothing: one with many is not tried with each of them in turn."""
_ASIDE_S: Final = 60.0
_KEPT_MS: Final = 90 * 86_400_000
_FORGET_S: Final = 3_600.0
_FORGOTTEN: Final = 1_000
"""Events removed at a time: who writes beside waits for no more than that."""
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


class _Hold(NamedTuple):
    """How often in a row it failed, until when nothing else is sent, and since when nothing was taken."""

    times: int
    until: float
    since: float


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
        self._held: dict[str, _Hold] = {}
        """By receivers that do not answer, and by targets that were refused."""
        self._unanswered: Counter[str] = Counter()
        self._sending: set[asyncio.Task[None]] = set()
        self._forgotten = self._put_aside = 0.0

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
        await self._tidy()
        free = _AT_ONCE - len(self._sending)
        if free <= 0:
            return _IDLE_S
        now, moment = self._now(), time.monotonic()

        def room(receiver: str, target: str, is_test: bool) -> tuple[int, int]:
            if is_test:
                return 1, 1
            if any(self._held[key].until > moment for key in (receiver, target) if key in self._held):
                return 0, 0
            most = 1 if receiver in self._held or free <= _SPARE else _OF_A_RECEIVER
            of_target = 1 if target in self._held else _OF_A_RECEIVER
            return most - self._busy[receiver], of_target - self._busy[target]

        until = now + int((self._retries.timeout_s + _MARGIN_S) * 1000)

        def take(file: SavedFile) -> tuple[list[Message], int | None]:
            due = file.alerts.next_due()
            if due is None or due > now:  # what is claimed is written down, so it is looked at first
                return [], due
            return file.alerts.claim(now, until, room, free - _SPARE if free > _SPARE else free), due

        claimed, due = await self._files.run(take)
        for message in claimed:
            self._busy.update((message.target.receiver, message.target.id))
            task = asyncio.create_task(self._deliver(message))
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)
        if claimed:
            return 0.0
        if due is None or due > now:
            return _IDLE_S if due is None else min(_IDLE_S, (due - now) / 1000)
        over = [hold.until - time.monotonic() for hold in self._held.values()]
        return min([_IDLE_S, *(rest for rest in over if rest > 0)])

    async def _tidy(self) -> None:
        """Forget what is old, and put aside what has waited too long for a receiver that takes nothing."""
        now, moment = self._now(), time.monotonic()
        if moment >= self._forgotten:
            gone = await self._files.run(lambda file: file.alerts.forget(now - _KEPT_MS, _FORGOTTEN))
            self._forgotten = moment if gone else moment + _FORGET_S
        if moment >= self._put_aside and self._held:
            self._put_aside = moment + _ASIDE_S
            # A message may be older than that for other reasons: this server was down, or there are many.
            held = {key for key, hold in self._held.items() if moment - hold.since >= _TRIED_MS / 1000}
            problem = "its receiver took nothing for an hour"
            aside = await self._files.run(lambda file: file.alerts.put_aside(now - _TRIED_MS, held, problem, now))
            self.results["dead"] += aside
            if aside:
                _logger.warning("%d messages were not delivered: %s; they can be sent again", aside, problem)
                self.settled()

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
            self._busy.subtract((message.target.receiver, message.target.id))
            self._busy = +self._busy  # without those that have none
            if (this := asyncio.current_task()) is not None:
                self._sending.discard(this)  # its place is free for whoever is woken now
            self._wake.set()

    async def _send(self, message: Message) -> Outcome:
        if not message.events:
            return Outcome("not sent: its events are gone", again=False)
        target = message.target
        if target.kind == "webhook":
            id_, body = message_id(message), message_body(message)
            return await self._webhooks.send(target.url, target.secret, id_, body, int(self._clock()))
        return await notify(target.url, *message_text(message), self._retries.timeout_s)

    async def _mark(self, message: Message, outcome: Outcome) -> None:
        now, tries = self._now(), message.attempts + 1
        self._note(message, outcome)
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

    def _note(self, message: Message, outcome: Outcome) -> None:
        """Hold back what else waits for a receiver that does not answer, or for a target that it does not take.

        Messages that were under way together and fail together are one failure.
        """
        target, receiver = message.target.id, message.target.receiver
        if outcome.answered:
            self._held.pop(receiver, None)
            del self._unanswered[receiver]
        else:
            self._unanswered[receiver] += 1
        if not outcome.problem:
            self._held.pop(target, None)
            return
        key, now = target if outcome.answered else receiver, time.monotonic()
        times, until, since = self._held.get(key, _Hold(0, now, now))
        if until <= now and (outcome.answered or self._unanswered[receiver] >= _UNANSWERED):
            hold_s = min(_LONGEST_HOLD_S, self._retries.base_s * 2 ** min(times, 30))
            self._held[key] = _Hold(times + 1, now + max(hold_s, outcome.wait_s), since)

    def _now(self) -> int:
        return int(self._clock() * 1000)
