"""A real worker on real sockets with a store, driven step by step beside a model of what it must hold."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import threading
from collections.abc import Callable, Coroutine, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

from hypothesis.stateful import RuleBasedStateMachine

from drills._expected import CALENDAR, UP, Expected, Identity, identity, time_of
from drills._scripted import INTEREST_AT, ScriptedTerminal, ToldLoop
from phenix import app
from phenix.config import load
from phenix.engine.bundle import Bundle
from phenix.engine.enrich.clock import et_of, utc_of, wall_of
from phenix.engine.enrich.enricher import Enriched, Enricher, Tagger
from phenix.engine.enrich.formulas import Constants
from phenix.engine.flow import Row
from phenix.engine.store.base import Gap
from phenix.engine.tagging import Tagging
from phenix.ingest.catchup import MARGIN_MS
from phenix.ingest.deadletter import TERMINAL
from phenix.ingest.recorder import Recorder
from phenix.ingest.terminal.client import Stream
from phenix.ingest.terminal.encoder import Encoder
from phenix.ingest.terminal.events import TRADE, Print, Quote
from phenix.ingest.terminal.layouts import DAY_MS, date_of
from phenix.ingest.terminal.protocol import Contract, QuoteFrame, TradeFrame

__all__ = ["ANSWERS_MS", "CONTRACTS", "PATIENCE_MS", "REPLAN_MS", "ROOM", "UNDERLYINGS", "Drawn", "Driven"]

OPEN: Final = utc_of(20241104, 34_200_000)
CONTRACTS: Final = tuple(
    Contract("OPTION", root, 20241108, strike * 10_000, right)
    for root, strike, right in (("XYZ", 220, "CALL"), ("XYZ", 220, "PUT"), ("SPXW", 5700, "CALL"))
)
UNDERLYINGS: Final = (Contract("STOCK", "XYZ"), Contract("INDEX", "SPX"))
ROOM: Final = 60
"""Messages the worker's queue takes."""
PATIENCE_MS, REPLAN_MS = 3_000, 30_000
ANSWERS_MS: Final = 9_000
"""So long answers are held back at most: later than a second more they would count as none."""
_PAGE: Final = 4
"""Rows of the past entered at a time: a start has to be in the middle of it when prints come."""
_WAIT_S: Final = 60.0
"""More than a busy machine needs for a step: what takes longer never comes."""

Drawn = tuple[Contract, int, int, int, int, int, tuple[int, int] | None]


@cache
def _bundle() -> Bundle:
    return app.packaged_bundle()


@cache
def _tagging() -> Tagging:
    return Tagging(_bundle())


class FailedError(Exception):
    """What an enricher that was told to fail raises."""


class Enriching:
    """The enricher; it can be held, as by a slow disk, and can fail once, as by a lack of memory."""

    def __init__(self, enricher: Enricher) -> None:
        self._enricher = enricher
        self.may_go_on = threading.Event()
        self.may_go_on.set()
        self.waits = False
        self.fails = False

    def enrich(self, raws: Sequence[Row], beside: Constants | None = None) -> Enriched:
        """Enrich rows in seq order. Raises FailedError."""
        self.waits = not self.may_go_on.is_set()
        assert self.may_go_on.wait(_WAIT_S)
        self.waits = False
        if self.fails:
            self.fails = False
            raise FailedError("told to fail")
        return self._enricher.enrich(raws, beside)

    def activate(self, tagger: Tagger) -> None:
        """Take another rule version."""
        self._enricher.activate(tagger)

    def approach(self, date: int, before_seq: int) -> bool:
        """Bring the state of a session date a page nearer to a row."""
        return self._enricher.approach(date, before_seq)

    def knows(self, date: int) -> bool:
        """Whether it is there."""
        return self._enricher.knows(date)


