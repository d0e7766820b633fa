"""Prices of underlyings that are asked for: what is not asked again, and when."""

from __future__ import annotations

import asyncio

from phenix import app
from phenix.config import load
from phenix.engine.enrich.calendar import Calendar
from phenix.ingest.spots import SpotPoll
from phenix.ingest.terminal.generator import Session


def test_a_terminal_that_lost_its_session_is_left_alone_for_a_minute() -> None:
    session, now = Session(20241104, Calendar.packaged(), seed=3, symbols=1, prints=10), 0.0

    async def run() -> list[int]:
        nonlocal now
        async with (
            app.terminal(session, wait_for_play=True, faults=["http_478:path=stock"]) as terminal,
            app.terminal_client(load({"THETADATA_BASE_URL": terminal.base_url})) as client,
        ):
            poll, found = SpotPoll(client, lambda: now), []
            for now in (0.0, 2.0, 59.0, 61.0, 63.0):  # noqa: B007 - the poll's clock
                assert await poll.quotes(["SPX"]) == []
                found.append(terminal.stream.playback.ledger.answers[478])
            return found

    assert asyncio.run(run()) == [1, 1, 1, 2, 2]
