"""The live worker: frames of the terminal's stream to stored and enriched rows.

The stream's own task reads the socket; here each batch of frames becomes raw rows through the importer's normaliser
and one transaction on a thread of its own. What arrives meanwhile is the next batch, so batches grow with the load.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Final

from phenix.engine.feed import Feed
from phenix.engine.flow import INDEX
from phenix.engine.store.base import Batch, Gap
from phenix.ingest.catchup import MARGIN_MS
from phenix.ingest.contract import Contract
from phenix.ingest.day import Day
from phenix.ingest.figures import Figures
from phenix.ingest.intake import Intake
from phenix.ingest.market_clock import MarketClock, plays_another_day
from phenix.ingest.mending import Mender, Planned, Store
from phenix.ingest.recorder import Recorded, Recorder, now_utc
from phenix.ingest.rules import Rulebook
from phenix.ingest.rules_apart import RulesApart
from phenix.ingest.spots import SpotPoll
from phenix.ingest.terminal import client
from phenix.ingest.terminal import protocol as wire

__all__ = ["Worker"]

log = logging.getLogger("phenix.ingest")

_TS, _RECEIVED = INDEX["trade_ts_utc"], INDEX["ingested_at_utc"]
_QUIET_S: Final = 30.0
"""Longest wait for a print after a gap before its history is asked for."""
_TELL_S: Final = 60.0
_KINDS: Final = {
    wire.TradeFrame: "trade", wire.QuoteFrame: "quote", wire.OhlcFrame: "ohlc", wire.MarketValueFrame: "market_value",
    wire.StatusFrame: "status", wire.StateFrame: "state", wire.ReqResponse: "answer", wire.BadFrame: "unreadable",
}  # fmt: skip
_DATA: Final = frozenset({wire.TradeFrame, wire.QuoteFrame, wire.OhlcFrame})
_FEED_S: Final = 1.0
_RULES_S: Final = 0.1
_FIRST_MS: Final = 5_000


class Worker:
    """Runs one stream into one store.

    ``flush_rows`` and ``flush_s`` bound how long a print waits for company; ``once`` ends at the market's STOP. With a
    ``day`` the contracts are planned anew every ``replan_s`` seconds, when a session date begins, and when its open
    interest has come. ``leave_s`` is how long one that is told to end goes on enriching what it stored. ``clock`` is
    this machine's, UTC milliseconds.
    """

    def __init__(
        self,
        recorder: Recorder,
        intake: Intake,
        terminal: client.Terminal,
        stream: client.Stream,
        *,
        contracts: Sequence[wire.Contract],
        underlyings: Sequence[wire.Contract],
        history_path: str,
        day: Day | None = None,
        replan_s: float = 300.0,
        flush_rows: int = 500,
        flush_s: float = 0.01,
        poll_s: float = 2.0,
        once: bool = False,
        stop_after: int | None = None,
        leave_s: float = 20.0,
        clock: Callable[[], int] = now_utc,
    ) -> None:
        self._recorder = recorder
        self._intake = intake
        self._terminal = terminal
        self._stream = stream
        self._contracts = contracts
        self._underlyings = underlyings
        self._history_path = history_path
        self._day = day
        self._replan_s = replan_s
        self._now = clock
        self._clock = MarketClock()
        self._due = asyncio.Event()
        self._gaps_noted = asyncio.Event()
        self._came = asyncio.Event()
        self._fell_behind = asyncio.Event()
        self._flush_rows = flush_rows
        self._flush_s = flush_s
        self._poll_s = poll_s
        self._once = once
        self._stop_after = stop_after
        self._leave_s = leave_s
        self._planned = Planned()
        self._spots = SpotPoll(terminal)
        self._polled: dict[str, None] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._stop = asyncio.Event()
        self._flushed = 0.0
        self._data_at = self._began = clock()
        self._closed = False
        self._offset_ms = 0
        self._left: Feed | None = None  # what it was when we left it
        self.figures = Figures()

    @property
    def queued(self) -> int:
        """Messages that wait to be read."""
        return self._stream.queued

    @property
    def connected(self) -> bool:
        """Whether the terminal's stream is."""
        return self._stream.connected

    @property
    def feed(self) -> Feed:
        """What the terminal's feed is like now."""
        now = self._now()
        return Feed(
            at_utc=now,
            stream_connected=self.connected,
            terminal_connected=self._intake.upstream,
            data_utc=self._data_at,
            quote_utc=max(self._began, self._intake.quoted_at),
            offset_ms=self._offset_ms,
            closed=self._closed,
        )

    async def run(self, stop: asyncio.Event) -> Figures:
        """Take prints until told to stop (or the end named at construction); everything received is stored.

        Raises StoreError when the store cannot be written, and what ends any of the tasks beside the stream's.
        """
        self._stop = stop
        loop = asyncio.get_running_loop()
        leave_s: float | None = self._leave_s
        with ThreadPoolExecutor(1, "store") as pool:
            if self._day:
                self._recorder.expect(self._day.date)
            self._want(self._contracts)
            async with self._stream as stream:
                self._begin("stop", self._close_when(stop))
                self._begin("gaps", self._mend(pool))
                self._begin("latency", self._tell())
                self._begin("feed", self._tell_feed(pool))
                self._begin("rules", self._follow_rules(pool))
                self._begin("enrichment", self._enrich(pool))
                if self._day:
                    self._begin("day", self._follow(self._day))
                try:
                    async for batch in stream:
                        if self._read(batch) or self._enough():
                            leave_s = None
                            stop.set()
                        wait = self._flushed + self._flush_s - loop.time()
                        if wait > 0 and self._intake.rows < self._flush_rows and not stop.is_set():
                            await asyncio.sleep(wait)
                            if stream.queued:
                                continue
                        await self._flush(pool)
                    self._intake.finish(self._now())
                    await self._flush(pool)
                    await self._level(pool, leave_s)
                    await loop.run_in_executor(pool, self._recorder.leave, self._left or self.feed)
                finally:
                    for task in self._tasks.values():
                        task.cancel()
                    ended = await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        for error in ended:
            if isinstance(error, Exception):
                raise error
        log.info("ended: %s prints stored since the start", self.figures.stored + self.figures.recovered)
        return self.figures

    def _begin(self, name: str, work: Coroutine[None, None, None]) -> None:
        """Do something beside the stream; the whole work ends when it fails, rather than go on without it."""
        task = self._tasks[name] = asyncio.create_task(work, name=name)
        task.add_done_callback(lambda it: None if it.cancelled() or it.exception() is None else self._stop.set())

    def _want(self, contracts: Iterable[wire.Contract]) -> None:
        contracts = tuple(contracts)
        streamed = frozenset(Contract(*contract[1:]) for contract in contracts)
        self._planned.stream(self._day.date if self._day else 0, streamed)
        self._spots.follow(streamed)
        wanted = [client.Subscription("QUOTE", contract) for contract in self._underlyings]
        wanted += [client.Subscription("TRADE", contract) for contract in contracts]
        self._stream.want(wanted)

    async def _follow(self, day: Day) -> None:
        """Plan again: once the session before is known, as the day shows more, and when the next one begins."""
        self.figures.sessions.append(day.date)
        await day.learn()
        loop, opened = asyncio.get_running_loop(), float("-inf")
        while True:
            plan = day.plan(self._intake.printed(day.date))
            self._want(plan.contracts)
            log.info("plan for %s: %s", day.date, plan)
            self._due.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._replan_s):
                    await self._due.wait()
            now = self._clock.now(self._now())
            date, before = day.date_at(now), day.date
            if date != before:  # it may be due again at once: the terminal may not be there yet
                await asyncio.sleep(max(0.0, opened + self._poll_s - loop.time()))
                opened = loop.time()
            try:
                told = await (day.refresh(now) if date == before else day.open(date, now))
            except client.TerminalError as error:
                log.warning("the session of %s cannot be planned yet: %s", date, error)
                await asyncio.sleep(self._poll_s)
                continue
            self._intake.open_interest(told, self._now())
            if day.date != before:
                self.figures.sessions.append(day.date)
                self._want(day.plan().contracts)  # what they did the session before takes longer to learn
                await day.learn()

    async def _mend(self, pool: ThreadPoolExecutor) -> None:
        """Fetch what gaps hold: those of earlier runs, each new one, and again those that had no answer yet."""
        store = Store(self._recorder, pool, partial(self._flush, pool), self._recovered)
        mender = Mender(self._terminal, self._history_path, store, self._intake.normalizer, self._planned.of)
        loop = asyncio.get_running_loop()
        while True:
            self._gaps_noted.clear()
            for gap in await loop.run_in_executor(pool, self._recorder.open_gaps):
                await self._passed(gap)
                try:
                    await mender.mend(gap, self._clock.now(self._now()))
                except client.TerminalError as error:
                    log.warning("the gap is not filled yet: %s", error)
            with suppress(TimeoutError):
                async with asyncio.timeout(self._replan_s):
                    await self._gaps_noted.wait()

    def _recovered(self, batch: Batch, recorded: Recorded) -> None:
        if self._recorder.behind:
            self._fell_behind.set()
        self.figures.recovered += len(recorded.rows)
        self.figures.letters(batch.dead_letters)

    async def _tell(self) -> None:
        while True:
            await asyncio.sleep(_TELL_S)
            log.info("latency: %s", self.figures.latency)

    async def _tell_feed(self, pool: ThreadPoolExecutor) -> None:
        """Tell who reads the store what the feed is like, and that this process is there to tell.

        A line that is being made for the first time is not lost yet.
        """
        loop, begun = asyncio.get_running_loop(), False
        while True:
            feed = self.feed
            begun = begun or feed.whole or feed.at_utc - self._began > _FIRST_MS
            if begun:
                await loop.run_in_executor(pool, self._recorder.tell, feed)
            await asyncio.sleep(_FEED_S)

    async def _follow_rules(self, pool: ThreadPoolExecutor) -> None:
        """Take what is asked of the rules: compiled apart, and switched between two batches."""
        loop = asyncio.get_running_loop()
        with RulesApart() as apart:
            rulebook = Rulebook(apart)
            while True:
                for asked, version in await loop.run_in_executor(pool, self._recorder.asked_rules):
                    prepared = await asyncio.to_thread(rulebook.prepare, asked, version)
                    done = await loop.run_in_executor(pool, self._recorder.switch, asked, prepared)
                    if done.refused is None:
                        log.info("rules %s after seq %s (%s)", done.version_id, done.seq, done.cause.value)
                    else:
                        log.error("rules %s were asked for, and those before stay: %s", done.version_id, done.refused)
                await asyncio.sleep(_RULES_S)

    async def _enrich(self, pool: ThreadPoolExecutor) -> None:
        """Enrich what waits, step by step: at the start, and when rows come of a session whose state is not there."""
        while True:
            await self._level(pool, None)
            self._fell_behind.clear()
            if not self._recorder.behind:
                await self._fell_behind.wait()

    async def _level(self, pool: ThreadPoolExecutor, within_s: float | None) -> None:
        """Have everything enriched that is stored; where that takes longer, the next start goes on with it."""
        loop = asyncio.get_running_loop()
        due = None if within_s is None else loop.time() + within_s
        while self._recorder.behind:
            rows = await loop.run_in_executor(pool, self._recorder.follow)
            self.figures.followed(rows, now_utc(), self._recorder.left)
            if due is not None and loop.time() > due:
                log.warning(
                    "rows after seq %s are not enriched yet: the next start does that", self._recorder.watermark
                )
                return

    async def _passed(self, gap: Gap) -> None:
        """Wait until the stream has brought what it will bring of a gap's end; on a quiet one not for ever."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_QUIET_S):
                while self._intake.latest <= gap.upto_utc + MARGIN_MS:
                    self._came.clear()
                    await self._came.wait()

    async def _close_when(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self._left = self.feed
        await self._stream.close()

    def _enough(self) -> bool:
        return self._stop_after is not None and self.figures.stored + self._intake.rows >= self._stop_after

    def _read(self, batch: client.Batch) -> bool:
        """Take a batch in; True when the market has closed and that ends the work."""
        before = self._intake.latest
        self._intake.frames(batch.items, batch.received_at, batch.upto)
        self._came.set()
        kinds = Counter(map(type, batch.items))
        if _DATA & kinds.keys():
            self._data_at, self._closed = batch.received_at, False
        for kind, count in kinds.items():
            if kind in _KINDS:
                self.figures.events[_KINDS[kind]] += count
        latest = self._intake.latest
        if latest > before:  # on a quiet night the last print is hours old, and the feed is live all the same
            self._clock.heard(latest, batch.upto)
            self._offset_ms = self._clock.now(batch.upto) - batch.upto
        if latest and self._day is not None and self._day.due(self._clock.now(batch.upto)):
            self._due.set()
        closed = False
        for item in batch.items:
            if isinstance(item, wire.StateFrame):
                log.info("market %s", item.state)
                self._closed = item.state == "STOP"
                closed = closed or (self._once and item.state == "STOP")
            elif isinstance(item, client.Connected):
                self.figures.connections += 1
                log.info("connected (attempt %s)", item.attempt)
            elif isinstance(item, client.Disconnected):
                self.figures.disconnections += 1
                log.warning("disconnected: %s", item.reason)
            elif isinstance(item, client.Overflow):
                self.figures.dropped_messages += item.messages
                log.error("%s messages dropped: the store did not keep up", item.messages)
            elif isinstance(item, client.Settled):
                self._settled(item)
        return closed

    def _settled(self, settled: client.Settled) -> None:
        underlyings = [(key, word) for key, word in settled.refused if key.req_type == "QUOTE" and key.contract]
        refused = len(settled.refused) - len(underlyings)
        self.figures.streams = {"subscribed": settled.subscribed, "refused": len(settled.refused)}
        log.info("subscribed to %s streams, %s trade streams refused", settled.subscribed, refused)
        for key, word in settled.refused[: 5 if refused else 0]:
            log.warning("refused: %s %s (%s)", key.req_type, key.contract, word)
        self._polled = {key.contract.root: None for key, _ in underlyings if key.contract}
        self._intake.parity.follow(frozenset(self._polled))
        if self._polled and "underlying-quotes" not in self._tasks:
            log.info(
                "%s underlyings are not streamed: their quotes are polled, or come from their options",
                len(self._polled),
            )
            self._begin("underlying-quotes", self._poll())

    async def _poll(self) -> None:
        while True:
            self._intake.polled(await self._spots.quotes(self._polled), self._now())
            await asyncio.sleep(self._poll_s)

    async def _flush(self, pool: ThreadPoolExecutor) -> None:
        loop = asyncio.get_running_loop()
        self._flushed = loop.time()
        batch = self._intake.take()
        if batch is None:
            return
        recorded = await loop.run_in_executor(pool, self._recorder.store, batch)
        if self._recorder.behind:
            self._fell_behind.set()
        figures = self.figures
        figures.stored += len(recorded.rows)
        figures.duplicates += recorded.duplicates
        figures.letters(batch.dead_letters)
        figures.gaps.update(gap.cause.value for gap in batch.gaps if gap.number is None)
        if batch.gaps:
            self._gaps_noted.set()
        if recorded.rows:
            figures.batches.add(len(recorded.rows))
            figures.latency.enter(recorded.rows, recorded.stored_at, recorded.enriched_at)
            exchange, received = recorded.rows[-1][_TS], recorded.rows[-1][_RECEIVED]
            began = received if plays_another_day(exchange, received) else exchange
            figures.lag_ms = max(0, recorded.stored_at - began)
