"""The engine behind both gateways: pages, single rows and live streams from one store.

Nothing here knows which protocol asked. What a caller can cause comes back as a Refusal; the store
failing does too, since a caller can only wait.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Final, TypeVar

from phenix.engine.bundle import Bundle
from phenix.engine.encode import Encoder
from phenix.engine.flow import INDEX, Row
from phenix.engine.log import Batch, Event, Log, Watch, read_batch
from phenix.engine.query.page import Page, compile_filter, fetch_page
from phenix.engine.query.request import FlowRequest, Refusal
from phenix.engine.store.base import Reader, StoreError, StoreTimeout
from phenix.server.params import Asked
from phenix.server.readers import Readers

__all__ = ["LAG_THRESHOLD_S", "Events", "FlowService", "Found", "Progress", "Rules", "Snapshot", "Status"]

_T = TypeVar("_T")
_logger = logging.getLogger(__name__)
_ID: Final = re.compile(r"([0-9a-f]{11})-([0-9a-f]{16})")
_INGESTED: Final = INDEX["ingested_at_utc"]
LAG_THRESHOLD_S: Final = 30.0
"""Enrichment further behind than this is degraded."""
_ACTIVE_VERSION: Final = "SELECT version_id FROM filter_rule_versions WHERE is_active = 1"


@dataclass(frozen=True, slots=True)
class Rules:
    """A rule version in use: its bundle and the encoder of its chips. ``stored`` is its id in the store, if any."""

    bundle: Bundle
    encoder: Encoder
    stored: str = ""

    @classmethod
    def of(cls, bundle: Bundle, stored: str = "") -> Rules:
        """A bundle with its encoder."""
        return cls(bundle, Encoder((chip.id, chip.bit) for chip in bundle.chips), stored)


@dataclass(frozen=True, slots=True)
class Status:
    """How far enrichment is behind: ``lag_s`` is the age of the oldest print not yet enriched, 0 when none waits."""

    watermark: int
    backlog: int
    lag_s: float

    @property
    def degraded(self) -> tuple[str, ...]:
        """Reasons why answers lag behind the tape."""
        return ("enrichment_lag_high",) if self.lag_s > LAG_THRESHOLD_S else ()


@dataclass(frozen=True, slots=True)
class Found:
    """An answer, the rules it was made with, and the state it was made in."""

    page: Page
    rules: Rules
    status: Status


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The latest matching rows, newest first, as of ``seq``."""

    seq: int
    rows: tuple[Row, ...]
    rules: Rules


@dataclass(frozen=True, slots=True)
class Events:
    """What a batch of the log means to one subscriber; never empty."""

    batch: Batch
    events: tuple[Event, ...]
    rules: Rules


@dataclass(frozen=True, slots=True)
class Progress:
    """Everything up to ``seq`` was sent."""

    seq: int
    replaying: bool = False
    closing: bool = False