class Driven(RuleBasedStateMachine):
    """A worker and its terminal in one loop; what is told goes through here, and so into the model."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="machine-"))
        self.loop = ToldLoop(OPEN)
        self.terminal = ScriptedTerminal(CONTRACTS, len(CONTRACTS) + len(UNDERLYINGS), lambda: self.loop.now)
        self.expected = Expected()
        self.encoder = Encoder(1)
        self.sequence = 2**31 - 10  # it wraps on the way
        self.sent: list[TradeFrame] = []
        self.market: dict[Contract, QuoteFrame] = {}
        self.marks = 0
        self.answers_by = 0
        self._do(self._begin())

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        """A step; it fails when it does not end, with where everything waits."""
        late = threading.Timer(_WAIT_S, self.loop.call_soon_threadsafe, (self._give_up,))
        late.start()
        try:
            self.loop.run_until_complete(work)
        finally:
            late.cancel()

    def _give_up(self) -> None:
        for task in asyncio.all_tasks(self.loop):
            task.print_stack()
        self.loop.stop()  # the step may be in a wait that no cancelling ends

    async def _begin(self) -> None:
        await self.terminal.__aenter__()
        environ = {"PHENIX_STORE": f"sqlite:{self.folder / 'flow.sqlite'}", "INGEST_SYMBOLS": "XYZ,SPX",
                   "THETADATA_RETRY_MAX": "0", **self.terminal.environ}  # fmt: skip
        self.settings = load(environ)
        await self._starts(held=False)

    @property
    def now(self) -> int:
        """UTC milliseconds of the worker and its terminal."""
        return self.loop.now

    @property
    def connected(self) -> bool:
        """Whether the worker has a line to the terminal."""
        return self.terminal.socket is not None

    @property
    def tells(self) -> bool:
        """Whether prints are told as they happen."""
        return self.connected and self.terminal.word == UP

    # -- the worker

    async def _line_is_back(self, held: bool) -> None:
        self.terminal.up, self.terminal.answering = True, not held
        self.answers_by = self.now + ANSWERS_MS
        await self._until(lambda: self.terminal.subscribed)
        self.expected.run.connections += 1
        if not held:
            await self._answered()
        await self._status()
        await self._stored()

    async def _answers_come(self) -> None:
        await self.terminal.answer_held()
        await self._answered()
        await self._stored()

    async def _answered(self) -> None:
        await self._heard()
        self.expected.status(self.terminal.word, self.now)
        self.expected.answered(self.now)

    async def _starts(self, *, held: bool) -> None:
        self.writer = app.open_writer(self.settings.store)
        version = app.active_bundle(self.writer) if self.writer.reads.rule_version() is None else _bundle()
        assert version.checksum == _bundle().checksum
        self.enriching = Enriching(
            Enricher(CALENDAR, _tagging(), self.writer.reads.session_raw, lambda: self.now, page=_PAGE)
        )
        recorder = self.recorder = Recorder(self.writer, self.enriching)
        self.expected.started(recorder.last_heard(TERMINAL), self.writer.reads.latest_trade())
        self.client = app.terminal_client(self.settings)
        self.stream = Stream(
            self.settings.stream_url, queue_messages=ROOM, patience_s=PATIENCE_MS / 1000,
            backoff_base_s=0.0, ping_interval_s=1e9, clock=lambda: self.now,
        )  # fmt: skip
        self.worker = await app.worker(
            self.settings, recorder, self.client, replan_s=REPLAN_MS / 1000, flush_s=0.0, clock=lambda: self.now,
            stream=self.stream,
        )  # fmt: skip
        self.reader = app.open_reader(self.settings.store)
        self.stop = asyncio.Event()
        self.working = asyncio.create_task(self.worker.run(self.stop))
        await self._line_is_back(held)
        await self._interest_comes()

    async def _interest_comes(self) -> None:
        """Wait until open interest that is there to be asked for is stored."""
        date, ms = et_of(self.now)
        until = self.now + 2 * REPLAN_MS
        while ms >= INTEREST_AT and not any(self.reader.open_interest(date, date)):
            assert self.now < until, f"no open interest of {date}"
            await self._stored()
            await self._passes(1_000)
        if ms >= INTEREST_AT:
            self.expected.interest.add(date)

    async def _stops(self) -> None:
        """The worker was told to end: everything it was told is stored, and enriched."""
        await self.working
        self.expected.stopped(self.now)
        self._look()
        assert self.reader.watermark() == self.reader.raw_watermark() == len(self.expected.seqs)
        await self._ends()

    async def _killed(self) -> None:
        with contextlib.suppress(asyncio.CancelledError, FailedError):
            await self.working
        await self._ends()

    async def _ends(self) -> None:
        self._told_by_history()
        self.terminal.up = False
        await self.terminal.gone()
        await self.client.__aexit__()
        self.reader.close()
        self.writer.close()

    async def _until(self, holds: Callable[[], object]) -> None:
        """Wait for a state of the worker, which tells nobody. Raises what ends it."""
        while not holds():
            if self.working.done():
                raise AssertionError(f"the worker has ended: {await self.working}")
            await asyncio.sleep(0)

    # -- what the terminal says

    def _happens(self, drawn: Drawn) -> tuple[TradeFrame, QuoteFrame | None]:
        """A print of the market at this time, and the quote that came before it."""
        which, _, late, price, size, condition, quoted = drawn
        quote = None
        if quoted is not None:
            bid, width = quoted
            quote = QuoteFrame(which, *et_of(self.now), 1, 5, bid * 100, 50, 1, 5, max(0, bid + width) * 100, 50)
            self.market[which] = quote
        self.sequence = (self.sequence + 1 + 2**31) % 2**32 - 2**31
        trade = TradeFrame(which, *et_of(self.now - late), self.sequence, size, condition, price * 100, 5)
        self._enters(trade)
        return trade, quote

    def _enters(self, trade: TradeFrame) -> None:
        """History has it, with the quote that stood then."""
        self.expected.due.setdefault(identity(trade), self.now)
        told = self.market.get(trade.contract)
        quote = Quote(wall_of(time_of(told)), *told[3:]) if told else None
        self.terminal.happened.append(
            Print(wall_of(time_of(trade)), TRADE, trade.contract, trade.sequence, trade.size, trade.condition,
                  trade.exchange, trade.price, quote)
        )  # fmt: skip

    def _told(self, trade: TradeFrame, *, certain: bool = True) -> None:
        self.sent.append(trade)
        self.expected.run.late = max(self.expected.run.late, self.now - time_of(trade))
        self.expected.comes(trade, certain=certain)

    async def _passes(self, ms: int) -> None:
        """Time passes, a second at most without a word of the terminal where it is connected."""
        while ms > 0:
            if self.connected and not self.terminal.answering and self.now >= self.answers_by:
                await self._answers_come()
            step = min(ms, 1_000)
            self.loop.now += step
            ms -= step
            if self.connected:
                await self._status()

    async def _status(self) -> None:
        await self.terminal.status()
        self.expected.status(self.terminal.word, self.now)
        await self._heard()

    async def _heard(self) -> None:
        await self.terminal.heard()
        self.expected.heard_at = self.now

    async def _stored(self) -> None:
        """A mark is sent, and once it is stored so is all before it: the store is looked at."""
        self.marks += 1
        await self.terminal.say(f'{{"header":{{"type":"MARK {self.marks}"}}}}')
        self.expected.letter("frame")
        self.expected.heard_at = self.now
        await self._until(lambda: self.worker.figures.dead_letters >= self.expected.run.letters)
        self._look()

    # -- what holds

    def _look(self) -> None:
        """Hold what the store has more than before, and the worker's figures, against what was told."""
        expected, figures, run = self.expected, self.worker.figures, self.expected.run
        by_history = self._told_by_history()
        expected.take(self.reader.raw_rows(len(expected.seqs), 10**6), by_history)
        expected.resolve(by_history)
        prints = figures.stored + figures.duplicates
        assert run.prints <= prints <= run.prints + run.doubtful, (figures, run)
        run.prints, run.doubtful = prints, 0
        found = figures.dead_letters, figures.dropped_messages, figures.gaps.total(), figures.connections
        assert found == (run.letters, run.dropped, run.gaps, run.connections), (figures, run)
        checkpoint = self.reader.checkpoint(TERMINAL)
        at = None if checkpoint is None else int(checkpoint.watermark)
        expected.begins(at)

    def _told_by_history(self) -> set[Identity]:
        """Prints that history told so far: rows of them may hold what is known beside now."""
        by_history: set[Identity] = set()
        for one in self.terminal.told:
            key = (*one.contract[1:], utc_of(*_et(one.wall)), one.price, one.size, one.condition, one.exchange,
                   one.sequence)  # fmt: skip
            quote = (one.quote.bid, one.quote.ask, utc_of(*_et(one.quote.wall))) if one.quote else (None, None, None)
            self.expected.seen(key, quote, history=True)
            by_history.add(key)
        return by_history

    def _has_history(self, gap: Gap) -> bool:
        return any(gap.from_utc - MARGIN_MS <= utc_of(*_et(one.wall)) <= gap.upto_utc + MARGIN_MS
                   for one in self.terminal.happened)  # fmt: skip

    async def _abandon(self) -> None:
        self.enriching.may_go_on.set()
        if not self.working.done():
            self.working.cancel()
            await self._killed()
        await self.terminal.__aexit__()


def _et(wall: int) -> tuple[int, int]:
    """New York date and millisecond of the day."""
    return date_of(wall), wall % DAY_MS
