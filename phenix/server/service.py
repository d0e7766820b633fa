"""The engine behind both gateways: pages, single rows and live streams from one store.

Nothing here knows which protocol asked. What a caller can cause comes back as a Refusal; the store
failing does too, since a caller can only wait.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from phenix.engine.bundle import Bundle
from phenix.engine.encode import row_key
from phenix.engine.flow import INDEX, Row
from phenix.engine.live.index import LiveIndex
from phenix.engine.log import Log
from phenix.engine.query.behind import waiting_row
from phenix.engine.query.estimate import Estimate, fetch_estimate
from phenix.engine.query.page import Page, compile_filter, fetch_page
from phenix.engine.query.request import FlowRequest, Refusal
from phenix.engine.query.shadow import ShadowDiff
from phenix.engine.query.summary import Summary, fetch_summary
from phenix.engine.rollout import Rollout
from phenix.engine.store.base import Reader, StoreError, StoreTimeout
from phenix.engine.watch import Watch, read_batch
from phenix.engine.why import Reasons, Whys
from phenix.server.alerts.desk import Alerts
from phenix.server.editor import Editor
from phenix.server.export import Exported, export
from phenix.server.follow import Content, Events, Progress, Snapshot, Start, follow
from phenix.server.params import Asked
from phenix.server.readers import Readers
from phenix.server.rule_desk import RuleDesk
from phenix.server.rulebook import Rulebook
from phenix.server.rules import Rules
from phenix.server.saved import SavedQueries
from phenix.server.served import Served
from phenix.server.shadow import shadow_of
from phenix.server.status import LAG, Gauge, Status

__all__ = ["FlowService", "Found", "Summed"]

_T = TypeVar("_T")
_logger = logging.getLogger(__name__)
_TAGGED: Final = INDEX["rule_version"]
_LEVEL_S: Final = 0.1
"""How often the session in memory is brought level; a request reads what came since itself."""
_STATUS_S: Final = 1.0
"""How often streams are seen to learn that they lag."""
_SIZE: Final = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size"


@dataclass(frozen=True, slots=True)
class Found:
    """An answer, the rules it was made with, the state it was made in, and what it would be under the candidate."""

    page: Page
    rules: Rules
    status: Status
    shadow: ShadowDiff | None = None


@dataclass(frozen=True, slots=True)
class Summed:
    """Sums, the rules they were made with, and the state they were made in."""

    page: Summary
    rules: Rules
    status: Status


class FlowService:
    """Answers requests; ``timeout_s`` bounds a query, ``progress_s`` the silence of a stream.

    ``replays`` are the readers of the log and ``followers`` those that keep ``live`` level with the store and open the
    sessions it is asked for, apart from those of queries so that none waits for the other. ``packaged`` are the rules
    to use while the store names none, ``saved`` the saved queries beside the store, ``editor`` what answers about
    texts, ``desk`` about rule versions, ``gauge`` what measures lag.
    """

    def __init__(
        self,
        readers: Readers[Reader],
        replays: Readers[Reader],
        followers: Readers[Reader],
        log: Log,
        live: LiveIndex,
        packaged: Bundle,
        saved: SavedQueries,
        editor: Editor,
        desk: RuleDesk,
        alerts: Alerts,
        gauge: Gauge,
        *,
        timeout_s: float,
        progress_s: float,
        rollout: Rollout,
    ) -> None:
        self.log = log
        self.saved = saved
        self.editor = editor
        self.desk = desk
        desk.changed = self.current_rules
        self.alerts = alerts
        self.served = Served()
        self.failed_last: Callable[[], dict[str, int]] = dict
        """What the terminal's last check ended with, by code."""
        self._readers = readers
        self._replays = replays
        self._followers = followers
        self._live = live
        self.degraded: tuple[str, ...] = ()
        """What streams are told: why answers lag behind the tape, a moment ago."""
        self._following: list[asyncio.Task[None]] = []
        self._whys = Whys()
        self._rulebook = Rulebook(packaged, rollout)
        self._current = self._rulebook.current
        self._status = gauge.measure
        self._timeout_s = timeout_s
        self._progress_s = progress_s

    @property
    def rules(self) -> Rules:
        """The rules of the last answer, or those a moment ago."""
        return self._rulebook.active.rules

    async def open(self) -> None:
        """Begin to answer from the store alone, and write nothing. Raises StoreError."""
        self.log.start(await self._readers.run(lambda reader: reader.watermark()))
        await self.current_rules()

    async def start(self) -> None:
        """Begin to follow the store. Raises StoreError."""
        await self.open()
        await self.saved.start()
        self.alerts.start()
        for keep in (self._keep_level, self._open_sealed):
            self._following.append(asyncio.create_task(keep(), name="live"))

    async def close(self) -> None:
        """End every stream with a seq to resume from, and stop following the store."""
        await self.log.close()
        await self.alerts.close()
        self._live.close()
        for task in self._following:
            task.cancel()
        await asyncio.gather(*self._following, return_exceptions=True)
        for readers in (self._readers, self._replays, self._followers):
            await asyncio.to_thread(readers.close)
        await self.saved.close()
        await asyncio.to_thread(self.editor.close)

    async def _keep_level(self) -> None:
        """Keep the session in memory, and the rules, level with the store; while they are not, the store answers."""

        def follow_store(reader: Reader) -> bool:
            before = self._rulebook.active
            self._current(reader)
            self._live.follow(reader)
            return self._rulebook.active != before

        failure, due = "", 0.0
        while True:
            try:
                if await self._followers.run(follow_store):
                    self.log.wake()
                if time.monotonic() >= due:
                    due = time.monotonic() + _STATUS_S
                    before, self.degraded = self.degraded, (await self._followers.run(self._status)).degraded
                    if self.degraded != before:
                        self.log.wake()
                failure = ""
            except StoreError as error:
                if failure != error.message:
                    _logger.warning("the session in memory is behind: %s", error.message)
                failure = error.message
            await asyncio.sleep(_LEVEL_S)

    async def _open_sealed(self) -> None:
        """Open the sessions before the latest that were asked for, a little at a time."""
        while True:
            more, begun = False, time.monotonic()
            try:
                more = await self._followers.run(self._live.sealed.build)
            except StoreError as error:
                _logger.warning("a sealed session cannot be opened yet: %s", error.message)
                await asyncio.sleep(_STATUS_S)
            # As long a rest as the step took: half a processor at most.
            await asyncio.sleep(time.monotonic() - begun if more else _LEVEL_S)

    async def current_rules(self) -> Rules:
        """The rules that are active now. Raises StoreError."""
        return await self._readers.run(self._current)

    async def active_bundle(self) -> Bundle | Refusal:
        """The rules that are active now."""
        rules = await self._guarded(self._current)
        return rules if isinstance(rules, Refusal) else rules.bundle

    async def read_by(self, pairs: Sequence[tuple[str, str]]) -> Bundle | Refusal:
        """The rules that parameters are read by: the active ones, or a stored version that they name."""
        if not any(name == "rules" for name, _ in pairs):
            return self.rules.bundle
        return await self._guarded(lambda reader: self._rulebook.read_by(reader, pairs))

    async def query(self, request: FlowRequest, *, timeout_s: float | None = None) -> Found | Refusal:
        """One page; ``timeout_s`` can only shorten the service's own deadline."""
        limit = self._limit(timeout_s)

        def answer(reader: Reader) -> Found | Refusal:
            rules, status = self._rulebook.walking(reader, request), self._status(reader)
            behind = LAG in status.degraded
            page = fetch_page(reader, request, rules.bundle, live=self._live, timeout_s=limit, behind=behind)
            if isinstance(page, Refusal):
                return page
            shadow = shadow_of(reader, request, page, rules, self._rulebook, self._live, limit)
            if isinstance(shadow, Refusal):
                return shadow
            return Found(page, rules, status if behind or not page.waiting else status.as_behind(), shadow)

        found = await self._guarded(answer)
        if isinstance(found, Found):
            self.served.plans[found.page.plan.partition(",")[0]] += 1
        return found

    def export(
        self, request: FlowRequest, left_s: Callable[[], float | None] = lambda: None
    ) -> AsyncIterator[Exported | Refusal]:
        """Every row of a request, or what follows its cursor, in seq order as of the beginning; ``left_s`` is the time
        the caller has left.
        """
        return export(self._guarded, self._rulebook.walking, self._live, request, lambda: self._limit(left_s()))

    def _limit(self, timeout_s: float | None) -> float:
        """A caller's deadline, which can only shorten the service's own."""
        return self._timeout_s if timeout_s is None else max(0.0, min(timeout_s, self._timeout_s))

    async def summarize(self, request: FlowRequest, *, timeout_s: float | None = None) -> Summed | Refusal:
        """Sums over every row a request matches; the deadline is as of :meth:`query`."""
        limit = self._limit(timeout_s)

        def answer(reader: Reader) -> Summed | Refusal:
            rules = self._current(reader)
            found = fetch_summary(reader, request, rules.bundle, live=self._live, timeout_s=limit)
            return found if isinstance(found, Refusal) else Summed(found, rules, self._status(reader))

        return await self._guarded(answer)

    async def estimate(self, text: str, sessions: int, *, timeout_s: float | None = None) -> Estimate | Refusal:
        """How many rows of the latest sessions a filter hits; ``timeout_s`` as for a query."""
        limit = self._limit(timeout_s)
        parts = (("text", text),)

        def answer(reader: Reader) -> Estimate | Refusal:
            bundle = self._current(reader).bundle
            return fetch_estimate(reader, parts, bundle, sessions, live=self._live, timeout_s=limit)

        return await self._guarded(answer)

    async def get(self, text: str) -> Found | Refusal:
        """One row by its id."""
        key = row_key(text)
        if key is None:
            shown = text if len(text) <= 40 else text[:40] + "…"
            return Refusal("invalid_query", f"{shown!r} is no id of a row: 11 and 16 hexadecimal digits with a dash.")

        def answer(reader: Reader) -> Found | Refusal:
            begun = time.monotonic()
            rules, watermark = self._current(reader), reader.watermark()
            status = self._status(reader)
            held = key[1] < 2**63
            row: Row | None = reader.row(*key) if held else None
            if row is None and held and LAG in status.degraded:
                row = waiting_row(reader, rules.bundle, *key)
            if row is None:
                return Refusal("not_found", f"There is no row {text}.")
            elapsed = (time.monotonic() - begun) * 1000
            page = Page((row,), watermark, watermark, None, False, None, None, "", 1, elapsed)
            return Found(page, rules, status)

        return await self._guarded(answer)

    async def why(self, text: str) -> tuple[Found, Reasons] | Refusal:
        """One row by its id, and why it has its chips."""
        found = await self.get(text)
        if isinstance(found, Refusal):
            return found
        (row,) = found.page.rows
        if row[_TAGGED] is None:
            return Refusal("not_found", "The row is not enriched yet, so its chips have no reasons; try again later.")
        near = (found.rules.bundle, self._rulebook.packaged.bundle)
        reasons = await self._guarded(lambda reader: self._whys.of(reader, row, near))
        if reasons is None:
            gone = f"The row was tagged by rule version {row[_TAGGED]}, which this store cannot give any more."
            return Refusal("not_found", gone)
        return reasons if isinstance(reasons, Refusal) else (found, reasons)

    async def status(self) -> Status | Refusal:
        """How far behind enrichment is."""
        return await self._guarded(self._status)

    async def size(self) -> int | Refusal:
        """Bytes of the store."""
        return await self._guarded(lambda reader: int(reader.execute(_SIZE)[0][0]))

    async def subscribe(self, asked: Asked) -> AsyncIterator[Content] | Refusal:
        """A stream: a snapshot unless it resumes, then the log without seam until it is closed."""
        begun = await self._guarded(lambda reader: self._begin(reader, asked))
        if isinstance(begun, Refusal):
            return begun
        replays = self._replays
        return follow(
            self.log,
            begun,
            lambda version: replays.run(lambda reader: self._under(reader, asked.request, version)),
            lambda: replays.run(lambda reader: reader.removed_upto()),
            lambda: self.degraded,
            lambda: self._rulebook.active,
            self._progress_s,
        )

    def _begin(self, reader: Reader, asked: Asked) -> Start | Refusal:
        """Where a stream starts: with a snapshot, or after a seq under the rules that tagged that row."""
        rules = self._current(reader)
        request = FlowRequest(
            asked.request.parts,
            asked.request.sessions,
            limit=max(1, asked.snapshot),
            include_cancelled=asked.request.include_cancelled,
        )
        predicate = compile_filter(request.parts, rules.bundle)
        if isinstance(predicate, Refusal):
            return predicate
        watch, watermark = Watch(predicate, request.include_cancelled), reader.watermark()
        version = rules.bundle.version
        if asked.resume is not None:
            if asked.resume < (removed := reader.removed_upto()):
                detail = (
                    f"Rows after seq {asked.resume} are gone from this store: start without it, or after {removed}."
                )
                return Refusal("resume_expired", detail)
            if asked.resume > watermark:
                detail = f"Seq {asked.resume} is not in this store, whose newest is {watermark}: start without it."
                return Refusal("resume_expired", detail)
            before = [row[_TAGGED] for row in reader.rows_at([asked.resume])]
            if before and before[0] != version:
                version = before[0]
                then, rules = self._under(reader, request, version)
                watch = then or watch
            return Start(watch, rules, asked.resume, version, resumed=True)
        if not asked.snapshot:
            return Start(watch, rules, watermark, version)
        page = fetch_page(reader, request, rules.bundle, live=self._live, timeout_s=self._timeout_s)
        if isinstance(page, Refusal):
            return page
        return Start(watch, rules, Snapshot(page.as_of, page.rows, rules), version)

    def _under(self, reader: Reader, request: FlowRequest, version: str) -> tuple[Watch | None, Rules]:
        """A filter as the rules of a version understand it, and these; the active ones where they cannot be had."""
        rules = self._rulebook.under(reader, version)
        predicate = compile_filter(request.parts, rules.bundle)
        return None if isinstance(predicate, Refusal) else Watch(predicate, request.include_cancelled), rules

    async def now(self, asked: Asked) -> Snapshot | Events | Progress | Refusal:
        """What a stream has to say at once: its snapshot, or the next matching events after the seq."""

        def answer(reader: Reader) -> Snapshot | Events | Progress | Refusal:
            start = self._begin(reader, asked)
            if isinstance(start, Refusal):
                return start
            if isinstance(start.begin, Snapshot):
                return start.begin
            watch, rules, version, position = start.watch, start.rules, start.version, start.begin
            until = time.monotonic() + self._timeout_s
            while True:
                batch = read_batch(reader, position)
                if batch.version not in ("", version):
                    version = batch.version
                    then, rules = self._under(reader, asked.request, version)
                    watch = then or watch
                if events := batch.events(watch):
                    return Events(batch, events, watch, rules)
                if not batch.steps or time.monotonic() >= until:
                    return Progress(batch.upto)
                position = batch.upto

        return await self._guarded(answer)

    async def _guarded(self, read: Callable[[Reader], _T]) -> _T | Refusal:
        try:
            return await self._readers.run(read)
        except StoreTimeout:
            return Refusal("query_timeout", "The query was stopped at its deadline: narrow it, or sort by seq.")
        except StoreError as error:
            _logger.warning("the store cannot be read: %s", error.message)
            return Refusal("unavailable", "The store cannot be read now; try again in a moment.")