class FlowService:
    """Answers requests; ``timeout_s`` bounds a query, ``progress_s`` the silence of a stream.

    ``replays`` are the readers of the log, apart from those of queries so that neither waits for the
    other. ``packaged`` are the rules to use while the store names none.
    """

    def __init__(
        self,
        readers: Readers,
        replays: Readers,
        log: Log,
        packaged: Bundle,
        *,
        clock: Callable[[], float] = time.time,
        timeout_s: float,
        progress_s: float,
    ) -> None:
        self.log = log
        self._readers = readers
        self._replays = replays
        self._packaged = Rules.of(packaged)
        self._rules = self._packaged
        self._clock = clock
        self._timeout_s = timeout_s
        self._progress_s = progress_s

    @property
    def rules(self) -> Rules:
        """The rules of the last answer."""
        return self._rules

    async def start(self) -> None:
        """Begin to follow the store. Raises StoreError."""
        self.log.start(await self._readers.run(lambda reader: reader.watermark()))
        await self.current_rules()

    async def close(self) -> None:
        """End every stream with a seq to resume from, and stop following the store."""
        await self.log.close()
        for readers in (self._readers, self._replays):
            await asyncio.to_thread(readers.close)

    async def current_rules(self) -> Rules:
        """The rules that are active now. Raises StoreError."""
        return await self._readers.run(self._current)

    async def query(self, request: FlowRequest, *, timeout_s: float | None = None) -> Found | Refusal:
        """One page; ``timeout_s`` can only shorten the service's own deadline."""
        limit = self._timeout_s if timeout_s is None else max(0.0, min(timeout_s, self._timeout_s))

        def answer(reader: Reader) -> Found | Refusal:
            rules = self._current(reader)
            page = fetch_page(reader, request, rules.bundle, timeout_s=limit)
            return page if isinstance(page, Refusal) else Found(page, rules, self._status(reader))

        return await self._guarded(answer)

    async def get(self, text: str) -> Found | Refusal:
        """One row by its id."""
        match = _ID.fullmatch(text.lower())
        if match is None:
            shown = text if len(text) <= 40 else text[:40] + "…"
            return Refusal("invalid_query", f"{shown!r} is no id of a row: 11 and 16 hexadecimal digits with a dash.")
        ts, trade_id = int(match[1], 16), int(match[2], 16)

        def answer(reader: Reader) -> Found | Refusal:
            begun = time.monotonic()
            rules, watermark = self._current(reader), reader.watermark()
            row = reader.row(ts, trade_id) if trade_id < 2**63 else None
            if row is None:
                return Refusal("not_found", f"There is no row {text}.")
            elapsed = (time.monotonic() - begun) * 1000
            page = Page((row,), watermark, watermark, None, False, None, None, "", 1, elapsed)
            return Found(page, rules, self._status(reader))

        return await self._guarded(answer)

    async def status(self) -> Status | Refusal:
        """How far behind enrichment is."""
        return await self._guarded(self._status)

    async def subscribe(self, asked: Asked) -> AsyncIterator[Snapshot | Events | Progress] | Refusal:
        """A stream: a snapshot unless it resumes, then the log without seam until it is closed."""
        begun = await self._guarded(lambda reader: self._begin(reader, asked))
        return begun if isinstance(begun, Refusal) else self._follow(*begun)

    def _begin(self, reader: Reader, asked: Asked) -> tuple[Watch, Rules, Snapshot | int] | Refusal:
        """Where a stream starts: with a snapshot, or after a seq."""
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
        if asked.resume is not None:
            if asked.resume <= watermark:
                return watch, rules, asked.resume
            detail = f"Seq {asked.resume} is not in this store, whose newest is {watermark}: start without it."
            return Refusal("resume_expired", detail)
        if not asked.snapshot:
            return watch, rules, watermark
        page = fetch_page(reader, request, rules.bundle, timeout_s=self._timeout_s)
        return page if isinstance(page, Refusal) else (watch, rules, Snapshot(page.as_of, page.rows, rules))

    async def now(self, asked: Asked) -> Snapshot | Events | Progress | Refusal:
        """What a stream has to say at once: its snapshot, or the next matching events after the seq."""

        def answer(reader: Reader) -> Snapshot | Events | Progress | Refusal:
            begun = self._begin(reader, asked)
            if isinstance(begun, Refusal):
                return begun
            watch, rules, start = begun
            if isinstance(start, Snapshot):
                return start
            until = time.monotonic() + self._timeout_s
            batch = read_batch(reader, start)
            while not (events := _events(watch, batch)) and batch.steps and time.monotonic() < until:
                batch = read_batch(reader, batch.upto)
            return Events(batch, events, rules) if events else Progress(batch.upto)

        return await self._guarded(answer)

    async def _follow(
        self, watch: Watch, rules: Rules, begin: Snapshot | int
    ) -> AsyncIterator[Snapshot | Events | Progress]:
        position = begin if isinstance(begin, int) else begin.seq
        subscription = self.log.subscribe(position)
        try:
            yield Progress(position) if isinstance(begin, int) else begin
            due = time.monotonic() + self._progress_s
            while True:
                try:
                    batch = await subscription.next(max(0.0, due - time.monotonic()))
                except StoreError as error:
                    _logger.warning("a stream lost the store: %s", error.message)
                    return  # the client resumes after what it was sent
                if batch is None:
                    yield Progress(subscription.position, closing=True)
                    return
                if batch.replayed:
                    yield Progress(batch.after, replaying=True)
                events = _events(watch, batch)
                if events:
                    yield Events(batch, events, rules)
                elif time.monotonic() >= due:
                    yield Progress(subscription.position)
                else:
                    continue
                due = time.monotonic() + self._progress_s
        finally:
            subscription.close()

    async def _guarded(self, read: Callable[[Reader], _T]) -> _T | Refusal:
        try:
            return await self._readers.run(read)
        except StoreTimeout:
            return Refusal("query_timeout", "The query was stopped at its deadline: narrow it, or sort by seq.")
        except StoreError as error:
            _logger.warning("the store cannot be read: %s", error.message)
            return Refusal("unavailable", "The store cannot be read now; try again in a moment.")

    def _current(self, reader: Reader) -> Rules:
        """The active rules, loaded once a version. The last good ones stay when new ones do not load."""
        found = reader.execute(_ACTIVE_VERSION)
        active = found[0][0] if found else ""
        if active != self._rules.stored:
            self._rules = self._load(reader, active)
        return self._rules

    def _load(self, reader: Reader, active: str) -> Rules:
        version = reader.rule_version(active) if active else None
        if version is None or active == self._packaged.bundle.version:
            return Rules(self._packaged.bundle, self._packaged.encoder, active)
        try:
            return Rules.of(Bundle.from_config(version.config_json, version.checksum), active)
        except ValueError as error:
            _logger.error("rule version %s does not load, the one before stays: %s", active, error)  # noqa: TRY400
            return Rules(self._rules.bundle, self._rules.encoder, active)

    def _status(self, reader: Reader) -> Status:
        watermark, raw = reader.watermark(), reader.raw_watermark()
        waiting = reader.raw_rows(watermark, 1) if raw > watermark else []
        lag = max(0.0, self._clock() - waiting[0][_INGESTED] / 1000) if waiting else 0.0
        return Status(watermark, max(0, raw - watermark), lag)


def _events(watch: Watch, batch: Batch) -> tuple[Event, ...]:
    return tuple(event for step in batch.steps if (event := watch.event(step)))
