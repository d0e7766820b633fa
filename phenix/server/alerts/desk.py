"""Alerts at work, as both gateways ask for them: settings, history, tests, and events as they are raised."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import secrets
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, TypeVar

from phenix.engine.alerts import terms_of
from phenix.engine.query.request import Refusal
from phenix.engine.store.alerts import AlertEvent, Sending
from phenix.engine.store.base import Reader, StoreError
from phenix.engine.store.saved import Entry
from phenix.engine.store.sqlite_saved import SavedFile
from phenix.server.alerts.addresses import Allowed
from phenix.server.alerts.delivery import Deliveries
from phenix.server.alerts.evaluator import Evaluator
from phenix.server.alerts.settings import read_delivery, show_delivery, show_target
from phenix.server.readers import Readers
from phenix.server.saved import SavedQueries

__all__ = ["Alerts", "History", "Told", "Watched", "read_position", "write_position"]

_T = TypeVar("_T")
Watched: TypeAlias = AsyncIterator[tuple[int, list[AlertEvent]]]
"""What is raised, step by step: the number reached, and the events up to it."""
_NEWEST: Final = 2**62
_WATCHED: Final = 500
"""Events read at a time by who watches."""
_PREFIX: Final = b"alert "
_POLL_S: Final = 1.0
"""How often a watcher looks for what another process raised."""
_TEST_S: Final = 15.0


@dataclass(frozen=True, slots=True)
class Told:
    """An event, and how far each message that holds it is."""

    event: AlertEvent
    sendings: tuple[Sending, ...]


@dataclass(frozen=True, slots=True)
class History:
    """Events of an alert, newest first; ``before`` is where the next page begins, None after the last."""

    events: tuple[Told, ...]
    before: int | None
    total: int


class Alerts:
    """What alerts raise and what becomes of it; ``closed`` says that the server ends."""

    def __init__(
        self,
        saved: SavedQueries,
        evaluator: Evaluator,
        deliveries: Deliveries,
        release: Sequence[Callable[[], Any]],
        allowed: Allowed,
        rows: Readers[Reader],
        progress_s: float,
    ) -> None:
        """``release`` lets go of what the deliveries use; ``progress_s`` is the longest silence of a watch."""
        self.evaluator = evaluator
        self.deliveries = deliveries
        self.closed = False
        self._saved = saved
        self._release = release
        self._allowed = allowed
        self._rows = rows
        self._progress_s = progress_s
        self._news = asyncio.Event()
        self._sending: asyncio.Task[None] | None = None

    # -- life

    def start(self) -> None:
        """Begin to judge rows and to deliver what they raise; on the loop."""
        loop = asyncio.get_running_loop()

        def raised() -> None:
            with contextlib.suppress(RuntimeError):  # the loop ended: nobody is left to tell
                loop.call_soon_threadsafe(self._raised)

        self.evaluator.raised = raised
        self.deliveries.settled = self._tell
        self._sending = asyncio.create_task(self.deliveries.run(), name="alerts")
        self.evaluator.start()

    def end_watches(self) -> None:
        """Let every watcher end with what it was given."""
        self.closed = True
        self._tell()

    async def close(self) -> None:
        """Stop; what is under way is sent again by the next server."""
        self.end_watches()
        await asyncio.to_thread(self.evaluator.close)
        if self._sending is not None:
            self._sending.cancel()
            await asyncio.gather(self._sending, return_exceptions=True)
        for release in self._release:
            found = release()
            if found is not None:
                await found

    def _raised(self) -> None:
        self.deliveries.wake()
        self._tell()

    def _tell(self) -> None:
        """Wake everyone who waits for something to happen."""
        news, self._news = self._news, asyncio.Event()
        news.set()

    # -- settings

    async def settings(self, id_: str) -> dict[str, Any] | Refusal:
        """What an alert asks for beside its filter, as it is shown."""
        return await self._of_alert(id_, _settings)

    async def set_settings(self, id_: str, value: object) -> dict[str, Any] | Refusal:
        """Put these in their place; secrets of webhooks that were made are in the answer, and never again."""

        def store(file: SavedFile, upto: int) -> dict[str, Any] | Refusal:
            entry = file.get(id_)
            if entry is None or entry.kind != "alert":
                return _unknown(id_)
            known = file.alerts.delivery(id_)
            delivery = read_delivery(value, known, self._allowed)
            if isinstance(delivery, Refusal):
                return delivery
            file.alerts.put_delivery(id_, delivery)
            file.alerts.revise(id_, entry.where, terms_of(entry.statement, delivery), upto)
            had, sent = {target.secret for target in known.targets}, _secrets_in(value)
            targets = [
                show_target(one, secret=bool(one.secret) and one.secret not in (had | sent)) for one in delivery.targets
            ]
            return {**_settings(file, entry), "targets": targets}

        return await self._saved.change(store, "alert")

    # -- history

    async def events(self, id_: str, before: int | None, limit: int) -> History | Refusal:
        """A page of an alert's events."""

        def read(file: SavedFile, _: Entry) -> History:
            found = file.alerts.page(id_, before or _NEWEST, limit + 1)
            shown = found[:limit]
            told = _told(file, id_, shown)
            return History(told, shown[-1].number if len(found) > limit else None, file.alerts.count(id_))

        return await self._of_alert(id_, read)

    async def test(self, id_: str) -> Told | Refusal:
        """Send a sample to every target of an alert through the outbox; it comes back once each was tried."""
        try:
            row = await self._rows.run(self.evaluator.latest)
        except StoreError:
            return Refusal("unavailable", "The store of rows cannot be read now; try again in a moment.")

        def store(file: SavedFile, _: int) -> AlertEvent | Refusal:
            entry = file.get(id_)
            if entry is None or entry.kind != "alert":
                return _unknown(id_)
            terms = terms_of(entry.statement, file.alerts.delivery(id_))
            event = AlertEvent(f"evt_{secrets.token_hex(12)}", "test", id_, 0, 0, 0, 0, "", 0, terms.severity, row)
            return file.alerts.test(event, int(time.time() * 1000))

        event = await self._saved.change(store, "alert")
        if isinstance(event, Refusal):
            return event
        self._raised()
        until = time.monotonic() + _TEST_S
        while True:
            news = self._news
            told = await self._of_alert(id_, lambda file, _: _told(file, id_, [event])[0])
            if isinstance(told, Refusal):
                return told
            tried = all(one.attempts or one.state != "waiting" for one in told.sendings)
            if tried or self.closed or not await _within(news, until - time.monotonic()):
                return told

    async def outbox(self) -> tuple[dict[str, int], float] | Refusal:
        """How many messages wait and were put aside, and how many seconds old the oldest is that waits."""

        def read(file: SavedFile) -> tuple[dict[str, int], float]:
            counts, oldest = file.alerts.outbox()
            return counts, 0.0 if oldest is None else max(0.0, time.time() - oldest / 1000)

        return await self._saved.read(read, lambda: ({"waiting": 0, "dead": 0}, 0.0))

    async def send_again(self, id_: str) -> int | Refusal:
        """Put what could not be delivered of an alert into the outbox again: how many messages."""

        def store(file: SavedFile, _: int) -> int | Refusal:
            entry = file.get(id_)
            known = entry is not None and entry.kind == "alert"
            return file.alerts.send_again(id_, int(time.time() * 1000)) if known else _unknown(id_)

        found = await self._saved.change(store, "alert")
        self.deliveries.wake()
        return found

    async def watch(self, after: int | None, id_: str) -> Watched | Refusal:
        """Events as they are raised, of all alerts or of one, after a number or from now: each time the number reached
        and the events up to it, none when nothing happened for a while.
        """

        def read(file: SavedFile) -> tuple[int, int, bool]:
            entry = file.get(id_) if id_ else None
            known = not id_ or (entry is not None and entry.kind == "alert")
            return file.alerts.oldest(), file.alerts.newest(), known

        found = await self._saved.read(read, lambda: (1, 0, not id_))
        if isinstance(found, Refusal):
            return found
        oldest, newest, known = found
        if not known:
            return _unknown(id_)
        if after is not None and after < 0:
            return Refusal("invalid_query", "Numbers of events are 0 and above: 0 begins with the oldest.")
        if after is not None and 0 < after < oldest - 1:
            return Refusal("resume_expired", f"Events after {after} are gone: start without it, or after {oldest - 1}.")
        if after is not None and after > newest:
            detail = f"Event {after} is not here, the newest is {newest}: start without it."
            return Refusal("resume_expired", detail)
        return self._watched(newest if after is None else after, id_)

    async def _watched(self, at: int, id_: str) -> Watched:
        said = time.monotonic()
        yield at, []

        def read(file: SavedFile) -> tuple[int, list[AlertEvent]]:
            newest = file.alerts.newest()  # first: what comes meanwhile is not passed over
            events = file.alerts.after(at, id_, _WATCHED)
            reached = events[-1].number if events else at
            return (reached if len(events) == _WATCHED else max(reached, newest)), events

        while not self.closed:
            news = self._news
            found = await self._saved.read(read, lambda: (0, []))
            reached, events = (at, []) if isinstance(found, Refusal) else found
            if events or (reached > at and time.monotonic() - said >= self._progress_s):
                at, said = reached, time.monotonic()
                yield at, events
                continue
            if time.monotonic() - said >= self._progress_s:
                said = time.monotonic()
                yield at, []
            await _within(news, min(_POLL_S, self._progress_s))

    async def _of_alert(self, id_: str, read: Callable[[SavedFile, Entry], _T]) -> _T | Refusal:
        def within(file: SavedFile) -> _T | Refusal:
            entry = file.get(id_)
            return read(file, entry) if entry is not None and entry.kind == "alert" else _unknown(id_)

        return await self._saved.read(within, lambda: _unknown(id_))


