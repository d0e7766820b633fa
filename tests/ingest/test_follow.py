"""When the worker opens a session date: once it is due, and not again and again where the terminal is not there yet."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from drills._scripted import ScriptedTerminal, ToldLoop
from phenix import app
from phenix.config import load
from phenix.engine.enrich.clock import et_of, utc_of
from phenix.ingest.terminal.client import OpenInterestRow, Stream, Terminal
from phenix.ingest.terminal.encoder import Encoder
from phenix.ingest.terminal.protocol import Contract, TradeFrame
from phenix.ingest.worker import Worker

DATE, NEXT = 20241104, 20241105
CALL = Contract("OPTION", "XYZ", 20241108, 2_200_000, "CALL")
NIGHT = utc_of(NEXT, 10_000)
_POLL_MS = 2_000
_WAIT_S = 60.0


class _Behind(Terminal):
    """A terminal whose REST side stays at a date."""

    opened = 0

    async def contracts(
        self, date: int, *, symbols: Any = (), kind: str = "trade", max_dte: int | None = None
    ) -> list[Contract]:
        return [CALL] if date <= DATE else []

    async def open_interest(self, symbol: str, date: int | None = None, expiration: str = "*") -> list[OpenInterestRow]:
        self.opened += 1
        return [OpenInterestRow(CALL, DATE, 23_400_000, 500)]


async def _until(holds: Callable[[], object]) -> None:
    until = time.monotonic() + _WAIT_S
    while not holds():
        assert time.monotonic() < until
        await asyncio.sleep(0)


def _more(worker: Worker, stored: int) -> bool:
    return worker.figures.stored > stored


def test_a_session_that_the_terminal_does_not_have_yet_is_not_asked_for_without_a_pause(tmp_path: Path) -> None:
    """Its prints say that the date is due with each batch of them."""
    loop = ToldLoop(NIGHT)
    scripted = ScriptedTerminal([CALL], 2, lambda: loop.now)
    encoder = Encoder(1)

    async def run() -> None:
        async with scripted as terminal:
            settings = load({"PHENIX_STORE": f"sqlite:{tmp_path}/live.sqlite", "INGEST_SYMBOLS": "XYZ",
                             "THETADATA_RETRY_MAX": "0", **terminal.environ})  # fmt: skip
            with app.open_writer(settings.store) as writer:
                async with _Behind(settings.base_url, retry_max=0) as rest:
                    stream = Stream(settings.stream_url, ping_interval_s=1e9, clock=lambda: loop.now)
                    worker = await app.worker(settings, app.recorder(writer), rest, date=DATE, flush_s=0.0,
                                              clock=lambda: loop.now, stream=stream)  # fmt: skip
                    stop = asyncio.Event()

                    async def prints() -> None:
                        await terminal.status()
                        for _ in range(20):
                            stored = worker.figures.stored
                            trade = TradeFrame(CALL, *et_of(loop.now), stored, 1, 18, 10_000, 5)
                            await terminal.say(encoder.trade(trade))
                            await _until(partial(_more, worker, stored))

                    working = asyncio.create_task(worker.run(stop))
                    terminal.up = True
                    await _until(lambda: terminal.subscribed)
                    opened = []
                    for _ in range(4):
                        await prints()
                        opened.append(rest.opened)
                        loop.now += _POLL_MS
                    stop.set()
                    await working
        assert opened == [2, 3, 4, 5]  # once at the start

    try:
        loop.run_until_complete(run())
    finally:
        loop.close()
