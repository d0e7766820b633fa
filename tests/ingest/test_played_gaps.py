"""Where a gap of a played day ends: a scripted terminal, and a clock that is told, three months after that day."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from drills._scripted import ScriptedTerminal, ToldLoop
from phenix import app
from phenix.config import load
from phenix.engine.enrich.clock import DAY, et_of, utc_of, wall_of
from phenix.engine.store.base import Cause, Gap
from phenix.ingest.terminal.client import Stream
from phenix.ingest.terminal.encoder import Encoder
from phenix.ingest.terminal.events import TRADE, Print
from phenix.ingest.terminal.protocol import Contract, TradeFrame

DATE = 20241104
OPEN = utc_of(DATE, 34_200_000)
MIDNIGHT = utc_of(DATE, DAY - 1)
SINCE = 90 * DAY
EARLY, LATE = (Contract("OPTION", "XYZ", 20241108, strike * 10_000, "CALL") for strike in (220, 230))
"""Contracts by when they are subscribed again."""
REQUESTS = 3
"""Both, and the quote of their underlying."""
_WAIT_S = 100.0
"""More than a busy machine needs: what takes longer never comes."""


class _Day:
    """A market that a terminal tells, or does not; ``now`` is its time."""

    def __init__(self, folder: Path) -> None:
        self._store = f"sqlite:{folder / 'flow.sqlite'}"
        self.loop = ToldLoop(OPEN)
        self._encoder = Encoder(1)
        self.terminal = ScriptedTerminal((EARLY, LATE), REQUESTS, lambda: self.loop.now)

    async def run(self, events: list[str]) -> tuple[list[Gap], set[int], set[int]]:
        """Gaps, times of the prints stored and of those of the market; OPEN is none of them."""
        async with self.terminal as terminal:
            settings = load({"PHENIX_STORE": self._store, "INGEST_SYMBOLS": "XYZ", "THETADATA_RETRY_MAX": "0",
                             **terminal.environ})  # fmt: skip
            with app.open_writer(settings.store) as writer:
                async with app.terminal_client(settings) as rest:
                    stream = Stream(settings.stream_url, backoff_base_s=0.0, ping_interval_s=1e9, clock=self._machine)
                    worker = await app.worker(settings, app.recorder(writer), rest, date=DATE, flush_s=0.0,
                                              clock=self._machine, stream=stream)  # fmt: skip
                    stop = asyncio.Event()
                    working = asyncio.create_task(worker.run(stop))
                    for event in ("is back", *events):
                        await self._happens(event, stream)
                    stop.set()
                    await working
        with app.open_reader(settings.store) as reader:
            stored = {row[2] for row in reader.raw_rows(0, 1_000)}
            return reader.gaps(), stored, {_utc(one) for one in terminal.happened}

    def _machine(self) -> int:
        return self.loop.now + SINCE

    async def _happens(self, event: str, stream: Stream) -> None:
        terminal = self.terminal
        what, _, value = event.partition(": ")
        match what:
            case "is lost":
                await terminal.lose(abrupt=True)
                await _until(lambda: not stream.connected)
            case "is back" | "is back, answers later":
                terminal.up, terminal.answering = True, what == "is back"
                await _until(lambda: terminal.subscribed)
                await terminal.heard()
            case "answers":
                await terminal.answer_held()
                await terminal.heard()
            case "print" | "missed":
                late = int(value or 0)
                self.loop.now += 100
                trade = TradeFrame(EARLY if what == "print" else LATE, *et_of(self.loop.now - late), self.loop.now
                                   % 100_000, 1, 18, 10_000, 5)  # fmt: skip
                terminal.happened.append(
                    Print(wall_of(self.loop.now - late), TRADE, trade.contract, trade.sequence, 1, 18, 5, 10_000, None)
                )
                if what == "print":
                    await terminal.say(self._encoder.trade(trade))
                    await terminal.heard()


async def _until(holds: Callable[[], object]) -> None:
    """Wait for a state of the stream, which tells nobody."""
    until = time.monotonic() + _WAIT_S
    while not holds():
        assert time.monotonic() < until, f"waited {_WAIT_S} s"
        await asyncio.sleep(0)


def _utc(one: Print) -> int:
    return utc_of(DATE, one.wall % DAY)


LOST = ["print", "print", "is lost"]
HALFWAY = [*LOST, "missed", "is back, answers later", "print", "missed"]
"""Prints of a contract that was asked for already, and then one of a contract that was not."""
ENDS = {
    "nothing after": (HALFWAY, "answers", MIDNIGHT),
    "nothing heard at all": ([*LOST, "missed", "is back, answers later", "missed"], "answers", MIDNIGHT),
    "not answered": (HALFWAY, "", MIDNIGHT),
    "lost again before any": ([*HALFWAY, "answers", "is lost", "missed", "is back, answers later", "print", "missed"],
                              "answers", MIDNIGHT),
    "lost again, and eight before all is answered": (
        [*HALFWAY, "answers", "is lost", "missed", "is back, answers later", *["print"] * 8, "missed"],
        "answers",
        MIDNIGHT,
    ),
    "a late one after": ([*HALFWAY, "answers"], "print: 250", MIDNIGHT),
    "seven after": ([*HALFWAY, "answers", *["print"] * 6], "print", MIDNIGHT),
    "eight after": ([*HALFWAY, "answers", *["print"] * 7], "print", OPEN + 1_300),
}  # fmt: skip


@pytest.mark.parametrize("name", ENDS)
def test_what_passed_while_a_reconnect_was_answered_lies_in_its_gap(tmp_path: Path, name: str) -> None:
    """Its end is believed of prints that came since all was answered, never of those before."""
    events, last, upto = ENDS[name]
    day = _Day(tmp_path)
    try:
        gaps, stored, happened = day.loop.run_until_complete(day.run([*events, last] if last else events))
    finally:
        day.loop.close()
    missed = happened - stored
    assert len(missed) >= 2
    assert [(gap.cause, gap.from_utc, gap.upto_utc) for gap in gaps] == [(Cause.DISCONNECTED, OPEN + 200, upto)]
    assert [at for at in missed if not gaps[0].from_utc <= at <= gaps[0].upto_utc] == []