def write_position(before: int) -> str:
    """The cursor of a page that ends before an event."""
    return base64.urlsafe_b64encode(_PREFIX + str(before).encode()).rstrip(b"=").decode("ascii")


def read_position(cursor: str) -> int | None:
    """The number a page ends before; None for what is no cursor of such a list."""
    try:
        text = base64.b64decode(cursor[:100] + "=" * (-len(cursor[:100]) % 4), b"-_", validate=True)
    except ValueError:
        return None
    number = text.removeprefix(_PREFIX)
    whole = text.startswith(_PREFIX) and number.isdigit() and len(number) < 19
    return int(number) if whole else None


async def _within(event: asyncio.Event, seconds: float) -> bool:
    """Whether it is set in time."""
    try:
        async with asyncio.timeout(max(0.0, seconds)):
            await event.wait()
    except TimeoutError:
        return False
    return True


def _settings(file: SavedFile, entry: Entry) -> dict[str, Any]:
    delivery = file.alerts.delivery(entry.id)
    return show_delivery(delivery, terms_of(entry.statement, delivery), file.alerts.since(entry.id))


def _told(file: SavedFile, id_: str, events: Sequence[AlertEvent]) -> tuple[Told, ...]:
    numbers = [event.number for event in events] or [0]
    of_one: dict[int, list[Sending]] = {number: [] for number in numbers}
    digests: list[Sending] = []
    for one in file.alerts.sendings(id_, min(numbers), max(numbers)):
        (digests if one.digest else of_one.setdefault(one.first, [])).append(one)
    return tuple(
        Told(event, (*of_one[event.number], *(one for one in digests if one.covers(event)))) for event in events
    )


def _secrets_in(value: object) -> set[str]:
    """The secrets that somebody sent, who need not be told them."""
    targets = value.get("targets") if isinstance(value, dict) else None
    return {one["secret"] for one in targets or () if isinstance(one, dict) and isinstance(one.get("secret"), str)}


def _unknown(id_: str) -> Refusal:
    shown = id_ if len(id_) <= 80 else id_[:80] + "…"
    return Refusal("not_found", f"There is no alert {shown!r}.")
