"""The worker as a state machine against a simple model: whatever a terminal does, in whatever order.

Hypothesis chooses what happens: prints and quotes, twice, late or broken, cancels of known and unknown prints, lines
that break, fall silent, flap or are flooded, answers that are held back, history that refuses, workers that are stopped
or killed, nights. The real worker reads it from real sockets into a real store; only the clock is told. After each step
the store must hold what a model of dicts and lists says, and in the end every print of the market must be a row or lie
in a gap, and the enriched rows must be those of a fresh replay.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import sys
import time
from collections import Counter
from typing import Any, Final

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule, run_state_machine_as_test

from drills._driven import CONTRACTS, PATIENCE_MS, REPLAN_MS, ROOM, UNDERLYINGS, Drawn, Driven
from drills._expected import CALENDAR, CANCELS, UP, time_of
from drills._scripted import HISTORY
from drills._stores import verify
from phenix import app
from phenix.engine.enrich.clock import et_of, utc_of
from phenix.engine.store.base import Cause, GapState
from phenix.ingest.terminal.client_stream import LATE_S, STATUS_SILENCE_S
from phenix.ingest.terminal.layouts import DAY_MS
from phenix.ingest.terminal.protocol import Contract, QuoteFrame, TradeFrame

__all__ = ["Machine", "main"]

LATE_MS, SILENCE_MS = round(LATE_S * 1000), round(STATUS_SILENCE_S * 1000)
STALE_MS: Final = 5 * 3_600_000
"""What is older says of a feed that it plays another day."""
HIDING: Final = (
    lambda text: text[: len(text) // 2],
    lambda text: f"[{text}]",
    lambda _: "\ufeff{",
)
"""What may be of anything: it may hide a newer quote of any contract."""
BROKEN: Final = (
    *HIDING,
    lambda text: text.replace('"size"', '"sighs"'),
    lambda text: text.replace('"TRADE"', '"TIRADE"'),
    lambda text: text.replace('"date":2024', '"date":202413'),
)
UNREAL: Final = (
    ("size_out_of_range", {"size": 0}),
    ("sequence_out_of_range", {"sequence": 2**31}),
    ("price_out_of_range", {"price": 10**12}),
    ("time_malformed", {"date": 20240310, "ms_of_day": 9_000_000}),
)
"""Values no print has."""
QUOTES: Final = st.none() | st.tuples(st.integers(0, 500), st.integers(-5, 20))
PRINTS: Final = st.tuples(
    st.sampled_from(CONTRACTS),
    st.sampled_from((0, 0, 1, 40, 700, 3_000)),  # ms after the one before
    st.sampled_from((0, 0, 0, 1, 700, 90_000)),  # ms late
    st.integers(1, 500),
    st.integers(1, 400),
    st.sampled_from((18, 18, 95, 125, 13, 2, 199, -3)),
    QUOTES,
)
SOME: Final = st.lists(PRINTS, min_size=1, max_size=8)
FEW: Final = st.lists(PRINTS, max_size=4)
NIGHTS: Final = ((0, 20 * 3_600_000 + 1_200_000), (0, DAY_MS - 2_000), (1, 34_260_000))
"""Days on, and the time of day."""
LAST_DATE: Final = 20241108


class Machine(Driven):
    """What can happen, one rule each; after each all that was told is stored, but for what was on a line that broke."""

    # -- what comes

    @precondition(lambda self: self.tells)
    @rule(prints=SOME, joined=st.booleans())
    def prints(self, prints: list[Drawn], joined: bool) -> None:
        """Prints and the quotes before them, a message each or several in one."""
        self._do(self._prints(prints, joined))

    async def _prints(self, prints: list[Drawn], joined: bool) -> None:
        for drawn in prints:
            await self._passes(drawn[1])
            trade, quote = self._happens(drawn)
            texts = [self.encoder.trade(trade)]
            if quote is not None:
                self.expected.quotes[quote.contract] = quote
                texts.insert(0, self.encoder.quote(quote))
            self._told(trade)
            await self.terminal.say(*(["\n".join(texts)] if joined else texts))
        await self._stored()

    @precondition(lambda self: not self.tells)
    @rule(prints=SOME)
    def prints_are_missed(self, prints: list[Drawn]) -> None:
        """The market goes on while nobody tells."""
        self._do(self._missed(prints))

    async def _missed(self, prints: list[Drawn]) -> None:
        for drawn in prints:
            await self._passes(drawn[1])
            self._happens(drawn)

    @precondition(lambda self: self.tells and self.sent)
    @rule(data=st.data(), condition=st.sampled_from(CANCELS), after=st.integers(0, 900), known=st.booleans())
    def cancel(self, data: st.DataObject, condition: int, after: int, known: bool) -> None:
        """A print is taken back, or one that never was."""
        original = data.draw(st.sampled_from(self.sent[-5:]) | st.sampled_from(self.sent))
        self._do(self._cancel(original if known else original._replace(price=original.price + 1), condition, after))

    async def _cancel(self, original: TradeFrame, condition: int, after: int) -> None:
        await self._passes(after)
        date, ms = et_of(self.now)
        trade = original._replace(condition=condition, date=date, ms_of_day=ms)
        self._enters(trade)
        self._told(trade)
        await self.terminal.say(self.encoder.trade(trade))
        await self._stored()

    @precondition(lambda self: self.tells and self.sent and self.now - time_of(self.sent[-1]) < STALE_MS)
    @rule(data=st.data(), times=st.integers(1, 3))
    def again(self, data: st.DataObject, times: int) -> None:
        """A print comes again, just sent or stale."""
        stale = [trade for trade in self.sent if self.now - time_of(trade) < STALE_MS]
        self._do(self._again(data.draw(st.sampled_from(self.sent[-1:]) | st.sampled_from(stale)), times))

    async def _again(self, trade: TradeFrame, times: int) -> None:
        for _ in range(times):
            self._told(trade)
            await self.terminal.say(self.encoder.trade(trade))
        await self._stored()

    @precondition(lambda self: self.connected)
    @rule(which=st.sampled_from(CONTRACTS), change=st.sampled_from((*BROKEN, *UNREAL)))
    def bad_frame(self, which: Contract, change: Any) -> None:
        """What is no print, or none that can be."""
        self._do(self._bad_frame(which, change))

    async def _bad_frame(self, which: Contract, change: Any) -> None:
        date, ms = et_of(self.now)
        good = TradeFrame(which, date, ms, self.sequence, 1, 18, 100, 5)
        if isinstance(change, tuple):
            reason, values = change
            text = self.encoder.trade(good._replace(**values))
        else:
            reason, text = "frame", change(self.encoder.trade(good))
            if change in HIDING:
                self.expected.quotes.clear()
        self.expected.letter(reason)
        await self.terminal.say(text)
        await self._stored()

    @precondition(lambda self: self.connected)
    @rule(which=st.sampled_from(CONTRACTS))
    def unreal_quote(self, which: Contract) -> None:
        """A quote no price can have: prints after it have none."""
        self._do(self._unreal_quote(which))

    async def _unreal_quote(self, which: Contract) -> None:
        self.expected.quotes.pop(which, None)
        self.expected.letter("price_out_of_range")
        await self.terminal.say(self.encoder.quote(QuoteFrame(which, *et_of(self.now), 1, 5, 0, 50, 1, 5, 10**11, 50)))
        await self._stored()

    @precondition(lambda self: self.connected)
    @rule(which=st.sampled_from(UNDERLYINGS), mid=st.integers(1_000, 9_000))
    def underlying(self, which: Contract, mid: int) -> None:
        """A quote of an underlying."""
        self._do(self._underlying(which, mid))

    async def _underlying(self, which: Contract, mid: int) -> None:
        await self._passes(1)
        bid, ask = (mid - 1) * 1_000, (mid + 1) * 1_000
        self.expected.spot(which.root, self.now, bid, ask)
        await self.terminal.say(self.encoder.quote(QuoteFrame(which, *et_of(self.now), 1, 5, bid, 0, 1, 5, ask, 0)))
        await self._stored()

    # -- what happens to the stream

    @precondition(lambda self: self.connected)
    @rule(how=st.sampled_from(("closed", "cut", "silent")), after=st.integers(0, 3_000), last=FEW)
    def line_breaks(self, how: str, after: int, last: list[Drawn]) -> None:
        """With a Close frame, after which all was received; in the middle of some prints; or after a long silence."""
        self._do(self._line_breaks(how, after, last))

    async def _line_breaks(self, how: str, after: int, last: list[Drawn]) -> None:
        await self._passes(after)
        if how == "silent":
            self.terminal.up = False
            self.loop.now += SILENCE_MS + after
            await self.terminal.gone()
        else:
            await self._last_words(last, certain=how == "closed")
            await self.terminal.lose(abrupt=how == "cut")
        await self._until(lambda: not self.stream.connected)
        self.expected.disconnected()

    async def _last_words(self, last: list[Drawn], *, certain: bool) -> None:
        """Prints at this instant, not waited for: where they are not certain to arrive no gap is open."""
        if self.tells and self.expected.loss is None:
            for drawn in last:
                trade, _ = self._happens(drawn)
                self._told(trade, certain=certain)
                await self.terminal.say(self.encoder.trade(trade))
            if last and certain:
                await self._heard()

    @precondition(lambda self: not self.connected)
    @rule(held=st.booleans())
    def line_is_back(self, held: bool) -> None:
        """And everything is asked for again; answers may be held back."""
        self._do(self._line_is_back(held))

    @precondition(lambda self: self.connected and not self.terminal.answering)
    @rule()
    def answers_come(self) -> None:
        """Those that were held back."""
        self._do(self._answers_come())

    @rule(after=st.integers(0, 1_000))
    def upstream_turns(self, after: int) -> None:
        """The terminal loses its own line, or has it back; a worker without a terminal hears of it later."""
        self._do(self._upstream_turns(after))

    async def _upstream_turns(self, after: int) -> None:
        await self._passes(after)
        self.terminal.word = "DISCONNECTED" if self.terminal.word == UP else UP
        if self.connected:
            await self._status()
            await self._stored()

    @rule(ms=st.integers(0, 8_000))
    def time_passes(self, ms: int) -> None:
        """Nothing but the terminal's word every second."""
        self._do(self._passes(ms))

    @precondition(lambda self: self.connected)
    @rule(lasts=st.integers(LATE_MS + 1, SILENCE_MS - 1), missed=FEW)
    def silence(self, lasts: int, missed: list[Drawn]) -> None:
        """Nothing at all for a while, and then it goes on."""
        self._do(self._silence(lasts, missed))

    async def _silence(self, lasts: int, missed: list[Drawn]) -> None:
        if not self.terminal.answering and self.now + lasts > self.answers_by:
            await self._answers_come()
        since = self.expected.heard_at
        assert since is not None
        self.loop.now += lasts // 2
        for drawn in missed:
            self._happens(drawn)
        self.loop.now += since + lasts - self.now if since + lasts > self.now else lasts
        self.expected.lost(Cause.SILENT, since)
        self.expected.resumed(self.now)
        await self._status()
        await self._stored()

    @precondition(lambda self: self.tells and self.terminal.answering and self.expected.loss is None)
    @rule(prints=st.lists(PRINTS, min_size=1, max_size=3), more=st.integers(1, ROOM + 20),
          then=st.sampled_from(("goes on", "goes on", "line breaks", "stops", "killed")))  # fmt: skip
    def flood(self, prints: list[Drawn], more: int, then: str) -> None:
        """The disk is slow and more comes than there is room for; it recovers, or something else happens first."""
        self._do(self._flood(prints, more, then))

    async def _flood(self, prints: list[Drawn], more: int, then: str) -> None:
        async def told(number: int) -> TradeFrame:
            trade, _ = self._happens(prints[number % len(prints)])
            await self.terminal.say(self.encoder.trade(trade))
            return trade

        self._told(await told(0))
        await self._stored()
        while True:
            self.enriching.may_go_on.clear()
            trade = await told(0)
            await self._heard()
            await self._until(lambda: self.enriching.waits and (self.recorder.behind or not self.stream.queued))
            if not self.recorder.behind:
                break
            self.enriching.may_go_on.set()  # it is behind with older rows, and would read on meanwhile
            self._told(trade)
            await self._stored()
            await self._until(lambda: not self.recorder.behind)
        self._told(trade, certain=then != "killed")
        since, before = self.now, self.stream.dropped
        trades = [await told(number) for number in range(more)]
        await self._until(lambda: self.stream.queued == min(more, ROOM))
        dropped = max(0, more - ROOM)
        self.expected.heard_at = self.now
        if dropped:
            await self._until(lambda: self.stream.stalled)
            self.loop.now += PATIENCE_MS
            await self._until(lambda: self.stream.dropped == before + dropped)
            self.expected.heard_at = self.now if dropped > 1 else since
        for trade in trades[:ROOM] if then != "killed" else ():
            self._told(trade)
        if dropped and then != "killed":
            self.expected.run.dropped += dropped
            self.expected.lost(Cause.OVERFLOW, since, dropped)
            self.expected.resumed(self.now)
        match then:
            case "goes on":
                self.enriching.may_go_on.set()
                await self._until(lambda: not self.stream.queued)
                await self._status()
                await self._stored()
            case "line breaks":
                await self.terminal.lose(abrupt=True)
                await self._until(lambda: not self.stream.connected)
                self.expected.disconnected()
                self.enriching.may_go_on.set()
                await self._kept()
            case "stops":
                self.stop.set()
                await self._until(lambda: not self.stream.connected)
                self.enriching.may_go_on.set()
                await self._stops()
                await self._starts(held=False)
            case _:
                self.working.cancel()
                await asyncio.sleep(0)
                self.enriching.may_go_on.set()
                await self._killed()
                await self._starts(held=False)

    async def _kept(self) -> None:
        """What was received is stored, after a moment in which it waits for company: a kill now takes nothing of it."""
        figures, ticked = self.worker.figures, time.monotonic()

        def stored() -> bool:
            nonlocal ticked
            if time.monotonic() - ticked >= 0.001:  # the worker has to get to where it waits
                ticked = time.monotonic()
                self.loop.now += 1
            return figures.stored + figures.duplicates >= self.expected.run.prints

        await self._until(stored)

    # -- what happens to the worker and to its day

    @rule(how=st.sampled_from(("stopped", "killed", "fails")), last=SOME, missed=FEW, held=st.booleans())
    def starts_again(self, how: str, last: list[Drawn], missed: list[Drawn], held: bool) -> None:
        """Stopped, what is left is stored, a gap that is open with it; killed, what was on the line may be lost."""
        self._do(self._starts_again(how, last, missed, held))

    async def _starts_again(self, how: str, last: list[Drawn], missed: list[Drawn], held: bool) -> None:
        if how == "stopped":
            self.stop.set()
            await self._stops()
        else:
            before = len(self.expected.doubt)
            await self._last_words(last, certain=False)
            if how == "fails" and len(self.expected.doubt) > before:
                self.enriching.fails = True
                await asyncio.wait((self.working,))
            self.working.cancel()
            await self._killed()
        await self._missed(missed)
        await self._starts(held=held)

    @rule(mode=st.sampled_from(("available", *HISTORY)))
    def history(self, mode: str) -> None:
        """From now on historical prints are answered so."""
        self.terminal.history = mode

    @precondition(lambda self: et_of(self.now)[0] < LAST_DATE)
    @rule(until=st.sampled_from(NIGHTS), missed=FEW)
    def night(self, until: tuple[int, int], missed: list[Drawn]) -> None:
        """The terminal ends for the day; it is back in the evening, before midnight, or in the next morning."""
        self._do(self._night(*until, missed))

    async def _night(self, days: int, ms: int, missed: list[Drawn]) -> None:
        date = et_of(self.now)[0]
        at = utc_of(date + days, ms)
        if at - 2 * REPLAN_MS <= self.now:
            return
        if self.connected:
            await self._line_breaks("closed", 0, [])
        await self._missed(missed)
        await self._sleeps(at)
        await self._line_is_back(held=False)
        await self._interest_comes()

    async def _sleeps(self, at: int) -> None:
        """It is soon that late; the worker, if it still was at something, has a minute to begin the session date."""
        self.loop.now = max(self.now, at - 2 * REPLAN_MS)
        session, _ = CALENDAR.session("SPX", "SPX", at)

        def begun() -> bool:
            self.loop.now = min(self.now + 10, at)
            return session in self.worker.figures.sessions

        await self._until(begun)
        self.loop.now = at

    def teardown(self) -> None:
        """Everything is asked for that is missing, the worker stops, and the store is held against all that happened.

        After a rule that failed there is nothing to hold: what runs is ended.
        """
        try:
            if sys.exc_info()[0] is None:
                self._do(self._completes())
        finally:
            self._do(self._abandon())
            self.loop.close()
            shutil.rmtree(self.folder)

    async def _completes(self) -> None:
        terminal, expected = self.terminal, self.expected
        terminal.history = "available"
        if not self.connected:
            await self._line_is_back(held=False)
        if not terminal.answering:
            await self._answers_come()
        if terminal.word != UP:
            await self._upstream_turns(0)
        await self._passes(1_100)
        await self._prints([(CONTRACTS[0], 0, 0, 1, 1, 18, None)], joined=False)
        asked_by = self.now + REPLAN_MS
        while self.now <= asked_by or any(map(self._has_history, self.reader.gaps(GapState.OPEN))):
            assert self.now < asked_by + 100 * REPLAN_MS, "a gap that history has stays open"
            await self._passes(1_000)
        await self._stored()
        self.stop.set()
        await self._stops()
        with app.open_reader(self.settings.store) as reader:
            expected.hold(reader.rows_after(0, 10**6), reader.gaps())
            letters = [letter for _, letter in reader.dead_letters(limit=10**6)]
        kept = Counter(letter.reason for letter in letters)
        assert kept.keys() == expected.letters.keys() and kept <= expected.letters  # equal ones are kept once
        assert len({(letter.reason, letter.snippet) for letter in letters}) == len(letters)
        assert all(letter.detail and letter.snippet for letter in letters)
        assert verify(self.folder / "flow.sqlite") == {}


def main(arguments: list[str]) -> int:
    """Run it; 1 when something did not hold, with what led to it."""
    command = argparse.ArgumentParser(prog="python -m drills machine", description=__doc__,
                                      formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    command.add_argument("--runs", type=int, default=300, help="each with a store of its own (default 300)")
    command.add_argument("--steps", type=int, default=60, help="at most, in each (default 60)")
    command.add_argument("--seed", type=int, default=1)
    given = command.parse_args(arguments)
    chosen = settings(max_examples=given.runs, stateful_step_count=given.steps, phases=(Phase.generate,), deadline=None,
                      database=None, suppress_health_check=list(HealthCheck))  # fmt: skip
    began = time.monotonic()
    run_state_machine_as_test(seed(given.seed)(Machine), settings=chosen)
    print(f"{given.runs} runs of up to {given.steps} steps: all held, {time.monotonic() - began:.0f} s")
    return 0
